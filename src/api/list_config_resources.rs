//! ListConfigResources (key 74), versions 0-1: lists the resources that have configs (KIP-1000,
//! KIP-1142).
//!
//! - 1: chooses the resource types, and answers the type of each resource (KIP-1142).
//!
//! Version 0, then named ListClientMetricsResources, lists only client metrics.

use super::Context;
use super::authorization::Operation;
use metadata::image::ResourceType;
use model::ErrorCode;
use protocol::Str;
use protocol::messages::list_config_resources_request::ListConfigResourcesRequest;
use protocol::messages::list_config_resources_response::{ConfigResource, ListConfigResourcesResponse};

const ALL: [ResourceType; 5] = [
    ResourceType::Topic,
    ResourceType::Broker,
    ResourceType::BrokerLogger,
    ResourceType::ClientMetrics,
    ResourceType::Group,
];

/// Lists the resources of the types that the request names.
pub(super) async fn handle(context: Context, request: ListConfigResourcesRequest) -> ListConfigResourcesResponse {
    if let Err(code) = context.need_of_cluster(Operation::DescribeConfigs) {
        return ListConfigResourcesResponse { error_code: code.code(), ..Default::default() };
    }
    let names_kinds = context.version >= 1;
    let asked: Result<Vec<ResourceType>, i8> = if names_kinds {
        request.resource_types.iter().map(|code| ResourceType::from_code(*code).ok_or(*code)).collect()
    } else {
        Ok(vec![ResourceType::ClientMetrics])
    };
    let kinds = match asked {
        Err(_) => {
            let error_code = ErrorCode::UnsupportedVersion.code();
            return ListConfigResourcesResponse { error_code, ..Default::default() };
        }
        Ok(kinds) if kinds.is_empty() => ALL.to_vec(),
        Ok(kinds) => kinds,
    };
    let image = context.broker.image();
    let mut config_resources = Vec::new();
    for kind in ALL.into_iter().filter(|kind| kinds.contains(kind)) {
        let names: Vec<Str> = match kind {
            ResourceType::Topic => image.topics.iter().map(|topic| topic.name.clone()).collect(),
            ResourceType::Broker | ResourceType::BrokerLogger => {
                image.cluster.brokers.keys().map(|id| id.to_string().into()).collect()
            }
            ResourceType::ClientMetrics | ResourceType::Group => image.configs.names(kind).cloned().collect(),
        };
        config_resources.extend(names.into_iter().map(|resource_name| ConfigResource {
            resource_name,
            resource_type: kind.code(),
            ..Default::default()
        }));
    }
    ListConfigResourcesResponse { config_resources, ..Default::default() }
}
