//! Paused time: tests may stop tokio's clock (`start_paused`), which then leaps to the next timer whenever all tasks
//! wait. An answer of a server takes real time, and each time-out would come before it.
//!
//! * While a connection is made, the leaps are held back: connecting works, and a server that hangs is given up after
//!   the same bound of real time.
//! * A command whose time-out came first says why.
//!
//! The same as in `memolock-redis-common`, whose tests are for both: this crate knows the core alone.
//!
//! tokio has no question for it, so the clock is watched for a microsecond: when connecting and after time-outs alone.

use std::sync::mpsc;
use std::time::{Duration, Instant};

use memolock_core::ErrorKind;
use memolock_core::connection::Fault;

/// Holds leaps of paused time back, until it is dropped or the bound has passed.
#[derive(Debug)]
pub(crate) struct RealTime {
    _held: Option<mpsc::Sender<()>>,
}

impl RealTime {
    /// From now on, for this long at most. Without paused time it does nothing. Within a tokio runtime only.
    #[must_use]
    pub(crate) fn hold(bound: Duration) -> Self {
        let held = is_paused().then(|| {
            let (held, over) = mpsc::channel::<()>();
            // tokio does not leap while a blocking task runs. It ends by itself: the handle is of no use.
            drop(tokio::task::spawn_blocking(move || {
                // An error either way: nothing is ever sent.
                let _ = over.recv_timeout(bound);
            }));
            held
        });
        Self { _held: held }
    }
}

/// No answer within the bound of a command, by tokio's clock.
#[must_use]
pub(crate) fn late(bound: Duration) -> Fault {
    match is_paused() {
        false => Fault::late(bound),
        true => Fault::new(
            ErrorKind::Timeout,
            format!(
                "after {bound:?} of paused time: tokio's clock is paused (start_paused) and its time-outs come before a \
                 server's answer; resume it (tokio::time::resume) for calls to a server"
            ),
        ),
    }
}

/// Whether tokio's clock stands still here.
fn is_paused() -> bool {
    const MOMENT: Duration = Duration::from_micros(1);
    let (before, real) = (tokio::time::Instant::now(), Instant::now());
    while real.elapsed() < MOMENT {
        std::hint::spin_loop();
    }
    tokio::time::Instant::now() == before
}
