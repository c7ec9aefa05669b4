//! The word of changes as a test wants it: late, merged, cut off, or none at all.

use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};

use futures_util::{StreamExt, stream};
use memolock::core::{Change, Tracking};

/// How changes travel. Clones are one.
#[derive(Debug, Clone, Default)]
pub struct Wire(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    held: bool,
    cut: bool,
    /// What is told besides, and how often the connection has changed.
    told: Vec<Change>,
    none: bool,
    wakers: Vec<Waker>,
}

impl Wire {
    /// Holds changes back, or lets them go: several of one value as one, as a store merges them.
    pub fn hold(&self, held: bool) {
        self.change(|state| state.held = held);
    }

    /// Cuts (true) or mends (false) the connection: what changed between is not told.
    pub fn cut(&self, cut: bool) {
        self.change(|state| {
            state.cut = cut;
            state
                .told
                .push(if cut { Change::Gap } else { Change::Resumed });
        });
    }

    /// Tells the trackers something. One tracker only.
    pub fn tell(&self, change: Change) {
        self.change(|state| state.told.push(change));
    }

    /// The backend cannot track.
    pub fn cannot(&self) {
        self.change(|state| state.none = true);
    }

    /// The stream, tampered with.
    pub fn through(&self, mut heard: Tracking) -> Option<Tracking> {
        if self.0.lock().unwrap().none {
            return None;
        }
        let wire = self.clone();
        let mut last = None;
        Some(Box::pin(stream::poll_fn(move |cx| {
            let mut state = wire.0.lock().unwrap();
            state.wakers.push(cx.waker().clone());
            if !state.told.is_empty() {
                return Poll::Ready(Some(state.told.remove(0)));
            }
            if state.held {
                return Poll::Pending;
            }
            loop {
                match heard.poll_next_unpin(cx) {
                    Poll::Ready(Some(_)) if state.cut => {}
                    Poll::Ready(change) if change.is_some() && change == last => {}
                    Poll::Ready(change) => {
                        last = change.clone();
                        return Poll::Ready(change);
                    }
                    Poll::Pending => {
                        last = None;
                        return Poll::Pending;
                    }
                }
            }
        })))
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.0.lock().unwrap();
        change(&mut state);
        state.wakers.drain(..).for_each(Waker::wake);
    }
}
