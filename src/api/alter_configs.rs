//! AlterConfigs (key 33), versions 0-2.
//!
//! 2 is flexible. All configs of a resource are replaced; what is not named gets its default.
//! Loggers are changed by IncrementalAlterConfigs only.

use super::Context;
use metadata::decide::{self, Origin};
use protocol::messages::alter_configs_request::AlterConfigsRequest;
use protocol::messages::alter_configs_response::{AlterConfigsResourceResponse, AlterConfigsResponse};

/// Changes configs, each resource alone.
pub(super) async fn handle(context: Context, request: AlterConfigsRequest) -> AlterConfigsResponse {
    let asked = request.resources.clone();
    let origin = if context.connection.listener.is_controller { Origin::Controller } else { Origin::Broker };
    let decided =
        context.broker.controller.decide(move |view, cx| decide::alter_configs(view.image, cx, origin, &request));
    decided.await.unwrap_or_else(|error| {
        let failed = asked.into_iter().map(|one| AlterConfigsResourceResponse {
            error_code: error.code.code(),
            error_message: error.message.as_deref().map(Into::into),
            resource_type: one.resource_type,
            resource_name: one.resource_name,
            ..Default::default()
        });
        AlterConfigsResponse { responses: failed.collect(), ..Default::default() }
    })
}
