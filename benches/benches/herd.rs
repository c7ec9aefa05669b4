//! Herds: how long the slowest of many callers takes, by tasks, processes, keys and adapter; a compute takes 10 ms.

use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use memolock_benches::adapter::Adapter;
use memolock_benches::brief::{Bench, brief};
use memolock_benches::strategy::Kind;

const PROGRAM: &str = env!("CARGO_BIN_EXE_memolock-bench");

fn herd(criterion: &mut Criterion) {
    let bench = Bench::start();
    for adapter in Adapter::ALL {
        let mut group = criterion.benchmark_group(format!("herd/{adapter}"));
        for (tasks, processes, keys) in [
            (100, 1, 1),
            (10_000, 1, 1),
            (10_000, 1, 1_000),
            (10_000, 4, 1),
            (10_000, 4, 1_000),
        ] {
            if adapter == Adapter::Memory && processes > 1 {
                continue;
            }
            let name = format!("{tasks} tasks, {processes} processes, {keys} keys");
            let kind = Kind::Memolock(adapter);
            let takes = Duration::from_millis(10);
            let mut squad = bench.squad(PROGRAM.as_ref(), processes, kind, takes);
            bench.herds(&mut group, &name, &mut squad, tasks, keys);
        }
    }
}

criterion_group! { name = benches; config = brief(); targets = herd }
criterion_main!(benches);
