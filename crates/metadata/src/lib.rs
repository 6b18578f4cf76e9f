//! The metadata crate.
