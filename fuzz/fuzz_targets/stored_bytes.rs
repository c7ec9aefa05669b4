//! Lets libFuzzer look for bytes that break `stored_bytes`: see `tests/fuzzing`.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| memolock_fuzzing::stored_bytes(data));
