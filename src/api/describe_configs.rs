//! DescribeConfigs (key 32), versions 1-4: describes the configs of resources (KIP-133).
//!
//! - 1: answers sources and synonyms (KIP-226).
//! - 3: answers types and documentation (KIP-569).
//! - 4: is flexible.

use super::Context;
use super::authorization::{Operation, Resource};
use crate::config::{ConfigEntry, ConfigSource, Kind, describe_client_metrics};
use crate::runtime::config_rules::properties;
use metadata::image::{ConfigResource, ResourceType};
use model::{ApiError, ErrorCode};
use protocol::Str;
use protocol::messages::describe_configs_request::{DescribeConfigsRequest, DescribeConfigsResource};
use protocol::messages::describe_configs_response::{
    DescribeConfigsResourceResult, DescribeConfigsResponse, DescribeConfigsResult, DescribeConfigsSynonym,
};

/// Describes the configs of each resource.
pub(super) async fn handle(context: Context, request: DescribeConfigsRequest) -> DescribeConfigsResponse {
    let (synonyms, documentation) = (request.include_synonyms, request.include_documentation);
    let results = request.resources.into_iter().map(|resource| {
        let described = describe(&context, &resource);
        let (resource_type, resource_name) = (resource.resource_type, resource.resource_name);
        match described {
            Ok(entries) => {
                let wanted = resource.configuration_keys.filter(|keys| !keys.is_empty());
                let is_wanted = |entry: &ConfigEntry| {
                    wanted.as_ref().is_none_or(|keys| keys.iter().any(|key| key.as_str() == entry.name))
                };
                let configs = entries.into_iter().filter(is_wanted).map(|entry| shown(entry, synonyms, documentation));
                DescribeConfigsResult {
                    error_message: Some(Str::default()),
                    resource_type,
                    resource_name,
                    configs: configs.collect(),
                    ..Default::default()
                }
            }
            Err(error) => DescribeConfigsResult {
                error_code: error.code.code(),
                error_message: Some(error.message.as_deref().unwrap_or(error.code.message()).into()),
                resource_type,
                resource_name,
                ..Default::default()
            },
        }
    });
    DescribeConfigsResponse { results: results.collect(), ..Default::default() }
}

fn describe(context: &Context, resource: &DescribeConfigsResource) -> Result<Vec<ConfigEntry>, ApiError> {
    let broker = &context.broker;
    let (config, now) = (&broker.config, broker.effective());
    let image = broker.image();
    let name = &resource.resource_name;
    let Some(kind) = ResourceType::from_code(resource.resource_type) else {
        return Err(ErrorCode::InvalidRequest.into());
    };
    context.need(Operation::DescribeConfigs, Resource::of_config(kind, name))?;
    let own = || properties(&image.configs.of(&ConfigResource::new(kind, name.clone())));
    match kind {
        ResourceType::Topic => {
            metadata::decide::validate_topic_name(name)?;
            if image.topics.by_name(name).is_none() {
                return Err(ApiError::new(ErrorCode::UnknownTopicOrPartition, ""));
            }
            Ok(config.describe_topic(&now, &own()))
        }
        ResourceType::Broker if name.is_empty() => Ok(config.describe_all_brokers(&now)),
        ResourceType::Broker => {
            check_this_broker(context, name, " or empty string,").map(|()| config.describe_broker(&now))
        }
        ResourceType::BrokerLogger if name.is_empty() => {
            Err(ApiError::new(ErrorCode::InvalidRequest, "Broker id must not be empty"))
        }
        ResourceType::BrokerLogger => check_this_broker(context, name, "").map(|()| loggers(context)),
        ResourceType::ClientMetrics if name.is_empty() => {
            Err(ApiError::new(ErrorCode::InvalidRequest, "Client metrics subscription name must not be empty"))
        }
        ResourceType::ClientMetrics => Ok(describe_client_metrics(&own())),
        ResourceType::Group if name.is_empty() => {
            Err(ApiError::new(ErrorCode::InvalidRequest, "Group name must not be empty"))
        }
        ResourceType::Group => Ok(config.describe_group(&now, &own())),
    }
}

/// Checks that the request names this broker, since a broker describes only its own configs. `or`
/// names what the request may name instead.
fn check_this_broker(context: &Context, name: &str, or: &str) -> Result<(), ApiError> {
    let Some(id) = model::java_number::parse_int(name) else {
        let message = format!("Broker id must be an integer, but it is: {name}");
        return Err(ApiError::new(ErrorCode::InvalidRequest, message));
    };
    if id != context.broker.node.id.0 {
        let message = format!("Unexpected broker id, expected {}{or} but received {name}", context.broker.node.id);
        return Err(ApiError::new(ErrorCode::InvalidRequest, message));
    }
    Ok(())
}

fn loggers(context: &Context) -> Vec<ConfigEntry> {
    let all = context.broker.loggers.all().into_iter();
    let entries = all.map(|(name, level)| ConfigEntry {
        name: name.into(),
        value: Some(level.into()),
        is_read_only: false,
        source: ConfigSource::BrokerLogger,
        is_sensitive: false,
        synonyms: Vec::new(),
        kind: Some(Kind::Text),
        documentation: None,
    });
    entries.collect()
}

fn shown(entry: ConfigEntry, synonyms: bool, documentation: bool) -> DescribeConfigsResourceResult {
    let config_type = entry.kind_to_wire();
    let others = entry.synonyms.into_iter().filter(|_| synonyms).map(|synonym| DescribeConfigsSynonym {
        name: synonym.name.into(),
        value: synonym.value.map(Into::into),
        source: synonym.source.to_wire(),
        ..Default::default()
    });
    DescribeConfigsResourceResult {
        name: entry.name.into(),
        value: entry.value.map(Into::into),
        read_only: entry.is_read_only,
        config_source: entry.source.to_wire(),
        is_sensitive: entry.is_sensitive,
        synonyms: others.collect(),
        config_type,
        documentation: entry.documentation.filter(|_| documentation).map(Into::into),
        ..Default::default()
    }
}
