//! A hundred ids at once, stored before: by one call for all, by as many calls side by side, and by the raw client's MGET.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use memolock_benches::adapter::Adapter;
use memolock_benches::batch::{Mget, SideBySide, Together};
use memolock_benches::brief::{Bench, brief};
use memolock_benches::hits::Ours;

const IDS: usize = 100;

fn batch(criterion: &mut Criterion) {
    let bench = Bench::start();
    let mut group = criterion.benchmark_group("batch");
    group.throughput(Throughput::Elements(IDS as u64));
    for adapter in Adapter::ALL {
        let ours = bench.wait(Ours::open(adapter, bench.url(), IDS));
        let name = |what: &str| format!("{what}, {adapter}");
        let (one, calls) = (Together::new(&ours), SideBySide::new(&ours));
        bench.work(&mut group, &name("one call"), &one, 1);
        bench.work(&mut group, &name("calls side by side"), &calls, 1);
        if adapter == Adapter::RedisRs {
            let raw = bench.wait(Mget::open(bench.url(), &ours));
            bench.work(&mut group, "raw MGET, redis-rs", &raw, 1);
        }
    }
}

criterion_group! { name = benches; config = brief(); targets = batch }
criterion_main!(benches);
