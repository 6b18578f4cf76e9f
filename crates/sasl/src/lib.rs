//! SASL as machines: bytes of the other side in, bytes for it out. Both sides of PLAIN (RFC 4616),
//! SCRAM (RFC 5802, RFC 7677) and OAUTHBEARER (RFC 7628), and the JAAS text that configures them.
//!
//! Invariants: no input makes a machine panic; randomness and time are arguments; comparisons of
//! secrets take the same time whatever they hold; an unknown user costs what a known one costs; no
//! `Debug` form and no failure holds a secret.

pub mod client;
pub mod jaas;
pub mod oauthbearer;
pub mod plain;
pub mod scram;
pub mod server;
mod tokens;

use std::fmt;

/// A text that is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Hides a text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Returns the text.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[hidden]")
    }
}

/// A SASL mechanism.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mechanism {
    /// A user and a password.
    Plain,
    /// SCRAM-SHA-256.
    ScramSha256,
    /// SCRAM-SHA-512.
    ScramSha512,
    /// A token of an OAuth server.
    OAuthBearer,
}

impl Mechanism {
    /// All mechanisms.
    pub const ALL: [Mechanism; 4] =
        [Mechanism::Plain, Mechanism::ScramSha256, Mechanism::ScramSha512, Mechanism::OAuthBearer];

    /// Returns its registered name.
    pub fn name(self) -> &'static str {
        match self {
            Mechanism::Plain => "PLAIN",
            Mechanism::ScramSha256 => "SCRAM-SHA-256",
            Mechanism::ScramSha512 => "SCRAM-SHA-512",
            Mechanism::OAuthBearer => "OAUTHBEARER",
        }
    }

    /// Returns the mechanism of this name, in exactly these letters, as in Kafka.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mechanism| mechanism.name() == name)
    }

    /// Returns the login module of Kafka that configures it.
    pub fn login_module(self) -> &'static str {
        match self {
            Mechanism::Plain => "org.apache.kafka.common.security.plain.PlainLoginModule",
            Mechanism::ScramSha256 | Mechanism::ScramSha512 => {
                "org.apache.kafka.common.security.scram.ScramLoginModule"
            }
            Mechanism::OAuthBearer => "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule",
        }
    }
}

/// Who has logged in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    /// The user: the name of the principal.
    pub user: String,
    /// Whether the user logged in with a delegation token (KIP-48).
    pub is_token: bool,
    /// When the credential ends, in milliseconds since 1970.
    pub expires_ms: Option<i64>,
}

/// What a server answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The exchange goes on with this challenge.
    Challenge(Vec<u8>),
    /// The client has logged in, and gets these last bytes.
    Done(Vec<u8>, Login),
}

/// Why a login failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The client is told this text.
    Told(String),
    /// The client is told only that its credentials are invalid. The text is for the log.
    Untold(String),
}

impl Failure {
    fn told(text: impl Into<String>) -> Self {
        Failure::Told(text.into())
    }

    fn untold(text: impl Into<String>) -> Self {
        Failure::Untold(text.into())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Told(text) | Failure::Untold(text) => f.write_str(text),
        }
    }
}

/// Whether two secrets of the same kind are equal. The time depends on their lengths only.
fn is_equal(one: &[u8], other: &[u8]) -> bool {
    let difference = one.iter().zip(other).fold(0, |difference, (one, other)| difference | (one ^ other));
    std::hint::black_box(difference) == 0 && one.len() == other.len()
}
