//! ApiVersions (key 18), versions 0-4: lists the requests and versions that this listener serves.
//!
//! - 1: adds the throttle time.
//! - 3: is flexible; adds the name and version of the client's software (KIP-511) and the features
//!   (KIP-584).
//! - 4: includes features whose lowest level is 0 (KAFKA-17011).
//!
//! The header of the response has version 0 in all versions. A request in an unknown version gets
//! an answer in version 0, which lists only this request with the versions that are served
//! (KIP-511).

use super::{Context, ON_CONTROLLER, TABLE};
use metadata::version::{FEATURES, KRAFT_VERSION};
use model::ErrorCode;
use protocol::messages::api_versions_request::ApiVersionsRequest;
use protocol::messages::api_versions_response::{
    ApiVersion, ApiVersionsResponse, FinalizedFeatureKey, SupportedFeatureKey,
};
use protocol::{ApiKey, Str};

/// The version that stands for every version that is not served: the answer has format version 0.
pub(super) const UNSUPPORTED: i16 = 0;

/// Answers the requests that this listener serves, and the cluster's features.
pub(super) async fn handle(context: Context, request: ApiVersionsRequest) -> ApiVersionsResponse {
    if context.version_is_unknown {
        let (min_version, max_version) = served(ApiKey::ApiVersions);
        let only = ApiVersion { api_key: ApiKey::ApiVersions as i16, min_version, max_version, ..Default::default() };
        let error_code = ErrorCode::UnsupportedVersion.code();
        return ApiVersionsResponse { error_code, api_keys: vec![only], ..Default::default() };
    }
    let names_software = context.version >= 3;
    if names_software {
        let (name, version) = (request.client_software_name, request.client_software_version);
        if !is_software_name(&name) || !is_software_name(&version) {
            return ApiVersionsResponse { error_code: ErrorCode::InvalidRequest.code(), ..Default::default() };
        }
        *context.connection.software.lock() = Some((name, version));
    }
    let image = context.broker.image();
    let may_tell_level_zero = context.version >= 4;
    let supported = FEATURES.iter().filter(|feature| may_tell_level_zero || feature.min > 0);
    let kraft_version = context.broker.controller.kraft_version();
    let finalized = image.features.finalized().filter(|(_, level)| *level > 0);
    let finalized = finalized.chain((kraft_version > 0).then_some((KRAFT_VERSION, kraft_version)));
    ApiVersionsResponse {
        api_keys: advertised(context.connection.listener.is_controller),
        supported_features: supported
            .map(|feature| SupportedFeatureKey {
                name: Str::const_new(feature.name),
                min_version: feature.min,
                max_version: feature.max,
                ..Default::default()
            })
            .collect(),
        finalized_features_epoch: image.provenance.last_offset.map_or(-1, |offset| offset.0),
        finalized_features: finalized
            .map(|(name, level)| FinalizedFeatureKey {
                name: name.into(),
                max_version_level: level,
                min_version_level: level,
                ..Default::default()
            })
            .collect(),
        ..Default::default()
    }
}

fn served(key: ApiKey) -> (i16, i16) {
    TABLE.iter().find(|row| row.key == key).map_or((0, 0), |row| row.versions)
}

/// Returns the requests that a listener advertises. As in Kafka, client telemetry is served but not
/// advertised without a receiver.
fn advertised(is_controller: bool) -> Vec<ApiVersion> {
    let wanted = if is_controller { ON_CONTROLLER } else { super::ON_BROKER };
    let rows = TABLE.iter().filter(|row| row.on & wanted != 0);
    let rows = rows.filter(|row| !matches!(row.key, ApiKey::GetTelemetrySubscriptions | ApiKey::PushTelemetry));
    rows.map(|row| ApiVersion {
        api_key: row.key as i16,
        min_version: row.versions.0,
        max_version: row.versions.1,
        ..Default::default()
    })
    .collect()
}

/// Whether the name has only letters and digits, with dots and dashes between them.
fn is_software_name(name: &str) -> bool {
    let is_end = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    is_end(name.chars().next())
        && is_end(name.chars().next_back())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '.' || c == '-')
}
