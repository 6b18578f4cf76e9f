//! Runs `entries/batches.rs` under libFuzzer.
#![no_main]

#[path = "../entries/batches.rs"]
mod entry;

libfuzzer_sys::fuzz_target!(|input: &[u8]| entry::run(input));
