//! Boxes for the futures of a hot path, used again.
//!
//! The futures of clients' commands are one to seven KiB, nearly all of it for what seldom happens. Allocators keep
//! small sizes at hand and not these, so that a box for each hit costs a fifth of the hits; and to move such a future
//! into a box costs as much again. So what is boxed goes on for ever: it is given the words of a command, carries it out
//! in its own room, and waits for the next.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use memolock_core::striped::StripedPool;

/// Kept for each thread: as many as a crowd of callers needs anyway while it asks, two megabytes at the most.
const KEPT: usize = 256;

/// What passes between a call and its box. Both are of one task, so nobody ever waits for the lock.
enum Slot<I, O> {
    Empty,
    Given(I),
    Done(O),
}

type Shared<I, O> = Arc<Mutex<Slot<I, O>>>;

/// It never ends.
type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

struct Room<I, O> {
    slot: Shared<I, O>,
    work: Work,
}

/// Boxes for one kind of work, which turns an `I` into an `O`. A box whose call has ended holds nothing of it.
pub struct Boxes<I, O> {
    used: StripedPool<Room<I, O>>,
    build: Box<dyn Fn(Shared<I, O>) -> Work + Send + Sync>,
}

/// A call in its box, which it leaves behind at its end; if it is dropped before, the box goes with it.
#[must_use = "futures do nothing unless polled"]
pub struct Boxed<'b, I, O> {
    boxes: &'b Boxes<I, O>,
    /// None once it has ended.
    room: Option<Room<I, O>>,
}

impl<I: Send + 'static, O: Send + 'static> Boxes<I, O> {
    /// None yet; they are made as they are needed.
    pub fn new<F>(work: impl Fn(I) -> F + Copy + Send + Sync + 'static) -> Self
    where
        F: Future<Output = O> + Send + 'static,
    {
        let build = move |slot: Shared<I, O>| -> Work {
            Box::pin(async move {
                loop {
                    let given = Given(&slot).await;
                    let done = work(given).await;
                    *lock(&slot) = Slot::Done(done);
                }
            })
        };
        Self {
            used: StripedPool::new(KEPT),
            build: Box::new(build),
        }
    }

    /// Has the work done; it begins with the first poll.
    pub fn call(&self, given: I) -> Boxed<'_, I, O> {
        let room = self.used.take().unwrap_or_else(|| {
            let slot = Arc::new(Mutex::new(Slot::Empty));
            let work = (self.build)(Arc::clone(&slot));
            Room { slot, work }
        });
        *lock(&room.slot) = Slot::Given(given);
        Boxed {
            boxes: self,
            room: Some(room),
        }
    }
}

impl<I, O> Future for Boxed<'_, I, O> {
    type Output = O;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<O> {
        let Some(mut room) = self.room.take() else {
            // It has ended, and is not to be polled again.
            return Poll::Pending;
        };
        // Should it panic, the room is gone with it.
        let _ = room.work.as_mut().poll(cx);
        let slot = std::mem::replace(&mut *lock(&room.slot), Slot::Empty);
        match slot {
            Slot::Done(done) => {
                self.boxes.used.put(room);
                Poll::Ready(done)
            }
            // It took what it was given at its first poll.
            Slot::Empty | Slot::Given(_) => {
                self.room = Some(room);
                Poll::Pending
            }
        }
    }
}

/// What the box was given. Who gives polls next, so that nobody needs to be woken.
struct Given<'s, I, O>(&'s Shared<I, O>);

impl<I, O> Future for Given<'_, I, O> {
    type Output = I;

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<I> {
        let mut slot = lock(self.0);
        match std::mem::replace(&mut *slot, Slot::Empty) {
            Slot::Given(given) => Poll::Ready(given),
            other => {
                *slot = other;
                Poll::Pending
            }
        }
    }
}

fn lock<I, O>(slot: &Shared<I, O>) -> MutexGuard<'_, Slot<I, O>> {
    // No code that can panic runs under the lock.
    slot.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::panic::AssertUnwindSafe;

    use futures_util::FutureExt;
    use futures_util::future::join_all;

    /// Doubles after so many turns; at a million it never ends, and at 13 it panics.
    async fn double((n, held): (u32, Arc<()>)) -> u32 {
        for _ in 0..n.min(10) {
            tokio::task::yield_now().await;
        }
        assert_ne!(n, 13, "bad luck");
        if n == 1_000_000 {
            let () = std::future::pending().await;
        }
        drop(held);
        2 * n
    }

    #[tokio::test]
    async fn a_box_is_used_again_and_holds_nothing_meanwhile() {
        let (boxes, held) = (Boxes::new(double), Arc::new(()));
        for n in 0..4 {
            assert_eq!(boxes.call((n, Arc::clone(&held))).await, 2 * n);
            assert_eq!(Arc::strong_count(&held), 1);
            let left = boxes.used.take().expect("a box");
            assert!(boxes.used.take().is_none(), "one box is enough");
            boxes.used.put(left);
        }
    }

    #[tokio::test]
    async fn calls_at_once_have_a_box_each() {
        let (boxes, held) = (Boxes::new(double), Arc::new(()));
        let calls = (0..100).map(|n| boxes.call((n + 100, Arc::clone(&held))));
        let doubled = join_all(calls).await;
        assert!((0..).zip(doubled).all(|(n, got)| got == 2 * (n + 100)));
    }

    #[tokio::test]
    async fn a_call_that_is_dropped_takes_its_box_along() {
        let (boxes, held) = (Boxes::new(double), Arc::new(()));
        for polled in [false, true] {
            let mut call = boxes.call((1_000_000, Arc::clone(&held)));
            if polled {
                assert_eq!((&mut call).now_or_never(), None);
            }
            drop(call);
            assert_eq!(Arc::strong_count(&held), 1);
            assert!(boxes.used.take().is_none());
        }
    }

    #[tokio::test]
    async fn a_call_that_panics_takes_its_box_along() {
        let (boxes, held) = (Boxes::new(double), Arc::new(()));
        let call = AssertUnwindSafe(boxes.call((13, Arc::clone(&held))));
        assert!(call.catch_unwind().await.is_err());
        assert!(boxes.used.take().is_none());
        assert_eq!(boxes.call((1, held)).await, 2);
    }
}
