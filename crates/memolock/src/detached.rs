//! What marks detached work: a close lets it end, and its calls are served meanwhile.
//!
//! The mark belongs to the task that [`Entry::detach`](crate::Entry::detach) starts, and to all that is polled within
//! it: `join!`, `select!`, streams. A task that the work spawns has no mark.

use tokio::task_local;

task_local! {
    static DETACHED: ();
}

/// Marks all that `work` does in its own task.
pub(crate) fn marked<F: Future>(work: F) -> impl Future<Output = F::Output> {
    DETACHED.scope((), work)
}

/// Whether what is polled now is detached work.
pub(crate) fn is_current() -> bool {
    DETACHED.try_with(|()| ()).is_ok()
}
