//! UpdateFeatures (key 57), versions 0-2: changes the finalized levels of features (KIP-584).
//!
//! - 1: names the type of upgrade, and may only validate (KIP-778).
//! - 2: has no results of single features (KIP-1022).

use super::authorization::Operation;
use super::{Context, add_raft_voter};
use metadata::decide;
use model::{ApiError, ErrorCode};
use protocol::messages::update_features_request::UpdateFeaturesRequest;
use protocol::messages::update_features_response::UpdateFeaturesResponse;
use raft::{VoterChange, VoterChangeRequest};
use std::time::Duration;

/// Changes finalized feature levels. The controller decides.
pub(super) async fn handle(context: Context, request: UpdateFeaturesRequest) -> UpdateFeaturesResponse {
    let answers_each = context.version < 2;
    let mut response = update(&context, request).await.unwrap_or_else(|error| UpdateFeaturesResponse {
        error_code: error.code.code(),
        error_message: error.message.map(Into::into),
        ..Default::default()
    });
    if !answers_each {
        response.results.clear();
    }
    response
}

async fn update(context: &Context, request: UpdateFeaturesRequest) -> Result<UpdateFeaturesResponse, ApiError> {
    context.need_or_say(Operation::Alter)?;
    let kraft_version = context.broker.controller.kraft_version();
    if !decide::raises_kraft_version(&request, kraft_version) {
        return decided(context, request).await;
    }
    // The quorum's level first, once everything in the request is known to be possible.
    let validated = decided(context, UpdateFeaturesRequest { validate_only: true, ..request.clone() }).await?;
    if validated.error_code != ErrorCode::None.code() {
        return Ok(validated);
    }
    let change = VoterChange::UpgradeKRaftVersion;
    let asked = VoterChangeRequest { epoch: None, change, waits_for_commit: true };
    let timeout = Duration::from_millis(u64::try_from(request.timeout_ms).unwrap_or(0));
    match add_raft_voter::changed(context, asked, timeout).await {
        Ok(()) => decided(context, request).await,
        Err(error) => Ok(decide::feature_update_failed(&error)),
    }
}

async fn decided(context: &Context, request: UpdateFeaturesRequest) -> Result<UpdateFeaturesResponse, ApiError> {
    let controller = &context.broker.controller;
    controller
        .decide(move |view, cx| {
            let quorum = view.quorum_members(cx.now);
            decide::update_features(view.image, cx, &request, &quorum)
        })
        .await
}
