//! A gate that is open or shut. Who waits at it is let through in the order of coming: tokio's `watch` wakes
//! in an order of its own, which no seed decides.

use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;

/// Something that is so or not, and can be waited for.
#[derive(Debug)]
pub(crate) struct Gate {
    open: AtomicBool,
    changed: Notify,
}

impl Gate {
    /// A gate that is open.
    pub(crate) fn open() -> Self {
        Self {
            open: AtomicBool::new(true),
            changed: Notify::new(),
        }
    }

    pub(crate) fn is_open(&self) -> bool {
        self.open.load(Ordering::Relaxed)
    }

    /// Opens or shuts it.
    pub(crate) fn set(&self, open: bool) {
        self.open.store(open, Ordering::Relaxed);
        self.changed.notify_waiters();
    }

    /// Waits until it is open, or shut.
    pub(crate) async fn until(&self, open: bool) {
        loop {
            let mut changed = pin!(self.changed.notified());
            // Before looking, so that nothing in between is missed.
            changed.as_mut().enable();
            if self.is_open() == open {
                return;
            }
            changed.await;
        }
    }
}
