//! What a user would otherwise pick: the slowest of 200 callers of one key in two processes; a query takes 10 ms.

use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use memolock_benches::brief::{Bench, brief};
use memolock_benches::strategy::Kind;

const PROGRAM: &str = env!("CARGO_BIN_EXE_memolock-bench");

fn strategies(criterion: &mut Criterion) {
    let bench = Bench::start();
    let mut group = criterion.benchmark_group("strategies");
    for kind in Kind::ALL {
        let mut squad = bench.squad(PROGRAM.as_ref(), 2, kind, Duration::from_millis(10));
        bench.herds(&mut group, &kind.to_string(), &mut squad, 200, 1);
    }
}

criterion_group! { name = benches; config = brief(); targets = strategies }
criterion_main!(benches);
