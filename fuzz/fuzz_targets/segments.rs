//! Runs `entries/segments.rs` under libFuzzer.
#![no_main]

#[path = "../entries/segments.rs"]
mod entry;

libfuzzer_sys::fuzz_target!(|input: &[u8]| entry::run(input));
