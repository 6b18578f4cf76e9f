//! What a connection of a listener with SASL may send before its client has logged in: ApiVersions,
//! SaslHandshake, and the messages of a mechanism. A refused client is answered and closed after
//! `connection.failed.authentication.delay.ms`.

use super::{Connection, Context, Outcome, Reply, Served, table};
use crate::broker::Broker;
use crate::config::SaslListener;
use crate::security::{Authentication, Done, Gate, Rejected};
use crate::telemetry::Complaint;
use bytes::{BufMut as _, Bytes, BytesMut};
use model::ErrorCode;
use parking_lot::Mutex;
use protocol::messages::api_versions_request::ApiVersionsRequest;
use protocol::messages::api_versions_response::ApiVersionsResponse;
use protocol::messages::sasl_authenticate_request::SaslAuthenticateRequest;
use protocol::messages::sasl_authenticate_response::SaslAuthenticateResponse;
use protocol::messages::sasl_handshake_request::SaslHandshakeRequest;
use protocol::messages::sasl_handshake_response::SaslHandshakeResponse;
use protocol::{ApiKey, FramePart, Message, Reader, RequestPrefix, Str};
use sasl::Mechanism;
use std::sync::Arc;
use std::time::Duration;
use tracing::info;

/// The mechanisms in the order in which Kafka lists them, which is that of their hash codes.
const KAFKAS_ORDER: [Mechanism; 4] =
    [Mechanism::Plain, Mechanism::ScramSha512, Mechanism::ScramSha256, Mechanism::OAuthBearer];

/// The most characters of a client's mechanism that are logged.
const SHOWN_MAX: usize = 40;

/// Serves a frame of a client that logs in. `None` for a frame that is dispatched: a request of a
/// client that has logged in, and ApiVersions.
pub(super) fn serve(broker: &Arc<Broker>, connection: &Arc<Connection>, frame: &Bytes) -> Option<Served> {
    let authentication = connection.authentication.as_ref()?;
    let this = Attempt { broker, connection, authentication };
    let key = RequestPrefix::peek(frame).ok().and_then(|prefix| ApiKey::from_code(prefix.api_key));
    let gate = authentication.lock().gate(broker.clock.both(), || key == Some(ApiKey::SaslHandshake));
    match gate {
        Gate::Open => None,
        Gate::Request { may_ask_versions } => match key {
            Some(ApiKey::ApiVersions) if may_ask_versions => this.ask_versions(frame),
            Some(ApiKey::SaslHandshake) => Some(this.choose(frame)),
            other => Some(this.refuse(None, unexpected(other, "handshake"))),
        },
        Gate::Authenticate if key == Some(ApiKey::SaslAuthenticate) => Some(this.authenticate(frame)),
        Gate::Authenticate => Some(this.refuse(this.illegal_state(frame, key), unexpected(key, "authentication"))),
        Gate::Message => Some(this.message(frame)),
        Gate::Expired => {
            broker.metrics.logins.expired(&connection.listener.name);
            Some(close(None, Duration::ZERO, broker, connection))
        }
        Gate::Refused(why) => Some(this.refuse(None, plain(why))),
    }
}

fn plain(told: impl Into<String>) -> Rejected {
    Rejected { told: told.into(), detail: None }
}

fn unexpected(key: Option<ApiKey>, phase: &str) -> Rejected {
    match key {
        Some(key) => plain(format!("Unexpected Kafka request of type {} during SASL {phase}.", key.name())),
        None => plain("the client sends no request of Kafka's protocol"),
    }
}

/// Closes a connection after a last reply and a delay.
fn close(reply: Option<Reply>, delay: Duration, broker: &Broker, connection: &Connection) -> Served {
    let stopping = broker.stopping_of(&connection.listener).clone();
    Box::pin(async move {
        tokio::select! {
            biased;
            () = stopping.cancelled() => {}
            () = tokio::time::sleep(delay) => {}
        }
        Ok(Outcome::Reply(Reply { close: true, ..reply.unwrap_or_default() }))
    })
}

/// One frame of a client that logs in.
struct Attempt<'a> {
    broker: &'a Arc<Broker>,
    connection: &'a Arc<Connection>,
    authentication: &'a Mutex<Authentication>,
}

impl Attempt<'_> {
    /// Notes a question for the versions, which is dispatched.
    fn ask_versions(&self, frame: &Bytes) -> Option<Served> {
        let version = RequestPrefix::peek(frame).ok()?.api_version;
        if table::row(ApiKey::ApiVersions).is_some_and(|row| row.serves(version)) {
            self.authentication.lock().versions_asked();
        }
        None
    }

    /// Answers SaslHandshake.
    fn choose(&self, frame: &Bytes) -> Served {
        let Some((context, request)) = self.read::<SaslHandshakeRequest>(frame) else {
            return self.refuse(None, plain("a SaslHandshake request that cannot be read"));
        };
        let is_raw = context.version == 0;
        let listener = self.listener();
        let served = KAFKAS_ORDER.iter().filter(|it| listener.mechanisms.contains(it));
        let mechanisms = served.map(|it| Str::const_new(it.name())).collect();
        let asked = Mechanism::from_name(&request.mechanism).filter(|asked| listener.mechanisms.contains(asked));
        let code = if asked.is_some() { ErrorCode::None } else { ErrorCode::UnsupportedSaslMechanism };
        let response = SaslHandshakeResponse { error_code: code.code(), mechanisms, ..Default::default() };
        let reply = context.reply_head().write(&response);
        match (reply, asked) {
            (Ok(reply), Some(mechanism)) => {
                self.authentication.lock().chosen(mechanism, is_raw, &self.broker.env.random_bytes());
                ready(reply)
            }
            (reply, _) => {
                let name: String = request.mechanism.escape_debug().take(SHOWN_MAX).collect();
                self.refuse(reply.ok(), plain(format!("Unsupported SASL mechanism {name}")))
            }
        }
    }

    /// Answers SaslAuthenticate.
    fn authenticate(&self, frame: &Bytes) -> Served {
        let Some((context, request)) = self.read::<SaslAuthenticateRequest>(frame) else {
            return self.refuse(None, plain("a SaslAuthenticate request that cannot be read"));
        };
        let head = context.reply_head();
        match self.evaluate(&request.auth_bytes) {
            Ok((answer, session_lifetime_ms)) => {
                let auth_bytes = answer.into();
                let response = SaslAuthenticateResponse { auth_bytes, session_lifetime_ms, ..Default::default() };
                match head.write(&response) {
                    Ok(reply) => ready(reply),
                    Err(error) => self.refuse(None, plain(error.to_string())),
                }
            }
            Err(rejected) => {
                let response = SaslAuthenticateResponse {
                    error_code: ErrorCode::SaslAuthenticationFailed.code(),
                    error_message: Some(rejected.told.as_str().into()),
                    ..Default::default()
                };
                self.refuse(head.write(&response).ok(), rejected)
            }
        }
    }

    /// Answers a message without a header, as after SaslHandshake in version 0.
    fn message(&self, frame: &Bytes) -> Served {
        match self.evaluate(frame) {
            Ok((answer, _)) => {
                let mut bytes = BytesMut::with_capacity(4 + answer.len());
                bytes.put_u32(u32::try_from(answer.len()).unwrap_or(0));
                bytes.extend_from_slice(&answer);
                ready(Reply { parts: vec![FramePart::Bytes(bytes.freeze())], ..Reply::default() })
            }
            Err(rejected) => self.refuse(None, rejected),
        }
    }

    /// Gives a message to the exchange. Returns the answer, and how long the session lives.
    fn evaluate(&self, message: &[u8]) -> Result<(Vec<u8>, i64), Rejected> {
        let (image, now, listener) = (self.broker.image(), self.broker.clock.both(), self.listener());
        let logins = (&self.broker.logins, listener.as_ref());
        let evaluated = self.authentication.lock().evaluate(message, logins, (&image, now))?;
        let session_ms = evaluated.done.map_or(0, |done| {
            let Done { identity, session_ms, is_again } = done;
            self.connection.identify(identity);
            self.broker.metrics.logins.succeeded(&self.connection.listener.name, is_again);
            session_ms
        });
        Ok((evaluated.answer, session_ms))
    }

    /// Refuses the client.
    fn refuse(&self, reply: Option<Reply>, why: Rejected) -> Served {
        let (mechanism, is_again) = {
            let mut authentication = self.authentication.lock();
            let facts = (authentication.mechanism(), authentication.is_again());
            authentication.failed();
            facts
        };
        self.broker.metrics.logins.failed(&self.connection.listener.name, is_again);
        self.tell(&why, mechanism);
        let delay = self.broker.settings().connection_failed_authentication_delay_ms;
        let delay = Duration::from_millis(u64::try_from(delay).unwrap_or(0));
        close(reply, delay, self.broker, self.connection)
    }

    /// Logs why a client was refused, once for each address and reason in a period.
    fn tell(&self, why: &Rejected, mechanism: Option<Mechanism>) {
        let client = self.connection.peer.ip().to_string();
        let complaint = Complaint { client, reason: why.told.clone() };
        if let Some(left_out) = self.broker.complaints.admit(complaint, self.broker.clock.monotonic()) {
            info!(
                peer = %self.connection.peer,
                listener = %self.connection.listener.name,
                mechanism = mechanism.map(Mechanism::name),
                detail = why.detail.as_deref(),
                left_out = (left_out > 0).then_some(left_out),
                error = %why.told,
                "a client failed to authenticate"
            );
        }
    }

    /// Writes ILLEGAL_SASL_STATE for a request that Kafka answers so.
    fn illegal_state(&self, frame: &Bytes, key: Option<ApiKey>) -> Option<Reply> {
        let error_code = ErrorCode::IllegalSaslState.code();
        match key? {
            ApiKey::SaslHandshake => {
                let (context, _) = self.read::<SaslHandshakeRequest>(frame)?;
                context.reply_head().write(&SaslHandshakeResponse { error_code, ..Default::default() }).ok()
            }
            ApiKey::ApiVersions => {
                let (context, _) = self.read::<ApiVersionsRequest>(frame)?;
                context.reply_head().write(&ApiVersionsResponse { error_code, ..Default::default() }).ok()
            }
            _ => None,
        }
    }

    /// Reads a request. `None` if it cannot be read, or its version is not served.
    fn read<Q: Message>(&self, frame: &Bytes) -> Option<(Context, Q)> {
        let RequestPrefix { api_version: version, correlation_id, .. } = RequestPrefix::peek(frame).ok()?;
        let key = ApiKey::from_code(Q::KEY)?;
        table::row(key).filter(|row| row.serves(version))?;
        let mut body = Reader::new(frame.clone());
        let client_id = protocol::read_request_header(&mut body, key, version).ok()?.client_id;
        let request = Q::decode(&mut body, version).ok()?;
        let (broker, connection) = (self.broker.clone(), self.connection.clone());
        let version_is_unknown = false;
        Some((Context { broker, connection, key, version, correlation_id, version_is_unknown, client_id }, request))
    }

    fn listener(&self) -> Arc<SaslListener> {
        let name = &self.connection.listener.name;
        self.broker.logins.listener(name).cloned().unwrap_or_default()
    }
}

fn ready(reply: Reply) -> Served {
    Box::pin(std::future::ready(Ok(Outcome::Reply(reply))))
}
