//! UpdateFeatures (key 57), versions 0-2: changes the finalized levels of features (KIP-584).
//!
//! - 1: names the type of upgrade, and may only validate (KIP-778).
//! - 2: has no results of single features (KIP-1022).

use super::Context;
use metadata::decide;
use protocol::messages::update_features_request::UpdateFeaturesRequest;
use protocol::messages::update_features_response::UpdateFeaturesResponse;

/// Changes finalized feature levels. The controller decides.
pub(super) async fn handle(context: Context, request: UpdateFeaturesRequest) -> UpdateFeaturesResponse {
    let kraft_version = context.broker.controller.kraft_version();
    let answers_each = context.version < 2;
    let decided = context
        .broker
        .controller
        .decide(move |view, cx| decide::update_features(view.image, cx, &request, kraft_version));
    let mut response = decided.await.unwrap_or_else(|error| UpdateFeaturesResponse {
        error_code: error.code.code(),
        error_message: error.message.map(Into::into),
        ..Default::default()
    });
    if !answers_each {
        response.results.clear();
    }
    response
}
