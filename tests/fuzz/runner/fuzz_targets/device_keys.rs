#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| keyhaven_fuzz::signed::device_keys(data));
