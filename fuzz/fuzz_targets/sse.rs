//! Any bytes through the framer of event streams.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| completiond_fuzz::sse(input));
