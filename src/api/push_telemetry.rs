//! PushTelemetry (key 72), version 0: receives a client's metrics (KIP-714).
//!
//! This broker has no receiver of clients' metrics. Like Kafka without a receiver, it does not
//! advertise the request, and it checks and drops what it receives. Unlike Kafka, it does not
//! remember when a client pushed last, so it asks no client to wait.

use super::Context;
use super::get_telemetry_subscriptions::{TELEMETRY_MAX_BYTES, subscription_id};
use model::{ErrorCode, Uuid};
use protocol::messages::push_telemetry_request::PushTelemetryRequest;
use protocol::messages::push_telemetry_response::PushTelemetryResponse;

/// The highest id of a compression type: `zstd`.
const LAST_COMPRESSION_TYPE: i8 = 4;

/// Checks the push and drops it.
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
