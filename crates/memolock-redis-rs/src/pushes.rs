//! What the server pushes, on its way to the task that owns the connection, and no more than a bound of it.
//!
//! The client reads the socket in a task of its own and may not wait in it. If the owner gets no processor time
//! meanwhile, what anybody publishes would gather here without end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};

use memolock_core::ErrorKind;
use memolock_core::redis::Fault;
use redis::{PushInfo, PushKind, Value};
use tokio::sync::mpsc::error::TryRecvError;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// Bytes that may wait to be read: what a Redis keeps for a slow subscriber, by default, before it drops it. One
/// push is taken whatever its size. Who falls further behind starts over with a new connection.
const UNREAD_BYTES: usize = 32 << 20;

/// What a push weighs besides its strings, about.
const OVERHEAD: usize = 256;

/// The end of the connection's owner.
pub(crate) struct Pushes {
    queue: UnboundedReceiver<PushInfo>,
    gauge: Arc<Gauge>,
}

/// What both ends know.
#[derive(Debug)]
struct Gauge {
    bound: usize,
    unread: AtomicUsize,
    behind: AtomicBool,
}

/// The end of the client.
pub(crate) struct PushSender {
    queue: UnboundedSender<PushInfo>,
    gauge: Arc<Gauge>,
}

/// A queue for the pushes of one connection.
pub(crate) fn channel() -> (PushSender, Pushes) {
    bounded(UNREAD_BYTES)
}

fn bounded(bound: usize) -> (PushSender, Pushes) {
    let (sender, receiver) = unbounded_channel();
    let gauge = Arc::new(Gauge {
        bound,
        unread: AtomicUsize::new(0),
        behind: AtomicBool::new(false),
    });
    let sender = PushSender {
        queue: sender,
        gauge: Arc::clone(&gauge),
    };
    let receiver = Pushes {
        queue: receiver,
        gauge,
    };
    (sender, receiver)
}

impl redis::aio::AsyncPushSender for PushSender {
    fn send(&self, push: PushInfo) -> Result<(), redis::aio::SendError> {
        if self.gauge.behind.load(SeqCst) {
            return Err(redis::aio::SendError);
        }
        let weight = weight(&push);
        let unread = self.gauge.unread.fetch_add(weight, SeqCst);
        if unread > 0 && unread.saturating_add(weight) > self.gauge.bound {
            self.gauge.behind.store(true, SeqCst);
            // The owner may have emptied the queue this very moment, and be about to sleep.
            let _ = self.queue.send(the_end());
            return Err(redis::aio::SendError);
        }
        self.queue.send(push).map_err(|_| redis::aio::SendError)
    }
}

impl Pushes {
    /// The next push. Cancel-safe.
    ///
    /// # Errors
    /// The connection is gone, or has to go.
    pub(crate) async fn recv(&mut self) -> Result<PushInfo, Fault> {
        self.keeps_up()?;
        let push = self.queue.recv().await;
        self.taken(push.ok_or_else(Fault::lost)?)
    }

    /// The next push, if there is one already.
    ///
    /// # Errors
    /// As [`recv`](Self::recv).
    pub(crate) fn try_recv(&mut self) -> Result<Option<PushInfo>, Fault> {
        self.keeps_up()?;
        match self.queue.try_recv() {
            Ok(push) => self.taken(push).map(Some),
            Err(TryRecvError::Empty) => Ok(None),
            Err(TryRecvError::Disconnected) => Err(Fault::lost()),
        }
    }

    /// What was dropped is told by a gap, and that means a new connection: the rest is not worth reading.
    fn keeps_up(&self) -> Result<(), Fault> {
        match self.gauge.behind.load(SeqCst) {
            false => Ok(()),
            true => Err(Fault::new(
                ErrorKind::Unavailable,
                "messages came faster than they were read",
            )),
        }
    }

    fn taken(&self, push: PushInfo) -> Result<PushInfo, Fault> {
        self.keeps_up()?;
        self.gauge.unread.fetch_sub(weight(&push), SeqCst);
        match push.kind {
            PushKind::Disconnection => Err(Fault::lost()),
            _ => Ok(push),
        }
    }
}

/// As the client says that the connection is gone.
fn the_end() -> PushInfo {
    PushInfo {
        kind: PushKind::Disconnection,
        data: Vec::new(),
    }
}

fn weight(push: &PushInfo) -> usize {
    OVERHEAD + push.data.iter().map(strings).sum::<usize>()
}

/// What the strings in it weigh. Invalidations hold a list of them.
fn strings(value: &Value) -> usize {
    match value {
        Value::BulkString(bytes) => bytes.len(),
        Value::SimpleString(text) => text.len(),
        Value::Array(items) => items
            .iter()
            .map(|item| size_of::<Value>() + strings(item))
            .sum(),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use redis::aio::AsyncPushSender;

    const BOUND: usize = 64 << 10;

    fn message(bytes: usize) -> PushInfo {
        let data = vec![
            Value::BulkString(b"c".into()),
            Value::BulkString(vec![7; bytes]),
        ];
        PushInfo {
            kind: PushKind::Message,
            data,
        }
    }

    fn is_taken(sender: &PushSender, bytes: usize) -> bool {
        sender.send(message(bytes)).is_ok()
    }

    #[tokio::test]
    async fn what_waits_to_be_read_is_bounded() {
        for size in [0, 1000, 10_000] {
            let (sender, mut pushes) = bounded(BOUND);
            let taken = (0..1_000_000).take_while(|_| is_taken(&sender, size));
            let bytes = taken.count() * (size + OVERHEAD);
            assert!(bytes > BOUND / 2 && bytes <= BOUND, "{bytes}");
            assert!(!is_taken(&sender, 0), "it has to go");
            let fault = pushes.recv().await.unwrap_err();
            assert_eq!(fault.kind(), ErrorKind::Unavailable);
            assert!(fault.detail().contains("faster"), "{}", fault.detail());
            assert!(pushes.try_recv().is_err());
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn who_falls_behind_while_it_falls_asleep_is_woken() {
        for _ in 0..2000 {
            let (sender, mut pushes) = bounded(BOUND);
            let flood = tokio::task::spawn_blocking(move || {
                while is_taken(&sender, BOUND / 2) {}
                sender
            });
            let reads = async { while pushes.recv().await.is_ok() {} };
            let woken = tokio::time::timeout(std::time::Duration::from_secs(30), reads);
            assert!(woken.await.is_ok(), "it sleeps");
            drop(flood.await.unwrap());
        }
    }

    #[tokio::test]
    async fn one_push_is_taken_whatever_its_size_and_what_was_read_counts_no_more() {
        let (sender, mut pushes) = bounded(BOUND);
        for _ in 0..20 {
            assert!(is_taken(&sender, 2 * BOUND));
            assert!(pushes.recv().await.is_ok());
            assert!(is_taken(&sender, BOUND / 2));
            assert!(pushes.try_recv().unwrap().is_some());
            assert!(pushes.try_recv().unwrap().is_none());
        }
    }

    #[test]
    fn the_names_of_an_invalidation_weigh() {
        let names = vec![Value::BulkString(vec![7; 1000]); 10];
        let push = PushInfo {
            kind: PushKind::Invalidate,
            data: vec![Value::Array(names)],
        };
        assert!(weight(&push) > 10_000);
    }

    #[tokio::test]
    async fn the_end_of_the_connection_is_told() {
        let (sender, mut pushes) = bounded(BOUND);
        assert!(sender.send(the_end()).is_ok());
        assert_eq!(pushes.recv().await.unwrap_err(), Fault::lost());
        drop(sender);
        assert_eq!(pushes.recv().await.unwrap_err(), Fault::lost());
        assert_eq!(pushes.try_recv().unwrap_err(), Fault::lost());
    }
}
