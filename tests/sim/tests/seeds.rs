//! Seeds that once failed, arbitrary ones, and a few fresh ones: every promise is kept, and the same seed
//! does the same again.

#![allow(clippy::unwrap_used)]

use std::panic;
use std::process::Command;

use memolock_sim::run;

const CORPUS: &str = include_str!("../seeds.txt");
/// Arbitrary ones beside the corpus.
const ARBITRARY: u64 = 300;
/// As many as a few seconds of a slow build allow.
const FRESH: u64 = 300;

fn corpus() -> impl Iterator<Item = u64> {
    let lines = CORPUS.lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| {
        line.split_whitespace()
            .next()
            .map(|seed| seed.parse().unwrap())
    })
}

fn keep_every_promise(seeds: impl Iterator<Item = u64>) {
    silence_simulated_panics();
    for seed in seeds {
        let broken = run(seed).unwrap().broken;
        let replay = "cargo xtask simulate --trace --seed";
        assert!(broken.is_empty(), "{replay} {seed}: {broken:#?}");
    }
}

#[test]
fn seeds_that_once_failed() {
    assert!(corpus().count() > 0);
    keep_every_promise(corpus());
}

#[test]
fn arbitrary_seeds() {
    keep_every_promise(0..ARBITRARY);
}

#[test]
fn fresh_seeds() {
    let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_nanos();
    let first = (now % (1 << 40)) as u64;
    keep_every_promise(first..first + FRESH);
}

/// In this process, on several threads at once.
#[test]
fn the_same_seed_does_the_same() {
    silence_simulated_panics();
    let traces = || (0..60).map(trace).collect::<Vec<_>>();
    let all: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..3).map(|_| scope.spawn(traces)).collect();
        threads.into_iter().map(|t| t.join().unwrap()).collect()
    });
    for (seed, first) in all[0].iter().enumerate() {
        for other in &all[1..] {
            assert!(*first == other[seed], "seed {seed} has two traces");
        }
    }
}

/// And in another one, which hashes and addresses differently.
#[test]
fn the_same_seed_does_the_same_in_another_process() {
    silence_simulated_panics();
    for seed in [3, 1_004_670_177_743, 674_911_411_042] {
        let seed_text = seed.to_string();
        let mut simulate = Command::new(env!("CARGO_BIN_EXE_simulate"));
        let output = simulate.args(["--seed", &seed_text, "--trace"]).output();
        let printed = String::from_utf8(output.unwrap().stdout).unwrap();
        assert!(printed.contains(&trace(seed)), "seed {seed} has two traces");
    }
}

fn trace(seed: u64) -> String {
    let history = run(seed).unwrap().history;
    history
        .entries
        .iter()
        .map(|entry| format!("{entry}\n"))
        .collect()
}

/// Computes panic on purpose; anybody else's panic is shown as ever.
fn silence_simulated_panics() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let shown = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            if panic.payload().downcast_ref::<&str>() != Some(&"simulated") {
                shown(panic);
            }
        }));
    });
}
