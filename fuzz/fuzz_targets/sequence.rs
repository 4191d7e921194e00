//! Runs `shmetrics_fuzz::sequence` on inputs of libFuzzer: sequences of calls.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| shmetrics_fuzz::sequence::run(input));
