//! Access protection: who a client is, and the keys of SCRAM credentials, which are stored for
//! future SASL listeners.

mod principal;
mod scram;

pub use principal::{Identity, Principal};
pub use scram::keys;
