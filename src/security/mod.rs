//! Access protection: who a client is, how it logs in, and the keys of SCRAM credentials.

mod authorizer;
mod logins;
mod principal;
mod scram;

pub use authorizer::{AUTHORIZER_TARGET, Action, Authorizer, java_address};
pub use logins::{AUTHENTICATION_MAX, Authentication, Done, Evaluated, Gate, Logins, Rejected};
pub use principal::{Identity, Principal};
pub use scram::keys;
