//! Who a client is, once its connection is authenticated.

use protocol::Str;
use std::fmt;

/// The principal of a client: a type and a name. Kafka writes it `User:alice`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Principal {
    /// Its type: `User`, if no principal builder makes others.
    pub kind: Str,
    /// Its name, within the type.
    pub name: Str,
}

impl Principal {
    /// The principal of a connection that is not authenticated.
    pub const ANONYMOUS: Principal = Principal::user(Str::const_new("ANONYMOUS"));

    /// Returns the principal of a user.
    pub const fn user(name: Str) -> Self {
        Self { kind: Str::const_new("User"), name }
    }
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.kind, self.name)
    }
}

/// What a connection's authentication found out about its client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Who the client is.
    pub principal: Principal,
    /// Whether it authenticated with a delegation token. Such a client may create no other token
    /// (KIP-48).
    pub is_token_authenticated: bool,
}

impl Identity {
    /// The identity of a connection that is not authenticated.
    pub const ANONYMOUS: Identity = Identity { principal: Principal::ANONYMOUS, is_token_authenticated: false };
}
