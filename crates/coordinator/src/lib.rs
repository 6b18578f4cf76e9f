//! The coordinator crate.
