//! Any bytes through the framer and the decoder of chat completions, with reasoning between tags and without, and as a
//! refusal.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    completiond_fuzz::decode("openai", input);
    completiond_fuzz::decode("openai-compatible", input);
    completiond_fuzz::refuse("openai", input);
});
