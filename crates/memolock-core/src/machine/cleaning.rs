//! Clean-up after callers have their outcome: a value to store, a lease to give back.
//!
//! In an outage it is tried again in a slow rhythm until the lease has run out by itself, so that a
//! value that was computed during a blip of the store is not lost, and nobody waits for a dead lease.

use std::time::Duration;

use super::state::{Cleaning, Cleanup, State};
use super::{Input, Machine, Output};
use crate::{BackendError, Timestamp};

impl Machine {
    pub(super) fn cleaned(&self, cleaning: Cleaning, input: Input, now: Timestamp) -> State {
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
            // The store will not have it: the lease is of no more use to us.
            (Cleanup::Fulfil { token, .. }, Input::Fulfilled(Err(error)))
                if !error.is_ambiguous() =>
            {
                let task = Cleanup::release(*token);
                State::Cleaning(Cleaning { task, ..cleaning })
            }
            (Cleanup::Fulfil { .. }, Input::Fulfilled(Err(error)))
            | (Cleanup::Release { .. }, Input::Released(Err(error))) => {
                self.put_off(cleaning, &error, now)
            }
            _ => State::Cleaning(cleaning),
        }
    }

    /// Tries again after a pause, or never where that is of no use.
    fn put_off(&self, cleaning: Cleaning, error: &BackendError, now: Timestamp) -> State {
        let until = cleaning.until.unwrap_or(now.after(self.policy.lease));
        // Not in a circle, whatever the policy.
        let pause = now.after(self.policy.outage_pause.max(Duration::from_millis(1)));
        if !(error.is_ambiguous() || error.is_retryable()) || pause >= until {
            return State::Settled(cleaning.outcome);
        }
        State::Cleaning(Cleaning {
            until: Some(until),
            pause: Some(pause),
            ..cleaning
        })
    }
}

impl Cleaning {
    pub(super) fn output(&self) -> Output {
        match self.pause {
            Some(_) => Output::Pause,
            None => self.task.output(),
        }
    }
}
