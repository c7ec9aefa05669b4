//! A compute that goes on for long is warned of. Alone in its process: interest in a log line is the whole process's.
#![allow(clippy::unwrap_used)]

mod common;

use std::fmt::{Debug, Write};
use std::future::pending;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::{Spy, nothing_left, process};
use tokio::time::sleep;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::{DefaultGuard, Subscriber, set_default};
use tracing::{Event, Level, Metadata};

/// After a minute, and at each doubling: with the key, the age, and the settings that bound it.
#[tokio::test(start_paused = true)]
async fn a_compute_that_goes_on_for_long_is_warned_of() {
    let logged = Logged::here();
    let spy = Spy::new();
    let likes = process(&spy).await;
    let hangs = {
        let likes = likes.clone();
        tokio::spawn(async move {
            let compute = |_| pending::<Result<String, String>>();
            likes.get_or_compute("a", compute).await
        })
    };
    sleep(Duration::from_secs(400)).await;
    let warnings = logged.containing("holds its key for long");
    let ages = ["60s", "120s", "240s"];
    assert_eq!(warnings.len(), ages.len(), "{warnings:?}");
    for (warning, age) in warnings.iter().zip(ages) {
        for part in ["likes:a", age, "max_lease", "compute_timeout"] {
            assert!(warning.contains(part), "{warning}");
        }
    }
    let lost = logged.containing("lease lost");
    assert!(
        matches!(&lost[..], [line] if line.contains("max_lease")),
        "{lost:?}"
    );
    hangs.abort();
    nothing_left(&spy, &[&likes]).await;
    assert_eq!(logged.containing("holds its key for long").len(), 3);
}

/// Warnings, as lines.
struct Logged {
    lines: Arc<Mutex<Vec<String>>>,
    _guard: DefaultGuard,
}

impl Logged {
    /// From now on, in this thread.
    fn here() -> Self {
        let lines = Arc::<Mutex<Vec<String>>>::default();
        let guard = set_default(Keeps(Arc::clone(&lines)));
        Self {
            lines,
            _guard: guard,
        }
    }

    /// The lines with this in them.
    fn containing(&self, part: &str) -> Vec<String> {
        let lines = self.lines.lock().unwrap();
        lines.iter().filter(|l| l.contains(part)).cloned().collect()
    }
}

struct Keeps(Arc<Mutex<Vec<String>>>);

impl Subscriber for Keeps {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= Level::WARN
    }

    fn event(&self, event: &Event<'_>) {
        let mut line = Line(String::new());
        event.record(&mut line);
        self.0.lock().unwrap().push(line.0);
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let _ = write!(self.0, "{}={value:?} ", field.name());
    }
}
