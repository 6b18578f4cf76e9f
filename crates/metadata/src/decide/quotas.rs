//! AlterClientQuotas and DescribeClientQuotas (KIP-546). The controller stores and shows quotas;
//! brokers enforce them.

use super::{Decided, Decision, bounded, code_and_message};
use crate::VersionedRecord;
use crate::image::{Image, QuotaEntity};
use model::{ApiError, ErrorCode, java};
use protocol::messages::alter_client_quotas_request::{AlterClientQuotasRequest, EntryData, OpData};
use protocol::messages::alter_client_quotas_response as altered;
use protocol::messages::client_quota_record::{ClientQuotaRecord, EntityData};
use protocol::messages::describe_client_quotas_request::{ComponentData, DescribeClientQuotasRequest};
use protocol::messages::describe_client_quotas_response as described;
use protocol::{MetadataRecord, Str};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;

/// The largest value of a quota and whether it may have a fraction.
#[derive(Clone, Copy)]
enum Kind {
    Int,
    Long,
    Double,
}

/// An entity as a request names it: kinds and names in the order in which Kafka's map iterates.
/// Where a kind is given twice, the last name counts.
struct Asked(Vec<(Str, Option<Str>)>);

impl Asked {
    fn of(entry: &EntryData) -> Self {
        let mut parts: Vec<(Str, Option<Str>)> = Vec::with_capacity(entry.entity.len());
        for part in &entry.entity {
            match parts.iter_mut().find(|(kind, _)| *kind == part.entity_type) {
                Some((_, name)) => name.clone_from(&part.entity_name),
                None => parts.push((part.entity_type.clone(), part.entity_name.clone())),
            }
        }
        let buckets = java::bucket_count(entry.entity.len(), parts.len());
        java::hash_order(&mut parts, buckets, |(kind, _)| java::string_hash(kind));
        Self(parts)
    }

    /// The entity as the image names it.
    fn entity(&self) -> QuotaEntity {
        let mut entity = self.0.clone();
        entity.sort();
        entity
    }

    /// Java's `ClientQuotaEntity.hashCode`.
    fn hash(&self) -> u32 {
        let of =
            |(kind, name): &(Str, Option<Str>)| java::string_hash(kind) ^ name.as_deref().map_or(0, java::string_hash);
        self.0.iter().map(of).fold(31, u32::wrapping_add)
    }
}

impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientQuotaEntity(entries={")?;
        for (position, (kind, name)) in self.0.iter().enumerate() {
            let comma = if position > 0 { ", " } else { "" };
            write!(f, "{comma}{kind}={}", name.as_deref().unwrap_or("null"))?;
        }
        f.write_str("})")
    }
}

/// Changes quotas. Each entity succeeds or fails alone and is answered once. An entity that is
/// named again, or that has a quota twice, is answered as a duplicate. What its first entry changed
/// stays changed, as in Kafka.
pub fn alter_client_quotas(
    image: &Image,
    request: &AlterClientQuotasRequest,
) -> Decided<altered::AlterClientQuotasResponse> {
    let mut records = Vec::new();
    let mut places: BTreeMap<QuotaEntity, usize> = BTreeMap::new();
    let mut results: Vec<(Asked, Result<(), ApiError>)> = Vec::new();
    for entry in &request.entries {
        let asked = Asked::of(entry);
        let entity = asked.entity();
        let known = places.get(&entity).copied();
        let changed = if known.is_some() || has_twice(&entry.ops) {
            invalid(format!("Ignoring duplicate entity {asked}"))
        } else {
            alter(image, &asked, &entity, &entry.ops)
        };
        let result = changed.map(|changed| records.extend(changed));
        match known.and_then(|place| results.get_mut(place)) {
            Some(first) => first.1 = result,
            None => {
                places.insert(entity, results.len());
                results.push((asked, result));
            }
        }
    }
    bounded(&records)?;
    if request.validate_only {
        records.clear();
    }
    let buckets = java::bucket_count(16, results.len());
    java::hash_order(&mut results, buckets, |(asked, _)| asked.hash());
    let entries = results.into_iter().map(|(asked, result)| {
        let (error_code, error_message) = result.as_ref().err().map_or((0, None), code_and_message);
        let entity = asked.0.into_iter().map(|(entity_type, entity_name)| altered::EntityData {
            entity_type,
            entity_name,
            ..Default::default()
        });
        altered::EntryData { error_code, error_message, entity: entity.collect(), ..Default::default() }
    });
    let entries = entries.collect();
    Ok(Decision::atomic(records, altered::AlterClientQuotasResponse { entries, ..Default::default() }))
}

fn invalid<T>(message: impl Into<String>) -> Result<T, ApiError> {
    Err(ApiError::new(ErrorCode::InvalidRequest, message))
}

fn has_twice(ops: &[OpData]) -> bool {
    let mut seen = BTreeSet::new();
    ops.iter().any(|op| !seen.insert(&op.key))
}

fn alter(image: &Image, asked: &Asked, entity: &QuotaEntity, ops: &[OpData]) -> Result<Vec<VersionedRecord>, ApiError> {
    check_entity(asked)?;
    let keys = keys_of(entity)?;
    let existing = image.quotas.of(entity);
    let mut ops: Vec<&OpData> = ops.iter().collect();
    let buckets = java::bucket_count(ops.len(), ops.len());
    java::hash_order(&mut ops, buckets, |op| java::string_hash(&op.key));
    let mut records = Vec::new();
    for op in ops {
        let current = existing.and_then(|quotas| quotas.get(&op.key)).copied();
        let written = if op.remove {
            current.map(|_| 0.0)
        } else {
            check_value(keys, &op.key, op.value)?;
            // NaN equals itself here, as it does in Java.
            Some(op.value).filter(|value| current.is_none_or(|current| current.total_cmp(value).is_ne()))
        };
        let Some(value) = written else { continue };
        let parts = entity.iter().map(|(entity_type, entity_name)| EntityData {
            entity_type: entity_type.clone(),
            entity_name: entity_name.clone(),
            ..Default::default()
        });
        records.push(VersionedRecord::v0(MetadataRecord::ClientQuota(ClientQuotaRecord {
            entity: parts.collect(),
            key: op.key.clone(),
            value,
            remove: op.remove,
            ..Default::default()
        })));
    }
    Ok(records)
}

fn check_entity(asked: &Asked) -> Result<(), ApiError> {
    if asked.0.is_empty() {
        return invalid("Invalid empty client quota entity");
    }
    for (kind, name) in &asked.0 {
        if !matches!(kind.as_str(), "user" | "client-id" | "ip") {
            return invalid(format!("Unhandled client quota entity type: {kind}"));
        }
        if name.as_ref().is_some_and(|name| name.is_empty()) {
            return invalid(format!("Empty {kind} not supported"));
        }
    }
    Ok(())
}

const USER_AND_CLIENT: &[(&str, Kind)] = &[
    ("producer_byte_rate", Kind::Long),
    ("consumer_byte_rate", Kind::Long),
    ("request_percentage", Kind::Double),
    ("controller_mutation_rate", Kind::Double),
];
const IP: &[(&str, Kind)] = &[("connection_creation_rate", Kind::Int)];

fn keys_of(entity: &QuotaEntity) -> Result<&'static [(&'static str, Kind)], ApiError> {
    let Some((_, name)) = entity.iter().find(|(kind, _)| kind == "ip") else { return Ok(USER_AND_CLIENT) };
    if entity.len() > 1 {
        return invalid("Invalid quota entity combination, IP entity shouldnot be combined with User or ClientId");
    }
    match name {
        // Kafka would ask the resolver about other names, which a decision cannot.
        Some(name) if name.parse::<IpAddr>().is_err() && name != "localhost" => {
            invalid(format!("{name} is not a valid IP or resolvable host."))
        }
        _ => Ok(IP),
    }
}

fn check_value(keys: &[(&str, Kind)], key: &str, value: f64) -> Result<(), ApiError> {
    let Some((_, kind)) = keys.iter().find(|(known, _)| *known == key) else {
        return invalid(format!("Invalid configuration key {key}"));
    };
    if value <= 0.0 {
        return invalid(format!("Quota {key} must be greater than 0"));
    }
    let (max, name) = match kind {
        Kind::Int => (2_147_483_647.0, "an INT"),
        Kind::Long => (9_223_372_036_854_775_807.0, "a LONG"),
        Kind::Double => return Ok(()),
    };
    if value > max {
        return invalid(format!("Proposed value for {key} is too large for {name}."));
    }
    if (value % 1.0).abs() > 1e-6 {
        return invalid(format!("{key} cannot be a fractional value."));
    }
    Ok(())
}

/// A filter's condition on one kind of entity.
enum Wanted<'a> {
    Exactly(&'a Str),
    Default,
    Any,
}

/// Shows the quotas that a filter selects. Errors: INVALID_REQUEST, UNSUPPORTED_VERSION.
pub fn describe_client_quotas(
    image: &Image,
    request: &DescribeClientQuotasRequest,
) -> Result<described::DescribeClientQuotasResponse, ApiError> {
    let filter = filter_of(&request.components)?;
    let matches = |entity: &QuotaEntity| {
        let all = filter.iter().all(|(kind, wanted)| {
            let part = entity.iter().find(|(known, _)| known == kind);
            match (part, wanted) {
                (Some((_, Some(name))), Wanted::Exactly(wanted)) => name == *wanted,
                (Some((_, None)), Wanted::Default) | (Some(_), Wanted::Any) => true,
                _ => false,
            }
        });
        all && (!request.strict || entity.len() == filter.len())
    };
    let entries = image.quotas.iter().filter(|(entity, _)| matches(entity)).map(|(entity, quotas)| {
        let parts = entity.iter().map(|(entity_type, entity_name)| described::EntityData {
            entity_type: entity_type.clone(),
            entity_name: entity_name.clone(),
            ..Default::default()
        });
        let value =
            |(key, value): (&Str, &f64)| described::ValueData { key: key.clone(), value: *value, ..Default::default() };
        let values = quotas.iter().map(value).collect();
        described::EntryData { entity: parts.collect(), values, ..Default::default() }
    });
    let entries = Some(entries.collect());
    Ok(described::DescribeClientQuotasResponse { entries, ..Default::default() })
}

fn filter_of(components: &[ComponentData]) -> Result<BTreeMap<&Str, Wanted<'_>>, ApiError> {
    let mut filter = BTreeMap::new();
    for component in components {
        let kind = &component.entity_type;
        if kind.is_empty() {
            return invalid("Invalid empty entity type.");
        }
        if filter.contains_key(kind) {
            return invalid(format!("Entity type {kind} cannot appear more than once in the filter."));
        }
        if !matches!(kind.as_str(), "user" | "client-id" | "ip") {
            return Err(ApiError::new(ErrorCode::UnsupportedVersion, format!("Unsupported entity type {kind}")));
        }
        let wanted = match (component.match_type, &component.r#match) {
            (0, Some(name)) => Wanted::Exactly(name),
            (0, None) => {
                return invalid("Request specified MATCH_TYPE_EXACT, but set match string to null.");
            }
            (1, None) => Wanted::Default,
            (1, Some(_)) => {
                return invalid("Request specified MATCH_TYPE_DEFAULT, but also specified a match string.");
            }
            (2, None) => Wanted::Any,
            (2, Some(_)) => {
                return invalid("Request specified MATCH_TYPE_SPECIFIED, but also specified a match string.");
            }
            (other, _) => return invalid(format!("Unknown match type {other}")),
        };
        filter.insert(kind, wanted);
    }
    let kinds: BTreeSet<&str> = filter.keys().map(|kind| kind.as_str()).collect();
    if kinds.contains("ip") && kinds.len() > 1 {
        return invalid(
            "Invalid entity filter component combination. IP filter component should not be used with user or clientId filter component.",
        );
    }
    Ok(filter)
}
