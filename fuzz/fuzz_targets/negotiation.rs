//! Runs `shmetrics_fuzz::negotiation` on inputs of libFuzzer: `Accept` headers.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| shmetrics_fuzz::negotiation::run(input));
