//! Runs `entries/requests.rs` under libFuzzer.
#![no_main]

#[path = "../entries/requests.rs"]
mod entry;

libfuzzer_sys::fuzz_target!(|input: &[u8]| entry::run(input));
