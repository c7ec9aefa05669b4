//! Stored bytes over their corpus and mutations of it: alone in its program, since the allocator counts
//! for all threads.

use memolock_fuzzing::{corpus, stored_bytes};

#[test]
fn r8_stored_bytes_through_every_codec() {
    corpus::run("stored_bytes", stored_bytes);
}
