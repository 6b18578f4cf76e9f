//! Logs this node in at another one with SASL: SaslHandshake and SaslAuthenticate, on a new
//! connection, before any other request.

use super::{Dial, Io};
use crate::config::{SaslConfig, SaslLogin};
use crate::env::Env;
use model::ErrorCode;
use protocol::messages::request_header::RequestHeader;
use protocol::messages::sasl_authenticate_request::SaslAuthenticateRequest;
use protocol::messages::sasl_authenticate_response::SaslAuthenticateResponse;
use protocol::messages::sasl_handshake_request::SaslHandshakeRequest;
use protocol::messages::sasl_handshake_response::SaslHandshakeResponse;
use protocol::{Message, Reader};
use sasl::client::Client;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tracing::{info, warn};

/// The largest answer to a login.
const ANSWER_BYTES_MAX: usize = 512 * 1024;
/// The versions that every release of Kafka since 2.2 serves.
const VERSION: i16 = 1;
/// The most messages of one login. No mechanism needs as many.
const MESSAGES_MAX: i32 = 8;

/// How connections to other nodes are opened.
#[derive(Clone)]
pub struct Dials {
    /// To see whether somebody listens. No request is sent.
    pub probe: Dial,
    /// To the brokers' listener for each other.
    pub inter_broker: Dial,
    /// To the controllers' listener.
    pub controller: Dial,
}

impl Dials {
    /// Adds to a stream what the configuration says.
    pub fn new(dial: Dial, sasl: &SaslConfig, env: Env) -> Self {
        let with = |login: Option<&Arc<SaslLogin>>| match login {
            Some(login) => logged_in(dial.clone(), login.clone(), env),
            None => dial.clone(),
        };
        let (inter_broker, controller) = (with(sasl.inter_broker.as_ref()), with(sasl.controller.as_ref()));
        Self { probe: dial, inter_broker, controller }
    }
}

/// Opens connections on which this node has logged in.
fn logged_in(dial: Dial, login: Arc<SaslLogin>, env: Env) -> Dial {
    let has_failed = Arc::new(AtomicBool::new(false));
    Arc::new(move |host, port| {
        let dialled = dial(host, port);
        let (login, has_failed, to) = (login.clone(), has_failed.clone(), format!("{host}:{port}"));
        Box::pin(async move {
            let mut stream = dialled.await?;
            let logged_in = log_in(&mut stream, &login, env).await;
            tell(&logged_in, &to, (&login, &has_failed));
            logged_in.map(|()| stream)
        })
    })
}

/// Logs the first of the logins that fail, and the first that succeeds again.
fn tell(logged_in: &io::Result<()>, to: &str, (login, has_failed): (&SaslLogin, &AtomicBool)) {
    let mechanism = login.mechanism.name();
    match logged_in {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            if !has_failed.swap(true, Ordering::Relaxed) {
                let remedy =
                    "compare the username and password of sasl.jaas.config with those that the other node knows";
                warn!(to, mechanism, %error, remedy, "this node could not log in at another one");
            }
        }
        Err(_) => {}
        Ok(()) => {
            if has_failed.swap(false, Ordering::Relaxed) {
                info!(to, mechanism, "this node has logged in at another one");
            }
        }
    }
}

async fn log_in(stream: &mut Box<dyn Io>, login: &SaslLogin, env: Env) -> io::Result<()> {
    let denied = |why: String| io::Error::new(io::ErrorKind::PermissionDenied, format!("its login failed: {why}"));
    let mechanism = login.mechanism;
    let handshake = SaslHandshakeRequest { mechanism: mechanism.name().into(), ..Default::default() };
    let chosen: SaslHandshakeResponse = ask(stream, 0, &handshake).await?;
    if chosen.error_code != 0 {
        let mechanisms: Vec<&str> = chosen.mechanisms.iter().map(|name| name.as_str()).collect();
        let (code, served) = (named(chosen.error_code), mechanisms.join(", "));
        return Err(denied(format!("{code}: the other node serves {served}, and not {}", mechanism.name())));
    }
    let now_ms = env.clock().now().0;
    let (mut client, mut message) = Client::new(mechanism, &login.credentials, &env.random_bytes(), now_ms);
    for number in 1..=MESSAGES_MAX {
        let request = SaslAuthenticateRequest { auth_bytes: message.into(), ..Default::default() };
        let answer: SaslAuthenticateResponse = ask(stream, number, &request).await?;
        if answer.error_code != 0 {
            let why = answer.error_message.as_deref().unwrap_or_default();
            return Err(denied(format!("{}: {why}", named(answer.error_code))));
        }
        match client.evaluate(&answer.auth_bytes).map_err(&denied)? {
            Some(next) => message = next,
            None => return Ok(()),
        }
    }
    Err(denied("it does not end".into()))
}

fn named(code: i16) -> String {
    ErrorCode::from_code(code).map_or_else(|| format!("error {code}"), |code| code.name().to_string())
}

/// Sends a request and waits for its answer.
async fn ask<Q: Message, P: Message>(stream: &mut Box<dyn Io>, correlation_id: i32, request: &Q) -> io::Result<P> {
    let header = RequestHeader {
        request_api_key: Q::KEY,
        request_api_version: VERSION,
        correlation_id,
        client_id: Some("gregor".into()),
        ..Default::default()
    };
    let frame = protocol::write_request(&header, request).and_then(protocol::Writer::into_bytes);
    stream.write_all(&frame.map_err(io::Error::other)?).await?;
    stream.flush().await?;
    let length = usize::try_from(stream.read_i32().await?).ok().filter(|length| *length <= ANSWER_BYTES_MAX);
    let length = length.ok_or_else(|| malformed("an answer that is too large"))?;
    let mut answer = vec![0; length];
    stream.read_exact(&mut answer).await?;
    let mut body = Reader::new(answer.into());
    if body.i32().map_err(malformed)? != correlation_id {
        return Err(malformed("an answer to another request"));
    }
    P::decode(&mut body, VERSION).map_err(malformed)
}

fn malformed(why: impl std::fmt::Display) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("it sent no valid answer to the login: {why}"))
}
