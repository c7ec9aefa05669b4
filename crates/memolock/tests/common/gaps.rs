//! A subscription whose connection can be cut.

use std::task::Poll;

use futures_util::{StreamExt, stream};
use memolock::core::{Event, Subscription};
use tokio::sync::broadcast;

/// The subscription with the cuts of its connection: what was published during one is lost.
pub(super) fn with_gaps(mut heard: Subscription, gaps: broadcast::Receiver<bool>) -> Subscription {
    let mut cut = false;
    let mut gaps = Box::pin(stream::unfold(gaps, |mut gaps| async {
        gaps.recv().await.ok().map(|cut| (cut, gaps))
    }));
    Box::pin(stream::poll_fn(move |cx| {
        while let Poll::Ready(Some(now)) = gaps.poll_next_unpin(cx) {
            if std::mem::replace(&mut cut, now) != now {
                while heard.poll_next_unpin(cx).is_ready() {}
                return Poll::Ready(Some(if now { Event::Gap } else { Event::Resumed }));
            }
        }
        loop {
            match heard.poll_next_unpin(cx) {
                Poll::Ready(Some(_)) if cut => {}
                other => return other,
            }
        }
    }))
}
