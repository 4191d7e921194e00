//! Runs `shmetrics_fuzz::reader` on inputs of libFuzzer: segments of any bytes.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| shmetrics_fuzz::reader::run(input));
