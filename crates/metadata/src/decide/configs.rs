//! IncrementalAlterConfigs (KIP-339) and AlterConfigs.
//!
//! Two stages, as in Kafka. Any broker refuses the first kind before it asks the controller: a
//! resource given twice, a key given twice, nulls, another broker's configs, unknown kinds. The
//! controller refuses the second kind: values against the rules, resources that do not exist. A
//! client on the controllers' listener meets the second stage alone. A broker's loggers are not
//! stored: the caller answers for them and leaves them out.

use super::names::validate_topic_name;
use super::{ControllerContext, Decided, Decision, bounded, code_and_message};
use crate::VersionedRecord;
use crate::image::{ConfigResource, Image, ResourceType};
use crate::version::{ELR_VERSION, MetadataVersion};
use imbl::OrdMap;
use model::java_number::parse_int;
use model::{ApiError, BrokerId, ErrorCode};
use protocol::messages::clear_elr_record::ClearElrRecord;
use protocol::messages::config_record::ConfigRecord;
use protocol::messages::{
    alter_configs_request as alter, alter_configs_response as altered,
    incremental_alter_configs_request as incremental, incremental_alter_configs_response as incremented,
};
use protocol::{MetadataRecord, Str};
use std::collections::{BTreeMap, BTreeSet};

const MIN_ISR: &str = "min.insync.replicas";
const CORDONED: &str = "cordoned.log.dirs";
/// The longest value that is stored, in UTF-16 code units.
const VALUE_LEN_MAX: usize = 32_767;

/// A key and its new value; `None` removes it.
pub(super) type Change = (Str, Option<Str>);

/// Who checks a change of configs, which decides how much is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A broker was asked. It checks its own configs before it asks the controller.
    Broker,
    /// The controller was asked directly.
    Controller,
    /// The controller makes a topic, which is in no image yet.
    NewTopic,
}

/// Applies SET, DELETE, APPEND and SUBTRACT to configs. Each resource succeeds or fails alone.
pub fn incremental_alter_configs(
    image: &Image,
    context: &mut ControllerContext<'_>,
    origin: Origin,
    request: &incremental::IncrementalAlterConfigsRequest,
) -> Decided<incremented::IncrementalAlterConfigsResponse> {
    let resources = &request.resources;
    let ids: Vec<_> = resources.iter().map(|it| (it.resource_type, it.resource_name.as_str())).collect();
    let mut records = Vec::new();
    let mut responses = Vec::with_capacity(resources.len());
    for resource in once_each(origin, resources, |it| (it.resource_type, &it.resource_name)) {
        let names = resource.configs.iter().map(|it| &it.name);
        let nulls = resource.configs.iter().filter(|it| it.config_operation != 1 && it.value.is_none());
        let id = (resource.resource_type, resource.resource_name.as_str());
        let altered = precheck(context, origin, id, &ids, names, nulls.map(|it| &it.name)).and_then(|target| {
            let existing = image.configs.of(&target);
            let changes = last_of_each(changes_of(context, &target, &existing, &resource.configs)?);
            changed_records(image, context, &target, &existing, &changes, origin)
        });
        let (error_code, error_message) = altered.as_ref().err().map_or((0, None), code_and_message);
        records.extend(altered.unwrap_or_default());
        responses.push(incremented::AlterConfigsResourceResponse {
            error_code,
            error_message,
            resource_type: resource.resource_type,
            resource_name: resource.resource_name.clone(),
            ..Default::default()
        });
    }
    finish(
        request.validate_only,
        records,
        incremented::IncrementalAlterConfigsResponse { responses, ..Default::default() },
    )
}

/// Replaces all configs of resources. Each resource succeeds or fails alone.
pub fn alter_configs(
    image: &Image,
    context: &mut ControllerContext<'_>,
    origin: Origin,
    request: &alter::AlterConfigsRequest,
) -> Decided<altered::AlterConfigsResponse> {
    let resources = &request.resources;
    let ids: Vec<_> = resources.iter().map(|it| (it.resource_type, it.resource_name.as_str())).collect();
    let mut records = Vec::new();
    let mut responses = Vec::with_capacity(resources.len());
    for resource in once_each(origin, resources, |it| (it.resource_type, &it.resource_name)) {
        let names = resource.configs.iter().map(|it| &it.name);
        let nulls = resource.configs.iter().filter(|it| it.value.is_none());
        let id = (resource.resource_type, resource.resource_name.as_str());
        let altered = precheck(context, origin, id, &ids, names, nulls.map(|it| &it.name)).and_then(|target| {
            let existing = image.configs.of(&target);
            let mut changes: Vec<Change> =
                resource.configs.iter().map(|it| (it.name.clone(), it.value.clone())).collect();
            let kept = |key: &Str| resource.configs.iter().any(|it| it.name == *key);
            changes.extend(existing.keys().filter(|key| !kept(key)).map(|key| (key.clone(), None)));
            let changes = last_of_each(changes);
            changed_records(image, context, &target, &existing, &changes, origin)
        });
        let (error_code, error_message) = altered.as_ref().err().map_or((0, None), code_and_message);
        records.extend(altered.unwrap_or_default());
        responses.push(altered::AlterConfigsResourceResponse {
            error_code,
            error_message,
            resource_type: resource.resource_type,
            resource_name: resource.resource_name.clone(),
            ..Default::default()
        });
    }
    finish(request.validate_only, records, altered::AlterConfigsResponse { responses, ..Default::default() })
}

fn finish<R>(validate_only: bool, mut records: Vec<VersionedRecord>, reply: R) -> Decided<R> {
    bounded(&records)?;
    if validate_only {
        records.clear();
    }
    Ok(Decision::atomic(records, reply))
}

/// The controller answers a resource that is given twice once.
fn once_each<T>(origin: Origin, resources: &[T], id: impl Fn(&T) -> (i8, &Str)) -> Vec<&T> {
    let mut seen = BTreeSet::new();
    resources.iter().filter(|it| origin != Origin::Controller || seen.insert(id(it))).collect()
}

/// The controller takes the last of the changes to a key.
fn last_of_each(mut changes: Vec<Change>) -> Vec<Change> {
    let mut seen = BTreeSet::new();
    changes.reverse();
    changes.retain(|(key, _)| seen.insert(key.clone()));
    changes.reverse();
    changes
}

/// Refuses what can be refused before any value is read.
fn precheck<'a>(
    context: &ControllerContext<'_>,
    origin: Origin,
    (kind, name): (i8, &str),
    all: &[(i8, &str)],
    keys: impl Iterator<Item = &'a Str>,
    nulls: impl Iterator<Item = &'a Str>,
) -> Result<ConfigResource, ApiError> {
    let invalid = |message: String| Err(ApiError::new(ErrorCode::InvalidRequest, message));
    if origin == Origin::Controller {
        return match ResourceType::from_code(kind) {
            _ if all.iter().filter(|other| **other == (kind, name)).count() > 1 => {
                invalid("Duplicate resource.".to_owned())
            }
            None => Err(ApiError::new(ErrorCode::UnsupportedVersion, format!("Unknown resource type {kind}."))),
            Some(ResourceType::BrokerLogger) => invalid("Unexpected resource type BROKER_LOGGER.".to_owned()),
            Some(kind) => Ok(ConfigResource::new(kind, name)),
        };
    }
    if all.iter().filter(|other| **other == (kind, name)).count() > 1 {
        return invalid("Each resource must appear at most once.".to_owned());
    }
    let mut seen: BTreeMap<&Str, ()> = BTreeMap::new();
    for key in keys {
        if seen.insert(key, ()).is_some() {
            return invalid("Error due to duplicate config keys".to_owned());
        }
    }
    let nulls: Vec<&str> = nulls.map(Str::as_str).collect();
    if !nulls.is_empty() {
        return invalid(format!("Null value not supported for : {}", nulls.join(",")));
    }
    match ResourceType::from_code(kind) {
        Some(ResourceType::Broker) if !name.is_empty() => {
            let node = context.settings.node_id;
            match parse_int(name) {
                None => return invalid(format!("Node id must be an integer, but it is: {name}")),
                Some(id) if BrokerId(id) != node => {
                    return invalid(format!("Unexpected broker id, expected {node}, but received {name}"));
                }
                Some(_) => {}
            }
        }
        _ => {}
    }
    match ResourceType::from_code(kind) {
        None | Some(ResourceType::BrokerLogger) => invalid(format!("Unknown resource type {kind}")),
        Some(kind) => Ok(ConfigResource::new(kind, name)),
    }
}

/// Returns the values that the operations give.
fn changes_of(
    context: &ControllerContext<'_>,
    resource: &ConfigResource,
    existing: &OrdMap<Str, Str>,
    configs: &[incremental::AlterableConfig],
) -> Result<Vec<Change>, ApiError> {
    let mut changes = Vec::with_capacity(configs.len());
    for config in configs {
        let key = &config.name;
        let given = config.value.clone().unwrap_or_default();
        let value = match config.config_operation {
            // On the controllers' listener a null removes.
            0 => config.value.clone(),
            1 => None,
            operation @ (2 | 3) => {
                if !(context.rules.is_list)(resource.kind, key) {
                    let message = not_a_list(resource.kind, key, operation == 2);
                    return Err(ApiError::new(ErrorCode::InvalidConfig, message));
                }
                let current = existing.get(key).cloned().or_else(|| (context.rules.default)(resource.kind, key));
                Some(edit_list(&current.unwrap_or_default(), &given, operation == 2))
            }
            _ => return Err(ErrorCode::UnknownServerError.into()),
        };
        changes.push((key.clone(), value));
    }
    Ok(changes)
}

/// A broker checks its own configs before it asks the controller, and words its errors differently.
fn not_a_list(kind: ResourceType, key: &str, append: bool) -> String {
    match (kind, append) {
        (ResourceType::Broker, true) => format!("Config value append is not allowed for config key: {key}"),
        (ResourceType::Broker, false) => format!("Config value subtract is not allowed for config key: {key}"),
        (_, true) => format!("Can't APPEND to key {key} because its type is not LIST."),
        (_, false) => format!("Can't SUBTRACT to key {key} because its type is not LIST."),
    }
}

fn edit_list(current: &str, given: &str, append: bool) -> Str {
    let mut parts: Vec<&str> = current.split(',').filter(|part| !part.is_empty()).collect();
    for part in given.split(',') {
        let position = parts.iter().position(|known| *known == part);
        match (append, position) {
            (true, None) => parts.push(part),
            (false, Some(position)) => {
                parts.remove(position);
            }
            _ => {}
        }
    }
    parts.join(",").into()
}

/// Checks a resource's new configs as a whole, and returns the records that write them. A value
/// that does not change is not written, except on brokers: they read files again when they are told
/// the same name twice.
pub(super) fn changed_records(
    image: &Image,
    context: &ControllerContext<'_>,
    resource: &ConfigResource,
    existing: &OrdMap<Str, Str>,
    changes: &[Change],
    origin: Origin,
) -> Result<Vec<VersionedRecord>, ApiError> {
    let mut wanted = existing.clone();
    for (key, value) in changes {
        match value {
            Some(value) => wanted.insert(key.clone(), value.clone()),
            None => wanted.remove(key),
        };
    }
    let on_broker = resource.kind == ResourceType::Broker;
    let follow_rules = || (context.rules.validate)(resource, &wanted, existing);
    if on_broker && origin == Origin::Broker {
        // The rules of a broker's own configs are its own, and come before what the controller
        // guards.
        follow_rules()?;
    }
    let mut records = Vec::new();
    for (key, value) in changes {
        if existing.get(key) != value.as_ref() || on_broker {
            check_guarded(image, resource, key, value.as_ref())?;
            records.push(config_record(resource, key, value.clone()));
        }
    }
    check_name(resource)?;
    if !on_broker {
        follow_rules()?;
    }
    if origin != Origin::NewTopic {
        check_exists(image, resource)?;
    }
    if image.features.level(ELR_VERSION) > 0 {
        let changed = |it: &VersionedRecord| matches!(&it.record, MetadataRecord::Config(it) if it.name == MIN_ISR);
        if records.iter().any(changed) {
            let topic_name = if resource.kind == ResourceType::Topic { resource.name.clone() } else { Str::default() };
            let clear = ClearElrRecord { topic_name, ..Default::default() };
            records.push(VersionedRecord::v0(MetadataRecord::ClearElr(clear)));
        }
    }
    Ok(records)
}

fn config_record(resource: &ConfigResource, key: &Str, value: Option<Str>) -> VersionedRecord {
    VersionedRecord::v0(MetadataRecord::Config(ConfigRecord {
        resource_type: resource.kind.code(),
        resource_name: resource.name.clone(),
        name: key.clone(),
        value,
        ..Default::default()
    }))
}

/// Refuses values that the state of the cluster forbids, whatever their own rules say.
fn check_guarded(image: &Image, resource: &ConfigResource, key: &str, value: Option<&Str>) -> Result<(), ApiError> {
    let invalid = |message: String| Err(ApiError::new(ErrorCode::InvalidConfig, message));
    let on_broker = resource.kind == ResourceType::Broker;
    if key == MIN_ISR && on_broker && image.features.level(ELR_VERSION) > 0 {
        if !resource.name.is_empty() {
            return invalid("Broker-level min.insync.replicas cannot be altered while ELR is enabled.".to_owned());
        }
        if value.is_none() {
            return invalid("Cluster-level min.insync.replicas cannot be removed while ELR is enabled.".to_owned());
        }
    }
    if key == CORDONED && on_broker && !image.features.version().has_cordoned_log_dirs() {
        return invalid(format!(
            "The cordoned.log.dirs configuration value cannot be set because it requires metadata.version >= {}",
            MetadataVersion::LATEST
        ));
    }
    if value.is_some_and(|value| value.encode_utf16().count() > VALUE_LEN_MAX) {
        return invalid(
            "The configuration value cannot be added because it exceeds the maximum value size of 32767 bytes."
                .to_owned(),
        );
    }
    Ok(())
}

fn check_name(resource: &ConfigResource) -> Result<(), ApiError> {
    let invalid = |message: &str| Err(ApiError::new(ErrorCode::InvalidRequest, message));
    let name = resource.name.as_str();
    match resource.kind {
        ResourceType::Topic if name.is_empty() => invalid("Default topic resources are not allowed."),
        ResourceType::Topic => validate_topic_name(name),
        ResourceType::Broker if name.is_empty() => Ok(()),
        ResourceType::Broker => match parse_int(name) {
            None => invalid("Unable to parse broker name as a base 10 number."),
            Some(id) if id < 0 => invalid("Invalid negative broker ID."),
            Some(_) => Ok(()),
        },
        ResourceType::Group if name.is_empty() => invalid("Default group resources are not allowed."),
        ResourceType::ClientMetrics if name.is_empty() => invalid("Subscription name can't be empty"),
        ResourceType::Group | ResourceType::ClientMetrics => Ok(()),
        ResourceType::BrokerLogger => invalid("Unknown resource type BROKER_LOGGER"),
    }
}

fn check_exists(image: &Image, resource: &ConfigResource) -> Result<(), ApiError> {
    if resource.kind == ResourceType::Topic && image.topics.by_name(&resource.name).is_none() {
        let message = format!("The topic '{}' does not exist.", resource.name);
        return Err(ApiError::new(ErrorCode::UnknownTopicOrPartition, message));
    }
    if resource.kind != ResourceType::Broker || resource.name.is_empty() {
        return Ok(());
    }
    let id = parse_int(&resource.name)
        .ok_or_else(|| ApiError::new(ErrorCode::InvalidRequest, format!("Invalid broker name {}", resource.name)))?;
    if image.cluster.brokers.contains_key(&BrokerId(id)) {
        return Ok(());
    }
    Err(ApiError::new(ErrorCode::BrokerIdNotRegistered, format!("No node with id {id} found.")))
}
