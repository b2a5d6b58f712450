#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| keyhaven_fuzz::text::http_signature(data));
