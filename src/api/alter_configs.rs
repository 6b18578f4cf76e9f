//! AlterConfigs (key 33), versions 0-2: replaces all configs of a resource (KIP-133).
//!
//! - 2: is flexible.
//!
//! A config that the request does not name gets its default. Only IncrementalAlterConfigs changes
//! loggers.

use super::Context;
use super::authorization::refusal;
use metadata::decide::{self, Origin};
use protocol::Str;
use protocol::messages::alter_configs_request::AlterConfigsRequest;
use protocol::messages::alter_configs_response::{AlterConfigsResourceResponse, AlterConfigsResponse};

/// Changes configs, each resource separately.
pub(super) async fn handle(context: Context, mut request: AlterConfigsRequest) -> AlterConfigsResponse {
    let refused = request
        .resources
        .extract_if(.., |one| context.need_to_alter_configs(one.resource_type, &one.resource_name).is_err());
    let refused: Vec<AlterConfigsResourceResponse> =
        refused.map(|one| refuse(one.resource_type, one.resource_name)).collect();
    let asked = request.resources.clone();
    let origin = if context.connection.listener.is_controller { Origin::Controller } else { Origin::Broker };
    let decided =
        context.broker.controller.decide(move |view, cx| decide::alter_configs(view.image, cx, origin, &request));
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
    response.responses.extend(refused);
    response
}

/// Returns the answer for a resource whose configs the client may not alter.
fn refuse(resource_type: i8, resource_name: Str) -> AlterConfigsResourceResponse {
    let code = refusal(resource_type);
    let (error_code, error_message) = (code.code(), Some(code.message().into()));
    AlterConfigsResourceResponse { error_code, error_message, resource_type, resource_name, ..Default::default() }
}
