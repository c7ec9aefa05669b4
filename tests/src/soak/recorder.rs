//! Facts on their way from a worker: in order, and through the pipe before anybody depends on them.

use std::io::Write;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, PoisonError};

use tokio::sync::oneshot;

use super::clock::{Micros, now};
use super::wire::{Fact, What};

/// Takes facts and writes them as lines, several at once where they come quickly.
#[derive(Debug)]
pub(crate) struct Recorder {
    /// Under a lock, so that the times of facts are in the order of the facts.
    facts: Mutex<Sender<(Fact, Option<oneshot::Sender<()>>)>>,
}

impl Recorder {
    /// Writes to `out` from a thread of its own, until `out` refuses.
    #[must_use]
    pub(crate) fn to(out: impl Write + Send + 'static) -> Self {
        let (facts, coming) = channel();
        std::thread::spawn(move || write(out, &coming));
        Self {
            facts: Mutex::new(facts),
        }
    }

    /// Notes what happens now, and says when that is.
    pub(crate) fn note(&self, what: What) -> Micros {
        self.send(what, None)
    }

    /// Notes it and waits until it is in the pipe, where no SIGKILL reaches it any more.
    pub(crate) async fn deliver(&self, what: What) -> Micros {
        let (told, written) = oneshot::channel();
        let at = self.send(what, Some(told));
        // If the conductor is gone, so are we in a moment.
        let _ = written.await;
        at
    }

    fn send(&self, what: What, told: Option<oneshot::Sender<()>>) -> Micros {
        let facts = self.facts.lock().unwrap_or_else(PoisonError::into_inner);
        let at = now();
        // As above.
        let _ = facts.send((Fact { at, what }, told));
        at
    }
}

fn write(mut out: impl Write, coming: &Receiver<(Fact, Option<oneshot::Sender<()>>)>) {
    let mut lines = Vec::new();
    let mut told = Vec::new();
    while let Ok(first) = coming.recv() {
        for (fact, tell) in std::iter::once(first).chain(coming.try_iter()) {
            serde_json::to_writer(&mut lines, &fact).expect("plain data is JSON");
            lines.push(b'\n');
            told.extend(tell);
        }
        if out.write_all(&lines).and_then(|()| out.flush()).is_err() {
            return;
        }
        lines.clear();
        for tell in told.drain(..) {
            let _ = tell.send(());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[derive(Clone, Default)]
    struct Shared(Arc<Mutex<Vec<u8>>>);

    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn what_is_delivered_is_written_with_everything_before_it_and_in_order() {
        let out = Shared::default();
        let recorder = Recorder::to(out.clone());
        for number in 0..100 {
            recorder.note(What::Wrote { number, done: true });
        }
        recorder.deliver(What::Hello).await;
        let written = String::from_utf8(out.0.lock().unwrap().clone()).unwrap();
        let facts: Vec<Fact> = written
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert!(facts.is_sorted_by_key(|fact| fact.at));
        let expected = (0..100).map(|number| What::Wrote { number, done: true });
        let said: Vec<_> = facts.into_iter().map(|fact| fact.what).collect();
        assert_eq!(said, expected.chain([What::Hello]).collect::<Vec<_>>());
    }
}
