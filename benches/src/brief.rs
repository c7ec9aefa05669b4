//! What the criterion benches share: a runtime, a server, and settings that keep each of them short.

use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion};
use memolock_testkit::TestServer;
use tokio::runtime::Runtime;

use crate::rounds::{Draw, Work, timed};
use crate::squad::Squad;
use crate::strategy::Kind;

/// A runtime and a server of a bench's own. A bench has nobody to return errors to: it panics with them.
pub struct Bench {
    // Dropped first: the server's end needs the runtime.
    server: TestServer,
    runtime: Runtime,
}

/// Settings: ten samples within a second.
#[must_use]
pub fn brief() -> Criterion {
    Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
}

impl Bench {
    /// Starts both.
    ///
    /// # Panics
    /// If there is no server to be had.
    #[must_use]
    pub fn start() -> Self {
        let runtime = Runtime::new().expect("the system has threads");
        let server = runtime.block_on(TestServer::start_local());
        let server = server.unwrap_or_else(|error| panic!("{error}"));
        Self { server, runtime }
    }

    /// The server's.
    #[must_use]
    pub fn url(&self) -> &str {
        self.server.url()
    }

    /// For tasks that run beside what is measured.
    #[must_use]
    pub fn runtime(&self) -> &Runtime {
        &self.runtime
    }

    /// Waits for it.
    ///
    /// # Panics
    /// If it fails.
    pub fn wait<T>(&self, work: impl Future<Output = Result<T>>) -> T {
        let done = self.runtime.block_on(work);
        done.unwrap_or_else(|error| panic!("{error:#}"))
    }

    /// Measures the time of one turn while so many tasks take turns at once.
    ///
    /// # Panics
    /// If one fails.
    pub fn work(
        &self,
        group: &mut BenchmarkGroup<'_, WallTime>,
        name: &str,
        work: &impl Work,
        tasks: usize,
    ) {
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|turns| self.wait(timed(work, tasks, Draw::Any, turns)));
        });
    }

    /// Processes of a strategy; `program` is `memolock-bench`.
    ///
    /// # Panics
    /// If one cannot be started.
    #[must_use]
    pub fn squad(&self, program: &Path, processes: u32, kind: Kind, takes: Duration) -> Squad {
        self.wait(Squad::muster(program, processes, kind, self.url(), takes))
    }

    /// Measures how long the slowest of the callers of a herd takes.
    ///
    /// # Panics
    /// If a caller fails.
    pub fn herds(
        &self,
        group: &mut BenchmarkGroup<'_, WallTime>,
        name: &str,
        squad: &mut Squad,
        callers: u32,
        keys: u32,
    ) {
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|herds| {
                let mut total = Duration::ZERO;
                for _ in 0..herds {
                    let herd = self.wait(squad.herd(callers, keys));
                    assert_eq!(herd.errors, 0, "{:?}", herd.example);
                    total += herd.latency(100);
                }
                total
            });
        });
    }
}
