//! Access protection: who a client is, and the keys of SCRAM credentials, which are stored for
//! future SASL listeners.

mod authorizer;
mod principal;
mod scram;

pub use authorizer::{AUTHORIZER_TARGET, Action, Authorizer, java_address};
pub use principal::{Identity, Principal};
pub use scram::keys;
