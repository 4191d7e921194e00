//! Runs `shmetrics_fuzz::sparse` on inputs of libFuzzer: sparse files.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| shmetrics_fuzz::sparse::run(input));
