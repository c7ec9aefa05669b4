//! A row of the table: what came of one fault over one adapter.

use std::time::Duration;

use tokio::time::Instant;

use super::callers::Tally;
use super::fault::{Fault, Maker};
use crate::Adapter;

/// What was measured.
pub struct Row {
    /// The fault.
    pub fault: Fault,
    /// The adapter of all actors.
    pub adapter: Adapter,
    /// From the strike to the end of the fault.
    pub(super) lasted: Duration,
    /// Calls of probers and hitter between the strike and the recovery.
    pub(super) tally: Tally,
    /// The longest of them, over its compute.
    pub(super) longest: Duration,
    /// Whether the holder's caller got the very value, and after how long.
    pub(super) returned: Option<(bool, Duration)>,
    /// Whose value is stored in the end.
    pub(super) stored: Maker,
    /// Whose value each waiter got.
    pub(super) makers: Vec<Maker>,
    /// When the last waiter had it, and when the fault was over.
    pub(super) woken: (Instant, Instant),
    /// Whether the listener from before the fault was woken by a message after it.
    pub(super) by_push: bool,
    /// From the fault's end to the end of the first call that began after it and whose value was stored.
    pub(super) recovered: Duration,
    /// Connections made anew: each waiter's, and those of probers and hitter.
    pub(super) of_waiters: Vec<u64>,
    pub(super) of_callers: u64,
    /// Errors that servers counted, where the fault is felt by that.
    pub(super) counted: u64,
}

impl Row {
    /// The cells of the table, in the order of [`HEAD`](super::table::HEAD).
    pub(super) fn cells(&self) -> [String; 8] {
        let returned = match self.returned {
            None => "killed".to_owned(),
            Some((_, after)) => format!("returned after {}", seconds(after)),
        };
        let stored = match self.stored {
            Maker::Holder => "stored",
            Maker::Waiter => "the waiter's is stored",
            Maker::Nobody => "not stored",
        };
        let recovered = match self.fault.place.has_replicas() {
            true => format!(
                "{}; it lasted {}",
                seconds(self.recovered),
                seconds(self.lasted)
            ),
            false => seconds(self.recovered),
        };
        [
            self.fault.what.to_owned(),
            self.adapter.to_string(),
            self.tally.to_string(),
            seconds(self.longest),
            format!("{returned}; {stored}"),
            self.waited(),
            recovered,
            (self.of_callers + self.of_waiters.iter().sum::<u64>()).to_string(),
        ]
    }

    fn waited(&self) -> String {
        let mut makers = self.makers.clone();
        makers.dedup();
        let whose: Vec<_> = makers
            .iter()
            .map(|maker| match maker {
                Maker::Holder => "the holder's",
                Maker::Waiter | Maker::Nobody => "its own",
            })
            .collect();
        let (woken, over) = self.woken;
        let when = match woken.checked_duration_since(over) {
            Some(after) => format!("{} after the fault", seconds(after)),
            None => format!("{} before its end", seconds(over - woken)),
        };
        format!("{}, {when}", whose.join(" or "))
    }
}

fn seconds(duration: Duration) -> String {
    format!("{:.2} s", duration.as_secs_f64())
}
