//! The conformance suite of the testkit: bare, in an `Arc` and boxed.

use memolock_core::{Backend, async_trait};
use memolock_memory::MemoryBackend;
use memolock_testkit::suite::{Harness, HarnessError, Report, Suite, Wrapping};

/// Clones of one store.
struct Clones(MemoryBackend);

#[async_trait]
impl Harness for Clones {
    async fn client(&self) -> Result<Box<dyn Backend>, HarnessError> {
        Ok(Box::new(self.0.clone()))
    }

    /// Closing one clone closes all, so it is another store.
    async fn spare(&self) -> Result<Box<dyn Backend>, HarnessError> {
        Ok(Box::new(MemoryBackend::new()))
    }
}

async fn report(wrapping: Wrapping) -> Report {
    let suite = Suite::new(Clones(MemoryBackend::new()));
    suite.wrapping(wrapping).run().await
}

/// It has no line that could break, and no stranger can damage what it stores.
fn only_skips_what_it_cannot_have(report: &Report) {
    let rooms = ["gaps::", "damage::", "many::r8_"];
    let cannot_have = |name: &str| rooms.iter().any(|room| name.starts_with(room));
    let skipped: Vec<&str> = report.skipped().collect();
    assert!(skipped.iter().all(|name| cannot_have(name)), "{report}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bare() {
    let report = report(Wrapping::Bare).await;
    report.assert_ok();
    only_skips_what_it_cannot_have(&report);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_an_arc() {
    report(Wrapping::InArc).await.assert_ok();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn boxed() {
    report(Wrapping::Boxed).await.assert_ok();
}

/// A backend without an async runtime's threads works on one thread too.
#[tokio::test]
async fn on_one_thread() {
    report(Wrapping::Bare).await.assert_ok();
}
