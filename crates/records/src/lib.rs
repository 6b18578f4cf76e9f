//! The records crate.
