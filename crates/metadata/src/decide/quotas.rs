//! AlterClientQuotas and DescribeClientQuotas (KIP-546). Quotas are stored and shown; acting on them is the broker's.

use super::{Decided, Decision, bounded, code_and_message};
use crate::VersionedRecord;
use crate::image::{Image, QuotaEntity};
use model::{ApiError, ErrorCode};
use protocol::messages::alter_client_quotas_request::{AlterClientQuotasRequest, EntryData, OpData};
use protocol::messages::alter_client_quotas_response as altered;
use protocol::messages::client_quota_record::{ClientQuotaRecord, EntityData};
use protocol::messages::describe_client_quotas_request::{ComponentData, DescribeClientQuotasRequest};
use protocol::messages::describe_client_quotas_response as described;
use protocol::{MetadataRecord, Str};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// The largest value of a quota and whether it may have a fraction.
#[derive(Clone, Copy)]
enum Kind {
    Int,
    Long,
    Double,
}

/// Changes quotas; each entity succeeds or fails alone.
pub fn alter_client_quotas(
    image: &Image,
    request: &AlterClientQuotasRequest,
) -> Decided<altered::AlterClientQuotasResponse> {
    let mut records = Vec::new();
    let mut entries = Vec::new();
    for entry in &request.entries {
        let changed = alter(image, entry);
        let (error_code, error_message) = changed.as_ref().err().map_or((0, None), code_and_message);
        records.extend(changed.unwrap_or_default());
        let entity = entry.entity.iter().map(|part| altered::EntityData {
            entity_type: part.entity_type.clone(),
            entity_name: part.entity_name.clone(),
            ..Default::default()
        });
        let entity = entity.collect();
        entries.push(altered::EntryData { error_code, error_message, entity, ..Default::default() });
    }
    bounded(&records)?;
    if request.validate_only {
        records.clear();
    }
    Ok(Decision::atomic(records, altered::AlterClientQuotasResponse { entries, ..Default::default() }))
}

fn invalid<T>(message: impl Into<String>) -> Result<T, ApiError> {
    Err(ApiError::new(ErrorCode::InvalidRequest, message))
}

fn alter(image: &Image, entry: &EntryData) -> Result<Vec<VersionedRecord>, ApiError> {
    let entity = entity_of(entry)?;
    let keys = keys_of(&entity)?;
    let existing = image.quotas.of(&entity);
    let mut ops: BTreeMap<&Str, &OpData> = BTreeMap::new();
    for op in &entry.ops {
        if ops.insert(&op.key, op).is_some() {
            return invalid(format!("Duplicate quota key {} not updating quota for this entity", op.key));
        }
    }
    let mut records = Vec::new();
    for (key, op) in ops {
        let current = existing.and_then(|quotas| quotas.get(key)).copied();
        let written = if op.remove {
            current.map(|_| 0.0)
        } else {
            check_value(keys, key, op.value)?;
            Some(op.value).filter(|value| current != Some(*value))
        };
        let Some(value) = written else { continue };
        let parts = entity.iter().map(|(entity_type, entity_name)| EntityData {
            entity_type: entity_type.clone(),
            entity_name: entity_name.clone(),
            ..Default::default()
        });
        records.push(VersionedRecord::v0(MetadataRecord::ClientQuota(ClientQuotaRecord {
            entity: parts.collect(),
            key: key.clone(),
            value,
            remove: op.remove,
            ..Default::default()
        })));
    }
    Ok(records)
}

fn entity_of(entry: &EntryData) -> Result<QuotaEntity, ApiError> {
    if entry.entity.is_empty() {
        return invalid("Invalid empty client quota entity");
    }
    let mut entity = QuotaEntity::new();
    for part in &entry.entity {
        let kind = &part.entity_type;
        if entity.iter().any(|(known, _)| known == kind) {
            return invalid(format!("Invalid client quota entity, duplicate entity entry {kind}"));
        }
        if !matches!(kind.as_str(), "user" | "client-id" | "ip") {
            return invalid(format!("Unhandled client quota entity type: {kind}"));
        }
        if part.entity_name.as_ref().is_some_and(|name| name.is_empty()) {
            return invalid(format!("Empty {kind} not supported"));
        }
        entity.push((kind.clone(), part.entity_name.clone()));
    }
    entity.sort();
    Ok(entity)
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

/// What a filter wants of one kind of entity.
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
