//! Lets libFuzzer look for bytes that break `names`: see `tests/fuzzing`.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| memolock_fuzzing::names(data));
