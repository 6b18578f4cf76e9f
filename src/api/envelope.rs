//! Envelope (key 58), version 0: carries a request that a broker forwards to the controller
//! (KIP-590).
//!
//! This file forwards requests of clients to the active controller on another node, in an Envelope
//! with the client's principal, and opens the Envelopes of other nodes.
//!
//! A request is forwarded as the client sent it, and the answer goes back as it came: both ends use
//! the client's version and correlation id. If this node's controller is active, nothing is
//! forwarded. If no controller can be reached in time, the request is served here, and its answer
//! has NOT_CONTROLLER in the form of that request.

use super::authorization::Operation;
use super::table::{self, Row};
use super::{Connection, Context, Outcome, Refused, Reply, Served, begin};
use crate::runtime::controller::Forwarded;
use crate::security::{Identity, Principal};
use bytes::{Bytes, BytesMut};
use model::ErrorCode;
use protocol::messages::default_principal_data::DefaultPrincipalData;
use protocol::messages::envelope_request::EnvelopeRequest;
use protocol::messages::envelope_response::EnvelopeResponse;
use protocol::messages::incremental_alter_configs_request::IncrementalAlterConfigsRequest;
use protocol::{ApiKey, FramePart, Message, Reader, RequestPrefix, decode_from, encode_versioned};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// The length of the field before a frame.
const LENGTH_BYTES: usize = 4;
/// The version of a principal in an Envelope.
const PRINCIPAL_VERSION: i16 = 0;
/// How often a request is served here, while this node's controller becomes active and resigns by
/// turns.
const ATTEMPTS_HERE_MAX: usize = 5;
/// Kafka's number for the resource type of a broker's loggers.
const BROKER_LOGGER: i8 = 8;

/// Serves the request in an Envelope.
pub(super) async fn handle(context: Context, request: EnvelopeRequest) -> EnvelopeResponse {
    let opened = match context.need_of_cluster(Operation::ClusterAction) {
        Ok(()) => open(context, request).await,
        Err(code) => Err(code),
    };
    match opened {
        Ok(data) => EnvelopeResponse { response_data: Some(data), ..Default::default() },
        Err(error) => EnvelopeResponse { error_code: error.code(), ..Default::default() },
    }
}

/// Serves a request that the controller decides, from a listener of clients. A client does not
/// learn of it when the controller changes: the request goes to the next one.
pub(super) fn serve(row: &'static Row, context: Context, frame: Bytes, body: Reader) -> Served {
    if changes_loggers(&context, &body) {
        return (row.serve)(context, body);
    }
    Box::pin(async move {
        let active = context.broker.active_controller.clone();
        let mut attempts = 0;
        loop {
            if !active.is_here() {
                let envelope = envelope(&context, frame.clone())?;
                match active.forward(envelope, &context.broker.stopping).await {
                    Forwarded::Answered(answer) => return reply(answer),
                    Forwarded::NotAnswered => return (row.serve)(context, body).await,
                    Forwarded::Here => {}
                }
            }
            attempts += 1;
            match (row.serve)(context.clone(), body.clone()).await {
                // The controller resigned meanwhile.
                Ok(Outcome::Reply(reply)) if reply.is_not_controller && attempts < ATTEMPTS_HERE_MAX => {}
                outcome => return outcome,
            }
        }
    })
}

/// Makes a frame of the answer in an Envelope.
fn reply(answer: Bytes) -> Result<Outcome, Refused> {
    let length = i32::try_from(answer.len()).map_err(|_| Refused::Reply("an answer too long".into()))?;
    let length = Bytes::copy_from_slice(&length.to_be_bytes());
    let parts = vec![FramePart::Bytes(length), FramePart::Bytes(answer)];
    Ok(Outcome::Reply(Reply { parts, ..Reply::default() }))
}

/// Whether a request changes loggers: those of the broker that the client asked.
fn changes_loggers(context: &Context, body: &Reader) -> bool {
    if context.key != ApiKey::IncrementalAlterConfigs {
        return false;
    }
    let request = IncrementalAlterConfigsRequest::decode(&mut body.clone(), context.version);
    request.is_ok_and(|request| request.resources.iter().any(|one| one.resource_type == BROKER_LOGGER))
}

/// Puts a request into an Envelope, with the identity of its client.
fn envelope(context: &Context, frame: Bytes) -> Result<EnvelopeRequest, Refused> {
    let Identity { principal, is_token_authenticated } = context.connection.identity().clone();
    let principal = DefaultPrincipalData {
        r#type: principal.kind,
        name: principal.name,
        token_authenticated: is_token_authenticated,
        ..Default::default()
    };
    let address = match context.connection.peer.ip().to_canonical() {
        IpAddr::V4(address) => Bytes::copy_from_slice(&address.octets()),
        IpAddr::V6(address) => Bytes::copy_from_slice(&address.octets()),
    };
    Ok(EnvelopeRequest {
        request_data: frame,
        request_principal: Some(encode_versioned(PRINCIPAL_VERSION, PRINCIPAL_VERSION, &principal)?),
        client_host_address: address,
        ..Default::default()
    })
}

/// Serves the request in an Envelope. Errors, as in Kafka: PRINCIPAL_DESERIALIZATION_FAILURE
/// without a valid principal; INVALID_REQUEST for a client without an address, bytes that are no
/// request, and a request that is not forwarded; NOT_CONTROLLER where this node's controller is not
/// active, so that the sender looks for the other one.
async fn open(context: Context, envelope: EnvelopeRequest) -> Result<Bytes, ErrorCode> {
    let identity = envelope.request_principal.and_then(|bytes| identity(&bytes));
    let identity = identity.ok_or(ErrorCode::PrincipalDeserializationFailure)?;
    let address = client_address(&envelope.client_host_address).ok_or(ErrorCode::InvalidRequest)?;
    let frame = envelope.request_data;
    let prefix = RequestPrefix::peek(&frame).map_err(|_| ErrorCode::InvalidRequest)?;
    let row = ApiKey::from_code(prefix.api_key).and_then(table::row).filter(|row| row.is_forwarded);
    let row = row.ok_or(ErrorCode::InvalidRequest)?;
    if !row.serves(prefix.api_version) {
        return Err(ErrorCode::UnsupportedVersion);
    }
    let listener = context.connection.listener.clone();
    if !context.broker.active_controller.is_here() {
        // Kafka answers so only where the request's own answer has this error. A broker that asks
        // for the quorum's state would then never look for the new controller.
        return Err(ErrorCode::NotController);
    }
    let client = Connection::forwarded(context.connection.id, listener, SocketAddr::new(address, 0), identity);
    let (_, served) = begin(context.broker, Arc::new(client), frame).map_err(|_| ErrorCode::InvalidRequest)?;
    match served.await {
        Ok(Outcome::Reply(reply)) if reply.is_not_controller => Err(ErrorCode::NotController),
        Ok(Outcome::Reply(reply)) => data(reply).ok_or(ErrorCode::UnknownServerError),
        Ok(Outcome::Later(_) | Outcome::Silence) => Err(ErrorCode::UnknownServerError),
        Err(_) => Err(ErrorCode::InvalidRequest),
    }
}

/// Reads the identity of a client. `None` if the bytes are no principal.
fn identity(bytes: &Bytes) -> Option<Identity> {
    let version = i16::from_be_bytes(*bytes.first_chunk()?);
    let DefaultPrincipalData { r#type, name, token_authenticated, .. } =
        decode_from(bytes.slice(size_of_val(&version)..), version).ok()?;
    Some(Identity { principal: Principal { kind: r#type, name }, is_token_authenticated: token_authenticated })
}

fn client_address(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.len() {
        4 => <[u8; 4]>::try_from(bytes).ok().map(IpAddr::from),
        16 => <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from),
        _ => None,
    }
}

/// Returns a reply's header and body in one piece. `None` if some of its bytes are elsewhere.
fn data(reply: Reply) -> Option<Bytes> {
    let mut whole = BytesMut::with_capacity(reply.len());
    for part in reply.parts {
        match part {
            FramePart::Bytes(bytes) => whole.extend_from_slice(&bytes),
            FramePart::Elsewhere { .. } => return None,
        }
    }
    Some(whole.freeze().slice(LENGTH_BYTES..))
}
