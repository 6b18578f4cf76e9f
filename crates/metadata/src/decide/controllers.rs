//! ControllerRegistration (KIP-919).

use super::{Decided, Decision};
use crate::image::{BrokerListener, Controller, Image, SupportedVersions};
use crate::snapshot;
use model::{ApiError, BrokerId, ErrorCode};
use protocol::messages::controller_registration_request::ControllerRegistrationRequest;
use protocol::messages::controller_registration_response::ControllerRegistrationResponse;

/// Registers a controller. Errors: UNSUPPORTED_VERSION below 3.7-IV0.
pub fn register_controller(
    image: &Image,
    request: &ControllerRegistrationRequest,
) -> Decided<ControllerRegistrationResponse> {
    if !image.features.version().has_controller_registration() {
        let message = "The current MetadataVersion is too old to support controller registrations.";
        return Err(ApiError::new(ErrorCode::UnsupportedVersion, message));
    }
    let controller = Controller {
        id: BrokerId(request.controller_id),
        incarnation_id: request.incarnation_id,
        // Like Kafka from 4.0 on, whatever the request says.
        zk_migration_ready: false,
        listeners: request
            .listeners
            .iter()
            .map(|it| BrokerListener {
                name: it.name.clone(),
                host: it.host.clone(),
                port: it.port,
                security_protocol: it.security_protocol,
            })
            .collect(),
        features: request
            .features
            .iter()
            .map(|it| {
                let range = SupportedVersions { min: it.min_supported_version, max: it.max_supported_version };
                (it.name.clone(), range)
            })
            .collect(),
    };
    Ok(Decision::atomic(vec![snapshot::register_controller(&controller)], Default::default()))
}
