//! Copies that are to be read back, and who waits for them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// Copies that may wait; what comes on top is not kept.
const MOST: usize = 4096;

/// A copy that is to be read back.
pub(crate) struct Due<T> {
    pub(crate) id: Arc<str>,
    pub(super) value: Arc<T>,
}

/// Those that wait, the oldest first. One task takes them.
pub(super) struct Queue<T> {
    waiting: Mutex<Vec<Due<T>>>,
    more: Notify,
}

impl<T> Queue<T> {
    /// Adds one; whether there was room.
    pub(super) fn push(&self, id: &str, value: &Arc<T>) -> bool {
        let mut waiting = self.lock();
        if waiting.len() >= MOST {
            return false;
        }
        waiting.push(Due {
            id: id.into(),
            value: Arc::clone(value),
        });
        drop(waiting);
        self.more.notify_one();
        true
    }

    /// Takes so many at most, once there are any. Cancel-safe.
    pub(super) async fn take(&self, most: usize) -> Vec<Due<T>> {
        loop {
            {
                let mut waiting = self.lock();
                let most = most.min(waiting.len());
                if most > 0 {
                    return waiting.drain(..most).collect();
                }
            }
            self.more.notified().await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Due<T>>> {
        // No code that can panic runs under the lock.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self {
            waiting: Mutex::default(),
            more: Notify::new(),
        }
    }
}
