//! ACLs, SCRAM credentials and delegation tokens.

use crate::acl::Acls;
use bytes::Bytes;
use imbl::OrdMap;
use model::Timestamp;
use protocol::Str;

/// Who may do what, and how they prove who they are.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Security {
    /// ACLs.
    pub acls: Acls,
    /// SCRAM credentials by mechanism and user.
    pub scram: OrdMap<(ScramMechanism, Str), ScramCredential>,
    /// Delegation tokens by token id.
    pub tokens: OrdMap<Str, DelegationToken>,
}

/// A SCRAM mechanism (RFC 5802, RFC 7677).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ScramMechanism {
    /// SCRAM-SHA-256.
    Sha256,
    /// SCRAM-SHA-512.
    Sha512,
}

impl ScramMechanism {
    /// The number in records and requests; `None` for an unknown one.
    pub fn from_code(code: i8) -> Option<Self> {
        match code {
            1 => Some(Self::Sha256),
            2 => Some(Self::Sha512),
            _ => None,
        }
    }

    /// The number in records and requests.
    pub fn code(self) -> i8 {
        match self {
            Self::Sha256 => 1,
            Self::Sha512 => 2,
        }
    }

    /// The fewest iterations that Kafka accepts.
    pub fn min_iterations(self) -> i32 {
        4096
    }

    /// The most iterations that Kafka accepts.
    pub fn max_iterations(self) -> i32 {
        16384
    }
}

/// What is stored of a SCRAM password.
#[derive(Clone, PartialEq, Eq)]
pub struct ScramCredential {
    /// The salt.
    pub salt: Bytes,
    /// The hash of the client's key.
    pub stored_key: Bytes,
    /// The server's key.
    pub server_key: Bytes,
    /// How often the password was hashed.
    pub iterations: i32,
}

/// Who has the keys can try passwords, and act as the server.
impl std::fmt::Debug for ScramCredential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ScramCredential").field("iterations", &self.iterations).finish_non_exhaustive()
    }
}

/// A delegation token (KIP-48). Its secret is not stored: it follows from the token id and the
/// cluster's key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DelegationToken {
    /// Whom the token speaks for, as `User:alice`.
    pub owner: Str,
    /// Who asked for it.
    pub requester: Str,
    /// Who else may renew it.
    pub renewers: Vec<Str>,
    /// When it was issued.
    pub issue_timestamp: Timestamp,
    /// Until when it can be renewed.
    pub max_timestamp: Timestamp,
    /// When it expires unless it is renewed.
    pub expiration_timestamp: Timestamp,
}
