//! Any bytes through the framer and the decoder of the Messages protocol, and as a refusal.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    completiond_fuzz::decode("anthropic", input);
    completiond_fuzz::refuse("anthropic", input);
});
