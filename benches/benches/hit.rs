//! Hits: out of the near cache, through each adapter, and the same out of moka and the raw clients; on many keys and
//! on a hot one.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use memolock_benches::adapter::Adapter;
use memolock_benches::brief::{Bench, brief};
use memolock_benches::hits::{Ours, RawFred, RawRedis};
use memolock_benches::near::{Moka, Near};

const KEYS: usize = 1_000;

/// A thousand hits each.
fn near(criterion: &mut Criterion) {
    let bench = Bench::start();
    let mut group = criterion.benchmark_group("hit/near");
    group.throughput(Throughput::Elements(KEYS as u64));
    let near = bench.wait(Near::open(bench.url(), KEYS));
    let moka = bench.wait(async { Ok(Moka::open(KEYS).await) });
    bench.work(&mut group, "memolock", &near, 1);
    bench.work(&mut group, "moka", &moka, 1);
}

fn through(criterion: &mut Criterion) {
    let bench = Bench::start();
    for (keys, tasks) in [(KEYS, 1), (KEYS, 64), (KEYS, 512), (1, 512)] {
        let name = format!("hit/{keys} keys, {tasks} tasks");
        let mut group = criterion.benchmark_group(name);
        group.throughput(Throughput::Elements(1));
        for adapter in Adapter::ALL {
            let ours = bench.wait(Ours::open(adapter, bench.url(), keys));
            bench.work(&mut group, &format!("memolock, {adapter}"), &ours, tasks);
            match adapter {
                Adapter::Memory => {}
                Adapter::RedisRs => {
                    let raw = bench.wait(RawRedis::open(bench.url(), &ours));
                    bench.work(&mut group, "raw GET, redis-rs", &raw, tasks);
                }
                Adapter::Fred => {
                    let raw = bench.wait(RawFred::open(bench.url(), &ours));
                    bench.work(&mut group, "raw GET, fred", &raw, tasks);
                }
            }
        }
    }
}

criterion_group! { name = benches; config = brief(); targets = near, through }
criterion_main!(benches);
