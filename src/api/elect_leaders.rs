//! ElectLeaders (key 43), versions 0-2.
//!
//! 1 asks for unclean elections too (KIP-460); 2 is flexible. Version 0 has no error of the whole request.

use super::Context;
use metadata::decide;
use protocol::messages::elect_leaders_request::ElectLeadersRequest;
use protocol::messages::elect_leaders_response::ElectLeadersResponse;

/// Elects leaders; the controller decides.
pub(super) async fn handle(context: Context, request: ElectLeadersRequest) -> ElectLeadersResponse {
    let has_error = context.version >= 1;
    let decided = context.broker.controller.decide(move |view, cx| decide::elect_leaders(view.image, cx, &request));
    decided.await.unwrap_or_else(|error| ElectLeadersResponse {
        error_code: if has_error { error.code.code() } else { 0 },
        ..Default::default()
    })
}
