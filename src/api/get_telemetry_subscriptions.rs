//! GetTelemetrySubscriptions (key 71), version 0: tells a client which of its metrics the broker
//! wants (KIP-714).
//!
//! This broker has no receiver of clients' metrics. Like Kafka without a receiver, it does not
//! advertise the request. It still answers the request: no metric is wanted.

use super::Context;
use model::Uuid;
use protocol::messages::get_telemetry_subscriptions_request::GetTelemetrySubscriptionsRequest;
use protocol::messages::get_telemetry_subscriptions_response::GetTelemetrySubscriptionsResponse;

/// `zstd`, `lz4`, `gzip` and `snappy`, by their ids in record batches, in the order of preference.
const COMPRESSION_TYPES: [i8; 4] = [4, 3, 1, 2];
/// The interval at which a client would push its metrics: Kafka's default.
const PUSH_INTERVAL_MS: i32 = 300_000;
/// Kafka's `telemetry.max.bytes`.
pub(super) const TELEMETRY_MAX_BYTES: i32 = 1_048_576;
/// The CRC-32C of the empty list of metric names and of the interval: `[]300000`.
const NO_METRICS_CHECKSUM: i32 = -725_132_322;

/// Answers the empty subscription, and gives a client its id.
pub(super) async fn handle(
    context: Context,
    request: GetTelemetrySubscriptionsRequest,
) -> GetTelemetrySubscriptionsResponse {
    let client = request.client_instance_id.non_zero().unwrap_or_else(|| context.broker.env.uuid());
    GetTelemetrySubscriptionsResponse {
        client_instance_id: client,
        subscription_id: subscription_id(client),
        accepted_compression_types: COMPRESSION_TYPES.to_vec(),
        push_interval_ms: PUSH_INTERVAL_MS,
        telemetry_max_bytes: TELEMETRY_MAX_BYTES,
        delta_temporality: true,
        ..Default::default()
    }
}

/// Returns the subscription id as Kafka computes it: the checksum of the wanted metrics, and the
/// client's id folded to 32 bits as `Uuid.hashCode` does.
pub(super) fn subscription_id(client: Uuid) -> i32 {
    let words = client.0.chunks_exact(4).map(|word| word.iter().fold(0, |sum: i32, byte| sum << 8 | i32::from(*byte)));
    words.fold(NO_METRICS_CHECKSUM, |sum, word| sum ^ word)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The answers of Apache Kafka 4.3.1.
    #[test]
    fn subscriptions_have_kafkas_ids() {
        assert_eq!(subscription_id(Uuid([7; 16])), -725_132_322);
        for (client, subscription) in
            [("t53FVStPQa2IZxSatAuEcg", 1_954_107_342), ("HH_a89v0SJmkOXwCr6vXOA", 417_227_406)]
        {
            assert_eq!(client.parse().map(subscription_id), Ok(subscription));
        }
    }
}
