//! Runs `entries/frames.rs` under libFuzzer.
#![no_main]

#[path = "../entries/frames.rs"]
mod entry;

libfuzzer_sys::fuzz_target!(|input: &[u8]| entry::run(input));
