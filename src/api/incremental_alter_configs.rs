//! IncrementalAlterConfigs (key 44), versions 0-1: changes single configs of a resource (KIP-339).
//!
//! - 1: is flexible.
//!
//! This broker changes its own loggers here (KIP-412). The controller decides all other changes.

use super::Context;
use super::authorization::refusal;
use metadata::decide::{self, Origin};
use model::ApiError;
use protocol::Str;
use protocol::messages::incremental_alter_configs_request::IncrementalAlterConfigsRequest;
use protocol::messages::incremental_alter_configs_response::{
    AlterConfigsResourceResponse, IncrementalAlterConfigsResponse,
};

/// Kafka's number for the resource type.
const BROKER_LOGGER: i8 = 8;

/// Changes configs, each resource separately.
pub(super) async fn handle(
    context: Context,
    request: IncrementalAlterConfigsRequest,
) -> IncrementalAlterConfigsResponse {
    let mut request = request;
    let loggers: Vec<_> = request.resources.extract_if(.., |one| one.resource_type == BROKER_LOGGER).collect();
    let refused = request
        .resources
        .extract_if(.., |one| context.need_to_alter_configs(one.resource_type, &one.resource_name).is_err());
    let refused: Vec<AlterConfigsResourceResponse> =
        refused.map(|one| refuse(one.resource_type, one.resource_name)).collect();
    let asked = request.resources.clone();
    let origin = if context.connection.listener.is_controller { Origin::Controller } else { Origin::Broker };
    let validate_only = request.validate_only;
    let decided = context
        .broker
        .controller
        .decide(move |view, cx| decide::incremental_alter_configs(view.image, cx, origin, &request));
    let mut response = decided.await.unwrap_or_else(|error| {
        let failed = asked.into_iter().map(|one| AlterConfigsResourceResponse {
            error_code: error.code.code(),
            error_message: error.message.as_deref().map(Into::into),
            resource_type: one.resource_type,
            resource_name: one.resource_name,
            ..Default::default()
        });
        IncrementalAlterConfigsResponse { responses: failed.collect(), ..Default::default() }
    });
    response.responses.extend(refused);
    for resource in loggers {
        let permitted = context.need_to_alter_configs(resource.resource_type, &resource.resource_name);
        let changed = permitted
            .map_err(ApiError::from)
            .and_then(|()| context.broker.loggers.alter(context.broker.node.id, &resource, validate_only));
        let (error_code, error_message) = match changed {
            Ok(()) => (0, None),
            Err(error) => (error.code.code(), Some(error.message.as_deref().unwrap_or(error.code.message()).into())),
        };
        let (resource_type, resource_name) = (resource.resource_type, resource.resource_name);
        let one = AlterConfigsResourceResponse {
            error_code,
            error_message,
            resource_type,
            resource_name,
            ..Default::default()
        };
        response.responses.push(one);
    }
    response
}

/// Returns the answer for a resource whose configs the client may not alter.
fn refuse(resource_type: i8, resource_name: Str) -> AlterConfigsResourceResponse {
    let code = refusal(resource_type);
    let (error_code, error_message) = (code.code(), Some(code.message().into()));
    AlterConfigsResourceResponse { error_code, error_message, resource_type, resource_name, ..Default::default() }
}
