//! Clean-up after callers have their outcome: a value to store, a lease to give back.
//!
//! It is tried again until the lease has run out by itself, so that a value that was computed during a blip of the
//! store is not lost, and nobody waits for a dead lease. Callers never wait for it (R3).
//!
//! ```text
//! Fulfilling --reply lost--> storing --reply lost, refused, not known--> pausing --> storing …
//!            '--refused for now, not known------------------------------^
//!            '--OOM, denied, anything else--> releasing (at once)
//! Releasing  --reply lost--> releasing --reply lost, refused, OOM, denied, not known--> pausing --> releasing …
//!            '--refused for now, OOM, denied, not known---------------------------------^
//! storing    --OOM, denied, anything else--> releasing (at once)
//! ```
//!
//! * *What bounds it.* The lease is not renewed once the work is over: the heartbeat keeps a lease for work that lives,
//!   and a store that refuses a fulfil refuses a renewal too. The lock was last extended before the first failure, so
//!   it ends within one lease from then, and so does clean-up. A waiter elsewhere is never kept waiting for longer than that.
//! * *Back-off.* After an answer the pause doubles up to four times the first one. After a lost reply it does not: a store
//!   that cannot be reached costs nothing to try. It is at most half of the time that is left, so that the last tries
//!   fall shortly before the end, and it is spread, so that many keys do not come back together.
//! * *A lost lease.* The token fences: a fulfil that comes too late finds the lock gone or another's, and ends.
//! * *A waiter* elsewhere is woken by the push of the fulfil or release that succeeds at last.
//! * *Dropped at any await, the process ends, or a close ends its patience*: the lock expires by itself, as after a crash.

use std::time::Duration;

use super::ends::clean;
use super::state::{Cleaning, Cleanup, State};
use super::tries::spread;
use super::{Entropy, Input, Machine, Outcome, Output, Policy};
use crate::{BackendError, ErrorKind, Timestamp};

/// The pause doubles so often.
const DOUBLINGS: u8 = 2;

impl Machine {
    /// A fulfil or a release has failed, and callers go with `outcome`. A connection that was lost is often back at
    /// once, so after a lost reply the first try comes without a pause.
    pub(super) fn clean_after(
        &self,
        error: &BackendError,
        task: Cleanup,
        outcome: Outcome,
        now: Timestamp,
        entropy: &mut dyn Entropy,
    ) -> State {
        match error.is_reply_lost() {
            true => clean(task, outcome),
            false => self.failed(Cleaning::new(task, outcome), error, now, entropy),
        }
    }

    pub(super) fn cleaned(
        &self,
        cleaning: Cleaning,
        input: Input,
        now: Timestamp,
        entropy: &mut dyn Entropy,
    ) -> State {
        match (&cleaning.task, input) {
            (_, Input::Elapsed) if cleaning.pause.is_some_and(|at| now >= at) => {
                State::Cleaning(Cleaning {
                    pause: None,
                    ..cleaning
                })
            }
            _ if cleaning.pause.is_some() => State::Cleaning(cleaning),
            (Cleanup::Fulfil { .. }, Input::Fulfilled(Ok(_)))
            | (Cleanup::Release { .. }, Input::Released(Ok(_))) => State::Settled(cleaning.outcome),
            (Cleanup::Fulfil { .. }, Input::Fulfilled(Err(error)))
            | (Cleanup::Release { .. }, Input::Released(Err(error))) => {
                self.failed(cleaning, &error, now, entropy)
            }
            _ => State::Cleaning(cleaning),
        }
    }

    fn failed(
        &self,
        cleaning: Cleaning,
        error: &BackendError,
        now: Timestamp,
        entropy: &mut dyn Entropy,
    ) -> State {
        let passes = error.is_ambiguous() || error.kind() == ErrorKind::Refused;
        let task = match &cleaning.task {
            Cleanup::Fulfil { .. } if passes => None,
            // The store will not have the value: the lease is of no more use to us.
            Cleanup::Fulfil { token, .. } => Some(Cleanup::release(*token)),
            // Rights are granted and passwords changed while servers run.
            Cleanup::Release { .. }
                if passes || matches!(error.kind(), ErrorKind::OutOfMemory | ErrorKind::Denied) =>
            {
                None
            }
            Cleanup::Release { .. } => return State::Settled(cleaning.outcome),
        };
        match task {
            Some(task) => State::Cleaning(Cleaning { task, ..cleaning }),
            None => self.put_off(cleaning, error, now, entropy),
        }
    }

    /// Tries again after a pause, or never where the lease is over by then.
    fn put_off(
        &self,
        cleaning: Cleaning,
        error: &BackendError,
        now: Timestamp,
        entropy: &mut dyn Entropy,
    ) -> State {
        let Policy {
            lease,
            outage_pause,
            unrecognized_pause,
            ..
        } = self.policy;
        let until = cleaning.until.unwrap_or(now.after(lease));
        let first = match error.kind() {
            ErrorKind::Unrecognized => unrecognized_pause,
            _ => outage_pause.min(lease / 8),
        };
        // Not in a circle, whatever the policy.
        let first = first.max(Duration::from_millis(1));
        // A store that cannot be reached costs nothing to try, and its end is to be noticed soon.
        let doublings = match error.is_reply_lost() {
            true => 0,
            false => cleaning.failures.min(DOUBLINGS),
        };
        let doubled = first.saturating_mul(1 << doublings);
        let pause = doubled.min(until.since(now) / 2);
        if pause < first {
            return State::Settled(cleaning.outcome);
        }
        let at = now.after(pause.saturating_add(spread(pause / 4, entropy)));
        State::Cleaning(Cleaning {
            until: Some(until),
            pause: Some(at),
            failures: cleaning.failures.saturating_add(1),
            refused: error.kind() == ErrorKind::Refused,
            ..cleaning
        })
    }
}

impl Cleaning {
    pub(super) fn new(task: Cleanup, outcome: Outcome) -> Self {
        Self {
            task,
            outcome,
            until: None,
            pause: None,
            failures: 0,
            refused: false,
        }
    }

    pub(super) fn output(&self) -> Output {
        match self.pause {
            Some(_) => Output::Pause,
            None => self.task.output(),
        }
    }
}
