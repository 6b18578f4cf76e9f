//! GetTelemetrySubscriptions (key 71), versions 0.
//!
//! Not advertised: there is no receiver of client metrics (KIP-714), and without one Kafka does not advertise it either.

use super::Context;
use model::ErrorCode;
use protocol::messages::get_telemetry_subscriptions_request::GetTelemetrySubscriptionsRequest;
use protocol::messages::get_telemetry_subscriptions_response::{GetTelemetrySubscriptionsResponse};

/// Refuses.
pub(super) async fn handle(_: Context, _: GetTelemetrySubscriptionsRequest) -> GetTelemetrySubscriptionsResponse {
    GetTelemetrySubscriptionsResponse { error_code: ErrorCode::UnsupportedVersion.code(), ..Default::default() }
}
