//! Boxes for the futures of a hot path, used again.
//!
//! The futures of clients' commands are one to seven KiB, nearly all of it for what seldom happens. Allocators keep
//! small sizes at hand and not these, so that a box for each hit costs half as much as the hit itself.

use std::pin::Pin;
use std::task::{Context, Poll};

use memolock_core::striped::StripedPool;
use tokio_util::sync::ReusableBoxFuture;

/// Kept for each thread: as many as a crowd of callers needs anyway while it asks, a megabyte or two.
const KEPT: usize = 256;

/// Boxes that calls have left behind; a call that has ended holds nothing. Meant for one type of future: a box is made
/// anew for another size.
pub struct Boxes<T>(StripedPool<ReusableBoxFuture<'static, T>>);

/// A call in its box, which it leaves behind at its end; if it is dropped before, the box goes with it.
#[must_use = "futures do nothing unless polled"]
pub struct Boxed<'b, T> {
    boxes: &'b Boxes<T>,
    /// None once it has ended.
    call: Option<ReusableBoxFuture<'static, T>>,
}

impl<T> Boxes<T> {
    /// Puts `call` into a box.
    // No `async fn`, whose future would have room for the call itself.
    pub fn put(&self, call: impl Future<Output = T> + Send + 'static) -> Boxed<'_, T> {
        let call = match self.0.take() {
            Some(mut used) => {
                used.set(call);
                used
            }
            None => ReusableBoxFuture::new(call),
        };
        Boxed {
            boxes: self,
            call: Some(call),
        }
    }
}

impl<T> Default for Boxes<T> {
    fn default() -> Self {
        Self(StripedPool::new(KEPT))
    }
}

impl<T> Future for Boxed<'_, T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        let Some(call) = &mut self.call else {
            // It has ended, and is not to be polled again.
            return Poll::Pending;
        };
        let outcome = std::task::ready!(call.poll(cx));
        if let Some(used) = self.call.take() {
            self.boxes.0.put(used);
        }
        Poll::Ready(outcome)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::{pending, ready};
    use std::sync::Arc;

    use futures_util::FutureExt;

    #[tokio::test]
    async fn a_box_is_used_again_and_holds_nothing_meanwhile() {
        let (boxes, held) = (Boxes::default(), Arc::new(()));
        for n in 0..3 {
            let holds = Arc::clone(&held);
            let call = async move {
                tokio::task::yield_now().await;
                drop(holds);
                n
            };
            assert_eq!(boxes.put(call).await, n);
            assert_eq!(Arc::strong_count(&held), 1);
            let left = boxes.0.take().expect("a box");
            assert!(boxes.0.take().is_none(), "one box is enough");
            boxes.0.put(left);
        }
    }

    #[test]
    fn a_call_that_is_dropped_takes_its_box_along() {
        let (boxes, held) = (Boxes::default(), Arc::new(()));
        let holds = Arc::clone(&held);
        let call = async move {
            let () = pending().await;
            drop(holds);
        };
        assert!(boxes.put(call).now_or_never().is_none());
        assert_eq!(Arc::strong_count(&held), 1);
        assert!(boxes.0.take().is_none());
    }

    #[test]
    fn another_size_is_no_matter() {
        let boxes = Boxes::default();
        assert_eq!(boxes.put(ready(1)).now_or_never(), Some(1));
        let large = [2_u8; 5000];
        let sum = async move { large.iter().map(|n| u32::from(*n)).sum() };
        assert_eq!(boxes.put(sum).now_or_never(), Some(10_000));
    }
}
