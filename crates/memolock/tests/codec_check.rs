//! A codec that writes what it cannot read back is found, once, and no value is refused for it.

#![allow(clippy::unwrap_used)]

mod common;

use std::collections::{HashMap, HashSet};
use std::io;
use std::sync::{Arc, Mutex};

use common::Spy;
use memolock::{Builder, Memolock};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tracing::subscriber::DefaultGuard;

/// Everything that this thread logs.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Log {
    fn begin() -> (Self, DefaultGuard) {
        let log = Self::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_ansi(false)
            .with_writer(move || writer.clone())
            .finish();
        let guard = tracing::subscriber::set_default(subscriber);
        (log, guard)
    }

    fn warnings(&self) -> Vec<String> {
        let text = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
        let lines = text.lines().filter(|line| line.contains("WARN"));
        lines.map(str::to_owned).collect()
    }
}

/// Stores each value by a compute and by a put. The warnings, and how many values are stored.
async fn warnings<T>(
    values: Vec<T>,
    set: impl FnOnce(Builder<T>) -> Builder<T>,
) -> (Vec<String>, usize)
where
    T: Serialize + DeserializeOwned + Clone + Send + Sync + 'static,
{
    let (log, _guard) = Log::begin();
    let builder = Memolock::builder("checked", Spy::new());
    let checked = set(builder).build().await.unwrap();
    let mut stored = 0;
    for (nth, value) in values.into_iter().enumerate() {
        let (computed, put) = (format!("computed {nth}"), format!("put {nth}"));
        checked.put(&put, &value).await.unwrap();
        let compute = |_| async { Ok::<_, io::Error>(value) };
        checked.get_or_compute(&computed, compute).await.unwrap();
        for id in [computed, put] {
            let found = checked.inspect(&id).await.unwrap();
            stored += usize::from(found.value.is_some());
        }
    }
    assert_eq!(checked.stats().unstored, 0);
    checked.close().await;
    (log.warnings(), stored)
}

#[tokio::test]
async fn a_value_that_does_not_come_back_is_logged_once_and_stored() {
    let lost = vec![Some(f64::NAN), Some(f64::INFINITY)];
    let (warned, stored) = warnings(lost, |builder| builder.check_codec(true)).await;
    assert_eq!(warned.len(), 1, "{warned:?}");
    assert!(
        warned[0].contains("checked") && warned[0].contains("another value"),
        "{warned:?}"
    );
    assert_eq!(stored, 4);
}

#[tokio::test]
async fn a_value_that_cannot_be_read_is_logged_once_and_stored() {
    let lost = vec![f64::NAN, f64::NEG_INFINITY];
    let (warned, stored) = warnings(lost, |builder| builder.check_codec(true)).await;
    assert_eq!(warned.len(), 1, "{warned:?}");
    assert!(warned[0].contains("does not read it back"), "{warned:?}");
    assert_eq!(stored, 4);
}

#[tokio::test]
async fn sound_values_are_logged_never_and_maps_and_sets_are_sound() {
    let sets = |n: u32| -> HashMap<String, HashSet<u32>> {
        (0..50)
            .map(|id| (id.to_string(), (0..n).collect()))
            .collect()
    };
    let (warned, stored) = warnings(vec![sets(1), sets(40)], |b| b.check_codec(true)).await;
    assert_eq!((warned.len(), stored), (0, 4), "{warned:?}");
}

/// Tests are built with debug assertions.
#[tokio::test]
async fn the_check_is_on_in_debug_builds_and_a_switch_turns_it_off() {
    let (warned, _) = warnings(vec![Some(f64::NAN)], |builder| builder).await;
    assert_eq!(
        warned.len(),
        usize::from(cfg!(debug_assertions)),
        "{warned:?}"
    );
    let (warned, _) = warnings(vec![Some(f64::NAN)], |builder| builder.check_codec(false)).await;
    assert_eq!(warned.len(), 0, "{warned:?}");
}

#[tokio::test]
async fn large_values_are_not_checked() {
    let large = vec![vec![Some(f64::NAN); 300_000]];
    let (warned, stored) = warnings(large, |builder| builder.check_codec(true)).await;
    assert_eq!((warned.len(), stored), (0, 2), "{warned:?}");
}
