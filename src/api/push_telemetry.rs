//! PushTelemetry (key 72), versions 0.
//!
//! Not advertised: there is no receiver of client metrics (KIP-714), and without one Kafka does not advertise it either.

use super::Context;
use model::ErrorCode;
use protocol::messages::push_telemetry_request::PushTelemetryRequest;
use protocol::messages::push_telemetry_response::{PushTelemetryResponse};

/// Refuses.
pub(super) async fn handle(_: Context, _: PushTelemetryRequest) -> PushTelemetryResponse {
    PushTelemetryResponse { error_code: ErrorCode::UnsupportedVersion.code(), ..Default::default() }
}
