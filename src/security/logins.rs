//! How clients log in at the listeners with SASL: the state of one connection's authentication, and
//! what its exchanges ask for.
//!
//! Invariants: a connection that has not logged in gets no further than [`Authentication`] lets it;
//! who is logged in does not change while the connection is open.

use super::{Identity, Principal};
use crate::config::{SaslConfig, SaslListener};
use crate::env::Env;
use metadata::image::{Image, ScramMechanism};
use model::Now;
use sasl::scram::server::{Account, Wanted};
use sasl::scram::{Credential, Hash};
use sasl::server::{Facts, Server};
use sasl::{Answer, Failure, Login, Mechanism};
use std::sync::Arc;
use std::time::Duration;

/// How often a client may authenticate again. An earlier attempt is answered as if there were no
/// sessions.
const REAUTHENTICATION_MIN_MS: u64 = 1000;

/// How long a connection may take to authenticate.
pub const AUTHENTICATION_MAX: Duration = Duration::from_secs(60);

/// What logins of all listeners ask for.
pub struct Logins {
    config: SaslConfig,
    /// A secret of this process.
    decoy: [u8; 32],
}

impl std::fmt::Debug for Logins {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Logins").field("config", &self.config).finish_non_exhaustive()
    }
}

impl Logins {
    /// Takes the configuration of a node.
    pub fn new(config: SaslConfig, env: Env) -> Self {
        Self { config, decoy: env.random_bytes() }
    }

    /// Returns what a listener asks of clients; `None` for one without SASL.
    pub fn listener(&self, name: &str) -> Option<&Arc<SaslListener>> {
        self.config.listeners.get(name)
    }

    /// Gives a message of a client to its exchange.
    fn evaluate(
        &self,
        (server, listener): (&mut Server, &SaslListener),
        message: &[u8],
        (image, now): (&Image, Now),
    ) -> Result<Answer, Failure> {
        let account = |wanted: &Wanted<'_>| account(image, wanted);
        let facts = Facts {
            users: &listener.users,
            account: &account,
            decoy: &self.decoy,
            unsecured: &listener.unsecured,
            now_ms: now.wall.0,
        };
        server.evaluate(message, &facts)
    }
}

/// Returns the account of a user. A delegation token has none yet.
fn account(image: &Image, wanted: &Wanted<'_>) -> Option<Account> {
    let mechanism = match wanted.hash {
        Hash::Sha256 => ScramMechanism::Sha256,
        Hash::Sha512 => ScramMechanism::Sha512,
    };
    let stored = image.security.scram.get(&(mechanism, wanted.name.into())).filter(|_| !wanted.is_token)?;
    let credential = Credential {
        salt: stored.salt.to_vec(),
        stored_key: stored.stored_key.to_vec(),
        server_key: stored.server_key.to_vec(),
        iterations: stored.iterations,
    };
    Some(Account { credential, user: wanted.name.to_string(), expires_ms: None })
}

/// The authentication of one connection.
#[derive(Debug)]
pub struct Authentication {
    phase: Phase,
    /// The login that counts while the client authenticates again.
    previous: Option<Established>,
    /// When the client last began to authenticate again.
    last_again_ms: Option<u64>,
}

/// What a connection may send.
#[derive(Debug)]
enum Phase {
    /// ApiVersions or SaslHandshake.
    VersionsOrHandshake,
    /// SaslHandshake.
    Handshake,
    /// Messages of a mechanism: in SaslAuthenticate requests, or as they are (`is_raw`).
    Exchange { server: Server, mechanism: Mechanism, is_raw: bool },
    /// Anything; the next message is refused.
    OtherMechanism { asked: Mechanism, before: Mechanism },
    /// Any request.
    Done(Established),
    /// Nothing.
    Failed,
}

/// A login.
#[derive(Clone, Debug)]
struct Established {
    mechanism: Mechanism,
    user: String,
    /// When the session ends, in milliseconds of the monotonic clock.
    ends_ms: Option<u64>,
}

/// What happens with the next frame of a connection.
#[derive(Debug, PartialEq, Eq)]
pub enum Gate {
    /// It is a request of a client that has logged in.
    Open,
    /// It is a request before an exchange.
    Request {
        /// Whether ApiVersions is answered.
        may_ask_versions: bool,
    },
    /// It is a message of a mechanism, in a SaslAuthenticate request.
    Authenticate,
    /// It is a message of a mechanism.
    Message,
    /// The session has ended.
    Expired,
    /// It is refused.
    Refused(String),
}

/// The answer to a message of a mechanism.
#[derive(Debug)]
pub struct Evaluated {
    /// The bytes for the client.
    pub answer: Vec<u8>,
    /// The client, if it has logged in now.
    pub done: Option<Done>,
}

/// A login that was accepted.
#[derive(Debug, PartialEq, Eq)]
pub struct Done {
    /// Who the client is.
    pub identity: Identity,
    /// How long the session lives; 0 without a limit.
    pub session_ms: i64,
    /// Whether the client had logged in before.
    pub is_again: bool,
}

/// A login that failed: what the client is told, and what only the log is told.
#[derive(Debug, PartialEq, Eq)]
pub struct Rejected {
    /// For the client.
    pub told: String,
    /// For the log.
    pub detail: Option<String>,
}

impl Default for Authentication {
    fn default() -> Self {
        Self { phase: Phase::VersionsOrHandshake, previous: None, last_again_ms: None }
    }
}

impl Authentication {
    /// Whether the client has logged in, now or before.
    pub fn is_done(&self) -> bool {
        matches!(self.phase, Phase::Done(_)) || self.previous.is_some()
    }

    /// Whether the client authenticates again.
    pub fn is_again(&self) -> bool {
        self.previous.is_some()
    }

    /// Decides what the next frame is. `is_handshake` says whether it is a SaslHandshake request.
    pub fn gate(&mut self, now: Now, is_handshake: impl FnOnce() -> bool) -> Gate {
        match &self.phase {
            Phase::VersionsOrHandshake => Gate::Request { may_ask_versions: true },
            Phase::Handshake => Gate::Request { may_ask_versions: false },
            Phase::Exchange { is_raw: true, .. } => Gate::Message,
            Phase::Exchange { is_raw: false, .. } => Gate::Authenticate,
            Phase::OtherMechanism { asked, before } => Gate::Refused(format!(
                "SASL mechanism '{}' requested by client is not supported for re-authentication of mechanism '{}'",
                asked.name(),
                before.name()
            )),
            Phase::Failed => Gate::Refused("the client failed to authenticate before".into()),
            Phase::Done(established) => {
                let Some(ends_ms) = established.ends_ms else { return Gate::Open };
                let now_ms = now.monotonic.0;
                let is_soon =
                    self.last_again_ms.is_some_and(|last| now_ms.saturating_sub(last) < REAUTHENTICATION_MIN_MS);
                if is_handshake() && !is_soon {
                    self.last_again_ms = Some(now_ms);
                    self.previous = Some(established.clone());
                    self.phase = Phase::Handshake;
                    return Gate::Request { may_ask_versions: false };
                }
                if now_ms > ends_ms { Gate::Expired } else { Gate::Open }
            }
        }
    }

    /// The client has asked for the versions.
    pub fn versions_asked(&mut self) {
        self.phase = Phase::Handshake;
    }

    /// The client has chosen a mechanism.
    pub fn chosen(&mut self, mechanism: Mechanism, is_raw: bool, random: &[u8; 24]) {
        self.phase = match &self.previous {
            Some(previous) if previous.mechanism != mechanism => {
                Phase::OtherMechanism { asked: mechanism, before: previous.mechanism }
            }
            _ => Phase::Exchange { server: Server::new(mechanism, random), mechanism, is_raw },
        };
    }

    /// Nothing more is answered.
    pub fn failed(&mut self) {
        self.phase = Phase::Failed;
    }

    /// Returns the mechanism of the exchange, or of the login.
    pub fn mechanism(&self) -> Option<Mechanism> {
        match &self.phase {
            Phase::Exchange { mechanism, .. } => Some(*mechanism),
            Phase::Done(established) => Some(established.mechanism),
            Phase::VersionsOrHandshake | Phase::Handshake | Phase::OtherMechanism { .. } | Phase::Failed => None,
        }
    }

    /// Gives a message of the client to the exchange. The caller ends a connection that is
    /// rejected.
    pub fn evaluate(
        &mut self,
        message: &[u8],
        (logins, listener): (&Logins, &SaslListener),
        (image, now): (&Image, Now),
    ) -> Result<Evaluated, Rejected> {
        let is_again = self.previous.is_some();
        let Phase::Exchange { server, mechanism, .. } = &mut self.phase else {
            return Err(Rejected { told: "no SASL mechanism was chosen".into(), detail: None });
        };
        let mechanism = *mechanism;
        match logins.evaluate((server, listener), message, (image, now)) {
            Ok(Answer::Challenge(answer)) => Ok(Evaluated { answer, done: None }),
            Ok(Answer::Done(answer, login)) => {
                let done = self.established(mechanism, login, (listener, now));
                done.map(|done| Evaluated { answer, done: Some(done) })
            }
            Err(failure) => Err(rejected(failure, mechanism, is_again)),
        }
    }

    fn established(
        &mut self,
        mechanism: Mechanism,
        login: Login,
        (listener, now): (&SaslListener, Now),
    ) -> Result<Done, Rejected> {
        let previous = self.previous.clone();
        if let Some(previous) = previous.as_ref().filter(|previous| previous.user != login.user) {
            let (before, now) = (&previous.user, &login.user);
            let told = format!("Cannot change principals during re-authentication from User.{before}: User.{now}");
            return Err(Rejected { told, detail: None });
        }
        let lives_ms = login.expires_ms.map(|expires_ms| expires_ms.saturating_sub(now.wall.0));
        let session_ms = match (lives_ms, listener.max_session_ms(mechanism)) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
        let session_ms = session_ms.map(|ms| ms.max(0));
        let lives = session_ms.and_then(|ms| u64::try_from(ms).ok());
        let ends_ms = lives.map(|ms| now.monotonic.0.saturating_add(ms));
        let principal = Principal::user(login.user.as_str().into());
        self.previous = None;
        self.phase = Phase::Done(Established { mechanism, user: login.user, ends_ms });
        let identity = Identity { principal, is_token_authenticated: login.is_token };
        Ok(Done { identity, session_ms: session_ms.unwrap_or(0), is_again: previous.is_some() })
    }
}

fn rejected(failure: Failure, mechanism: Mechanism, is_again: bool) -> Rejected {
    match failure {
        Failure::Told(told) => Rejected { told, detail: None },
        Failure::Untold(detail) => {
            let phase = if is_again { "re-authentication" } else { "authentication" };
            let name = mechanism.name();
            let told =
                format!("Authentication failed during {phase} due to invalid credentials with SASL mechanism {name}");
            Rejected { told, detail: Some(detail) }
        }
    }
}
