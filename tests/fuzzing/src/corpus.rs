//! Kept inputs, and seeded mutations of them: fuzzing that ends, for tests.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use fastrand::Rng;

use crate::Target;

/// Sets the seed of the mutations, to see a failure again.
pub const SEED_VARIABLE: &str = "MEMOLOCK_FUZZ_SEED";
/// Sets how many there are.
pub const ROUNDS_VARIABLE: &str = "MEMOLOCK_FUZZ_ROUNDS";

const ROUNDS: u64 = 4_000;
const MOST_BYTES: usize = 4_096;

/// Values at the edges of what bytes are taken for: lengths, headers, times.
const EDGES: [&[u8]; 10] = [
    b"\0",
    b"\xff",
    b"\x7f",
    b"\x80",
    b"\xff\xff\xff\xff",
    b"\xff\xff\xff\xff\xff\xff\xff\x7f",
    b"\xc1\x03\0\0\0",
    b"\x01\x40\0\0\0",
    b"\x02\x28\xb5\x2f\xfd",
    b"%40:@/?#[]",
];

/// Runs a target over its kept inputs, then over mutations of them.
///
/// # Panics
/// If the target does; the message names the file, or the seed and the bytes.
pub fn run(name: &str, target: Target) {
    let kept = kept(name);
    assert!(!kept.is_empty(), "{name} has no corpus");
    for (path, bytes) in &kept {
        check(target, bytes, || path.display().to_string());
    }
    let number = |variable| std::env::var(variable).ok().and_then(|n| n.parse().ok());
    let seed = number(SEED_VARIABLE).unwrap_or_else(|| fastrand::u64(..));
    let rounds = number(ROUNDS_VARIABLE).unwrap_or(ROUNDS);
    println!(
        "{name}: {} kept inputs, {rounds} mutations, {SEED_VARIABLE}={seed}",
        kept.len()
    );
    let mut rng = Rng::with_seed(seed);
    for _ in 0..rounds {
        let bytes = mutated(&kept, &mut rng);
        check(target, &bytes, || format!("{SEED_VARIABLE}={seed}"));
    }
}

/// The kept inputs of a target, in the order of their names.
#[must_use]
pub fn kept(name: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("corpus")
        .join(name);
    let entries = fs::read_dir(&directory).into_iter().flatten().flatten();
    let mut paths: Vec<_> = entries.map(|entry| entry.path()).collect();
    paths.sort();
    let read = |path: PathBuf| fs::read(&path).ok().map(|bytes| (path, bytes));
    paths.into_iter().filter_map(read).collect()
}

fn check(target: Target, bytes: &[u8], of: impl Fn() -> String) {
    if catch_unwind(AssertUnwindSafe(|| target(bytes))).is_err() {
        panic!("{}: \"{}\"", of(), bytes.escape_ascii());
    }
}

/// One of the inputs with a few things done to it.
fn mutated(kept: &[(PathBuf, Vec<u8>)], rng: &mut Rng) -> Vec<u8> {
    let pick = |rng: &mut Rng| kept[rng.usize(..kept.len())].1.clone();
    let mut bytes = pick(rng);
    for _ in 0..rng.usize(1..6) {
        let at = rng.usize(..=bytes.len());
        let end = at + rng.usize(..=(bytes.len() - at).min(16));
        match rng.u8(..7) {
            0 if at < bytes.len() => bytes[at] ^= 1 << rng.u8(..8),
            1 if at < bytes.len() => bytes[at] = rng.u8(..),
            2 => bytes.truncate(at),
            3 => drop(bytes.drain(at..end)),
            4 => {
                let part = bytes[at..end].to_vec();
                bytes.splice(at..at, part);
            }
            5 => {
                let edge = rng.choice(EDGES).unwrap_or_default();
                bytes.splice(at..end, edge.iter().copied());
            }
            _ => {
                let other = pick(rng);
                let from = rng.usize(..=other.len());
                bytes.splice(at.., other[from..].iter().copied());
            }
        }
    }
    bytes.truncate(MOST_BYTES);
    bytes
}
