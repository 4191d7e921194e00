//! Runs `shmetrics_fuzz::mutated` on inputs of libFuzzer: damaged segments.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| shmetrics_fuzz::mutated::run(input));
