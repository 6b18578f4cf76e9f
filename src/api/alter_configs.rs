//! AlterConfigs (key 33), versions 0-2.
//!
//! 2 is flexible. All configs of a resource are replaced; what is not named gets its default.
//! Broker loggers are this broker's own and are changed here; the rest the controller decides.

use super::Context;
use metadata::decide;
use protocol::messages::alter_configs_request::AlterConfigsRequest;
use protocol::messages::alter_configs_response::{AlterConfigsResourceResponse, AlterConfigsResponse};

/// Kafka's number of the resource type.
const BROKER_LOGGER: i8 = 8;

/// Changes configs, each resource alone.
pub(super) async fn handle(context: Context, request: AlterConfigsRequest) -> AlterConfigsResponse {
    let mut request = request;
    let loggers: Vec<_> = request.resources.extract_if(.., |one| one.resource_type == BROKER_LOGGER).collect();
    let asked = request.resources.clone();
    let validate_only = request.validate_only;
    let decided = context.broker.controller.decide(move |view, cx| decide::alter_configs(view.image, cx, &request));
    let mut response = decided.await.unwrap_or_else(|error| {
        let failed = asked.into_iter().map(|one| AlterConfigsResourceResponse {
            error_code: error.code.code(),
            error_message: error.message.as_deref().map(Into::into),
            resource_type: one.resource_type,
            resource_name: one.resource_name,
            ..Default::default()
        });
        AlterConfigsResponse { responses: failed.collect(), ..Default::default() }
    });
    let _ = validate_only;
    for resource in loggers {
        // Kafka changes loggers incrementally only.
        let message = format!(
            "Unexpected broker id, expected {}, but received {}",
            context.broker.node.id, resource.resource_name
        );
        let error = model::ApiError::new(model::ErrorCode::InvalidRequest, message);
        response.responses.push(AlterConfigsResourceResponse {
            error_code: error.code.code(),
            error_message: error.message.map(Into::into),
            resource_type: resource.resource_type,
            resource_name: resource.resource_name,
            ..Default::default()
        });
    }
    response
}
