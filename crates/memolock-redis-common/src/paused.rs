//! Paused time: tests may stop tokio's clock (`start_paused`), which then leaps to the next timer whenever all tasks
//! wait. An answer of a server takes real time, and each time-out would come before it.
//!
//! * While a connection is made, the leaps are held back: connecting works, and a server that hangs is given up after
//!   the same bound of real time.
//! * A command whose time-out came first says why.
//!
//! tokio has no question for it, so the clock is watched for a microsecond: when connecting and after time-outs alone.

use std::sync::mpsc;
use std::time::{Duration, Instant};

use memolock_core::ErrorKind;
use memolock_core::connection::Fault;

/// Holds leaps of paused time back, until it is dropped or the bound has passed.
#[derive(Debug)]
pub struct RealTime {
    _held: Option<mpsc::Sender<()>>,
}

impl RealTime {
    /// From now on, for this long at most. Without paused time it does nothing. Within a tokio runtime only.
    #[must_use]
    pub fn hold(bound: Duration) -> Self {
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
pub fn late(bound: Duration) -> Fault {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn leaps_are_held_back_until_it_is_dropped() {
        let began = tokio::time::Instant::now();
        let held = RealTime::hold(Duration::from_secs(30));
        let worked = tokio::time::timeout(
            Duration::from_secs(1),
            // Real time, as of a server.
            async {
                let (done, answer) = tokio::sync::oneshot::channel();
                std::thread::spawn(move || {
                    std::thread::sleep(Duration::from_millis(20));
                    done.send(7)
                });
                answer.await
            },
        );
        assert_eq!(worked.await, Ok(Ok(7)));
        assert_eq!(began.elapsed(), Duration::ZERO);
        drop(held);
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert_eq!(began.elapsed(), Duration::from_secs(60));
    }

    /// A server that hangs must not hang the test.
    #[tokio::test(start_paused = true)]
    async fn they_are_held_back_for_the_bound_at_most() {
        let _held = RealTime::hold(Duration::from_millis(20));
        let never = std::future::pending::<()>();
        assert!(
            tokio::time::timeout(Duration::from_secs(1), never)
                .await
                .is_err()
        );
    }

    #[tokio::test]
    async fn time_that_moves_is_not_taken_for_paused() {
        for _ in 0..1000 {
            assert!(!is_paused());
        }
        tokio::time::pause();
        assert!(is_paused());
        assert!(
            late(Duration::from_secs(1))
                .detail()
                .contains("start_paused")
        );
        tokio::time::resume();
        assert!(!is_paused());
        assert!(
            !late(Duration::from_secs(1))
                .detail()
                .contains("start_paused")
        );
    }
}
