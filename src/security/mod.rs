//! Access protection. Today this is only the keys of SCRAM credentials, which are stored for future
//! SASL listeners.

mod scram;

pub use scram::keys;
