//! From the end of a compute in one client to its value in a caller of another: idle, and with 64 busy callers beside.

use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use memolock_benches::adapter::Adapter;
use memolock_benches::brief::{Bench, brief};
use memolock_benches::handoff::Handoff;

const NOISE: usize = 64;

fn handoff(criterion: &mut Criterion) {
    let bench = Bench::start();
    for (name, tasks) in [("idle", 0), ("loaded", NOISE)] {
        let mut group = criterion.benchmark_group(format!("handoff/{name}"));
        for adapter in Adapter::ALL {
            let handoff = bench.wait(Handoff::open(adapter, bench.url()));
            let _within = bench.runtime().enter();
            let _noise = handoff.noise(tasks);
            let name = adapter.to_string();
            group.bench_function(name, |bencher| {
                bencher.iter_custom(|times| {
                    bench.wait(async {
                        let mut total = Duration::ZERO;
                        for _ in 0..times {
                            total += handoff.once().await?;
                        }
                        Ok(total)
                    })
                });
            });
        }
    }
}

criterion_group! { name = benches; config = brief(); targets = handoff }
criterion_main!(benches);
