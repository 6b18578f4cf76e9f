//! AlterConfigs (key 33), versions 0-2: replaces all configs of a resource (KIP-133).
//!
//! - 2: is flexible.
//!
//! A config that the request does not name gets its default. Only IncrementalAlterConfigs changes
//! loggers.

use super::Context;
use metadata::decide::{self, Origin};
use protocol::messages::alter_configs_request::AlterConfigsRequest;
use protocol::messages::alter_configs_response::{AlterConfigsResourceResponse, AlterConfigsResponse};

/// Changes configs, each resource separately.
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
