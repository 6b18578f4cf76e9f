//! Finalized features.

use crate::version::{METADATA_VERSION, MetadataVersion};
use imbl::OrdMap;
use protocol::Str;

/// The finalized features. Those at level 0 are absent.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Features {
    /// `None` only before the first record of a new log.
    pub metadata_version: Option<MetadataVersion>,
    /// All others by name. `kraft.version` is not among them: it belongs to the quorum, and control
    /// records hold it.
    pub others: OrdMap<Str, i16>,
    /// The state of a migration from ZooKeeper that a Kafka before 4.0 wrote. It is kept so that
    /// snapshots still hold it.
    pub zk_migration_state: Option<i8>,
}

impl Features {
    /// A feature's finalized level; 0 where it is not finalized.
    pub fn level(&self, name: &str) -> i16 {
        if name == METADATA_VERSION {
            return self.metadata_version.map_or(crate::version::NOT_FINALIZED, MetadataVersion::level);
        }
        self.others.get(name).copied().unwrap_or(crate::version::NOT_FINALIZED)
    }

    /// The finalized metadata version; before one is finalized, the oldest.
    pub fn version(&self) -> MetadataVersion {
        self.metadata_version.unwrap_or(MetadataVersion::OLDEST)
    }

    /// Every finalized feature and its level, `metadata.version` first.
    pub fn finalized(&self) -> impl Iterator<Item = (&str, i16)> {
        let version = self.metadata_version.map(|version| (METADATA_VERSION, version.level()));
        version.into_iter().chain(self.others.iter().map(|(name, level)| (name.as_str(), *level)))
    }
}
