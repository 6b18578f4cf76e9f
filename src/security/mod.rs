//! What protects access: today the keys of SCRAM credentials, which are stored for listeners that will ask for them.

mod scram;

pub use scram::keys;
