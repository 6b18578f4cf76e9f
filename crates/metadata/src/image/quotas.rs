//! Client quotas by entity.

use imbl::OrdMap;
use protocol::Str;

/// The kind of a part of a quota's entity, as text: `user`, `client-id` or `ip`. Other texts are
/// kept unchanged.
pub type EntityType = Str;

/// Whom a quota is for: pairs of a kind and a name, sorted by kind. A name of `None` is the default
/// of its kind.
pub type QuotaEntity = Vec<(EntityType, Option<Str>)>;

/// The quotas of every entity that has any: key to value.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ClientQuotas(OrdMap<QuotaEntity, OrdMap<Str, f64>>);

impl ClientQuotas {
    /// An entity's quotas.
    pub fn of(&self, entity: &QuotaEntity) -> Option<&OrdMap<Str, f64>> {
        self.0.get(entity)
    }

    /// Every entity with its quotas.
    pub fn iter(&self) -> impl Iterator<Item = (&QuotaEntity, &OrdMap<Str, f64>)> {
        self.0.iter()
    }

    pub(crate) fn set(&mut self, entity: &QuotaEntity, key: &Str, value: Option<f64>) {
        if let Some(value) = value {
            self.0.entry(entity.clone()).or_default().insert(key.clone(), value);
        } else if let Some(quotas) = self.0.get_mut(entity) {
            quotas.remove(key);
            if quotas.is_empty() {
                self.0.remove(entity);
            }
        }
    }
}
