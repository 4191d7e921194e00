#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| shmetrics_fuzz::negotiation::run(input));
