//! Which fault comes when: a schedule that is the same for the same seed.

use std::fmt;
use std::time::Duration;

use fastrand::Rng;

/// What may go wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs)] // See their names below.
pub(crate) enum Kind {
    ServerKilled,
    ServerStopped,
    WorkerKilled,
    WorkerStopped,
    ConnectionsKilled,
    ListenersKilled,
    Paused,
    WritesPaused,
    Flushed,
    ScriptsFlushed,
    OutOfMemory,
    Evicting,
    ReadOnly,
    WrongPassword,
    LargeValue,
}

impl Kind {
    /// Every kind.
    pub(crate) const ALL: [Self; 15] = [
        Self::ServerKilled,
        Self::ServerStopped,
        Self::WorkerKilled,
        Self::WorkerStopped,
        Self::ConnectionsKilled,
        Self::ListenersKilled,
        Self::Paused,
        Self::WritesPaused,
        Self::Flushed,
        Self::ScriptsFlushed,
        Self::OutOfMemory,
        Self::Evicting,
        Self::ReadOnly,
        Self::WrongPassword,
        Self::LargeValue,
    ];

    /// How long it may last, in milliseconds; moments are over at once.
    fn lasts(self) -> std::ops::Range<u64> {
        match self {
            Self::ConnectionsKilled
            | Self::ListenersKilled
            | Self::Flushed
            | Self::ScriptsFlushed => 0..1,
            Self::WorkerKilled => 0..1_000,
            Self::LargeValue => 2_500..2_501,
            Self::Paused | Self::WritesPaused => 100..2_500,
            _ => 300..4_000,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ServerKilled => "server: kill -9",
            Self::ServerStopped => "server: SIGSTOP",
            Self::WorkerKilled => "worker: kill -9",
            Self::WorkerStopped => "worker: SIGSTOP",
            Self::ConnectionsKilled => "CLIENT KILL TYPE normal",
            Self::ListenersKilled => "CLIENT KILL TYPE pubsub",
            Self::Paused => "CLIENT PAUSE ALL",
            Self::WritesPaused => "CLIENT PAUSE WRITE",
            Self::Flushed => "FLUSHALL",
            Self::ScriptsFlushed => "SCRIPT FLUSH",
            Self::OutOfMemory => "maxmemory, noeviction",
            Self::Evicting => "maxmemory, allkeys-lru",
            Self::ReadOnly => "REPLICAOF nobody",
            Self::WrongPassword => "password rotated",
            Self::LargeValue => "40 MiB to listeners",
        })
    }
}

/// One fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fault {
    /// What.
    pub(crate) kind: Kind,
    /// How long all is well before it.
    pub(crate) after: Duration,
    /// How long it lasts.
    pub(crate) lasts: Duration,
    /// Something random, for whoever must choose a victim.
    pub(crate) victim: usize,
}

/// Faults without end: every kind once in each round, in random order, and a lull after each round.
#[derive(Debug, Clone)]
pub(crate) struct Schedule {
    rng: Rng,
    gaps: std::ops::Range<u64>,
    lull: Duration,
    round: Vec<Kind>,
}

impl Schedule {
    /// Faults some seconds apart; for a short soak, less than one.
    #[must_use]
    pub(crate) fn new(seed: u64, long: bool) -> Self {
        let (gaps, lull) = if long {
            (1_500..6_000, Duration::from_secs(15))
        } else {
            (200..600, Duration::ZERO)
        };
        Self {
            rng: Rng::with_seed(seed),
            gaps,
            lull,
            round: Vec::new(),
        }
    }
}

impl Iterator for Schedule {
    type Item = Fault;

    fn next(&mut self) -> Option<Fault> {
        let mut after = Duration::from_millis(self.rng.u64(self.gaps.clone()));
        if self.round.is_empty() {
            self.round = Kind::ALL.to_vec();
            self.rng.shuffle(&mut self.round);
            after += self.lull;
        }
        let kind = self.round.pop()?;
        Some(Fault {
            kind,
            after,
            lasts: Duration::from_millis(self.rng.u64(kind.lasts())),
            victim: self.rng.usize(..),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_repeats_its_schedule() {
        let of = |seed| Schedule::new(seed, true).take(100).collect::<Vec<_>>();
        assert_eq!(of(7), of(7));
        assert_ne!(of(7), of(8));
    }

    #[test]
    fn every_round_has_every_kind() {
        for round in 0..5 {
            let faults = Schedule::new(1, false).skip(round * Kind::ALL.len());
            let mut kinds: Vec<_> = faults
                .take(Kind::ALL.len())
                .map(|fault| fault.kind)
                .collect();
            kinds.sort();
            assert_eq!(kinds, Kind::ALL);
        }
    }
}
