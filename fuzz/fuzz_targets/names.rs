//! Runs `shmetrics_fuzz::names` on inputs of libFuzzer: names.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| shmetrics_fuzz::names::run(input));
