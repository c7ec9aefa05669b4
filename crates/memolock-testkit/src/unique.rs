//! Names that no other test uses, on whatever server it runs.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// `prefix` with an ending that no other call has, in this process or another.
///
/// ```
/// let (a, b) = (memolock_testkit::unique_tag("likes"), memolock_testkit::unique_tag("likes"));
/// assert!(a.starts_with("likes-") && a != b);
/// ```
#[must_use]
pub fn unique_tag(prefix: &str) -> String {
    static CALLS: AtomicU64 = AtomicU64::new(0);
    let call = CALLS.fetch_add(1, Ordering::Relaxed);
    // A clock before 1970 still leaves process and call.
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let process = std::process::id();
    // Two containers may share a process id, hardly the nanosecond too.
    format!("{prefix}-{:x}-{process:x}-{call:x}", since.as_nanos())
}
