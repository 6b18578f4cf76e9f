//! PushTelemetry (key 72), versions 0 (KIP-714).
//!
//! Nobody receives clients' metrics here. Like a Kafka without a receiver, the broker does not advertise the request, checks what comes nevertheless,
//! and drops it. Unlike Kafka it does not remember who pushed when, and tells nobody to wait.

use super::Context;
use super::get_telemetry_subscriptions::{TELEMETRY_MAX_BYTES, subscription_id};
use model::{ErrorCode, Uuid};
use protocol::messages::push_telemetry_request::PushTelemetryRequest;
use protocol::messages::push_telemetry_response::PushTelemetryResponse;

/// The highest number of a compression type: `zstd`.
const LAST_COMPRESSION_TYPE: i8 = 4;

/// Checks the push.
pub(super) async fn handle(_: Context, request: PushTelemetryRequest) -> PushTelemetryResponse {
    let client = request.client_instance_id;
    let error = if client.is_zero() || client == Uuid::ONE {
        ErrorCode::InvalidRequest
    } else if request.subscription_id != subscription_id(client) {
        ErrorCode::UnknownSubscriptionId
    } else if !(0..=LAST_COMPRESSION_TYPE).contains(&request.compression_type) {
        ErrorCode::UnsupportedCompressionType
    } else if request.metrics.len() > TELEMETRY_MAX_BYTES as usize {
        ErrorCode::TelemetryTooLarge
    } else {
        ErrorCode::None
    };
    PushTelemetryResponse { error_code: error.code(), ..Default::default() }
}
