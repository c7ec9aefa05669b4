//! Tags that alias in Redis are told once in a process, over every backend; what the embedded one does with them.
#![cfg(feature = "json")]
#![allow(clippy::unwrap_used)]

use std::io::Write;
use std::sync::{Arc, Mutex};

use memolock::Memolock;
use memolock::memory::MemoryBackend;
use tracing_subscriber::filter::LevelFilter;

/// What a logger wrote.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(line);
        Ok(line.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Log {
    /// Everything that is logged by this thread from now on, as lines that speak of aliases.
    fn begin() -> (Self, tracing::subscriber::DefaultGuard) {
        let log = Self::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(LevelFilter::WARN)
            .with_ansi(false)
            .with_writer(move || writer.clone())
            .finish();
        (log, tracing::subscriber::set_default(subscriber))
    }

    fn aliases(&self) -> Vec<String> {
        let log = self.0.lock().unwrap();
        let text = String::from_utf8_lossy(&log);
        let lines = text.lines().filter(|line| line.contains("alias"));
        lines.map(str::to_owned).collect()
    }
}

async fn built(tag: &str) -> Memolock<String> {
    // Each over a store of its own: a process cannot know what another one shares with it.
    let built = Memolock::builder(tag, MemoryBackend::new()).build();
    built.await.unwrap()
}

#[tokio::test]
async fn two_tags_that_alias_are_one_warning() {
    let (log, _logged) = Log::begin();
    let long = built("aliases:posts").await;
    assert_eq!(log.aliases(), [""; 0]);
    let short = built("aliases").await;
    let lines = log.aliases();
    assert_eq!(lines.len(), 1, "{lines:?}");
    for part in ["WARN", "tag=aliases ", "other=aliases:posts", "Rename"] {
        assert!(lines[0].contains(part), "{part}: {lines:?}");
    }
    let again = built("aliases").await;
    drop((short, again));
    let once_more = built("aliases").await;
    assert_eq!(log.aliases().len(), 1, "told once");
    let other = built("aliasesx").await;
    assert_eq!(log.aliases().len(), 1, "this one does not alias");
    drop((long, once_more, other));
}

#[tokio::test]
async fn a_tag_that_is_no_longer_used_is_not_told() {
    let (log, _logged) = Log::begin();
    drop(built("left:posts").await);
    // Its tasks end by themselves; the tag is given back with the memolock.
    let _short = built("left").await;
    assert_eq!(log.aliases(), [""; 0]);
}

#[tokio::test]
async fn the_embedded_store_keeps_tag_and_id_apart() {
    let store = MemoryBackend::new();
    let of = |tag: &str| Memolock::<String>::builder(tag, store.clone()).build();
    let (short, long) = (of("apart").await.unwrap(), of("apart:b").await.unwrap());
    short.put("b:c", &"short".into()).await.unwrap();
    assert!(long.get("c").await.unwrap().is_none());
    long.put("c", &"long".into()).await.unwrap();
    assert_eq!(*short.get("b:c").await.unwrap().unwrap(), "short");
}
