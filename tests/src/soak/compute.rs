//! Computes: of random length and end, each of them told before memolock sees what came of it.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fastrand::Rng;
use memolock::{Computed, Lease};
use tokio::time::sleep;

use super::clock::{Micros, now};
use super::stamp::{Maker, Stamp};
use super::wire::{Outcome, Plant, What};
use super::worker::{LEASE, Worker};

/// What panics say that are meant to be.
pub(super) const PLANNED: &str = "a planned panic";

/// What a compute shall do.
#[derive(Debug, Clone, Copy)]
pub(super) struct Work {
    pub(super) lasts: Duration,
    pub(super) ends: Ends,
    pub(super) size: usize,
    pub(super) ttl: Option<Duration>,
    /// In the middle it renews its lease itself.
    pub(super) renews: bool,
}

/// How a compute ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ends {
    Well,
    /// Its value is not to be stored.
    Unstored,
    Fails,
    Panics,
}

/// What a call's own computes came to.
#[derive(Debug, Default)]
pub(super) struct Own {
    /// Zero is none.
    made: AtomicU64,
    spent: Mutex<Vec<(Micros, Micros)>>,
}

impl Own {
    /// The compute that ended well.
    pub(super) fn made(&self) -> Option<u64> {
        Some(self.made.load(Relaxed)).filter(|number| *number != 0)
    }

    /// When they were at it.
    pub(super) fn spent(&self) -> Vec<(Micros, Micros)> {
        self.lock().clone()
    }

    /// Time that is not memolock's.
    pub(super) fn add(&self, from: Micros, to: Micros) {
        self.lock().push((from, to));
    }

    fn lock(&self) -> MutexGuard<'_, Vec<(Micros, Micros)>> {
        self.spent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Work {
    /// Mostly quick and small; now and then longer than a lease, or large.
    pub(super) fn random(rng: &mut Rng) -> Self {
        let lasts = match rng.u32(..1_000) {
            0..700 => rng.u64(..20),
            700..950 => rng.u64(20..150),
            950..990 => rng.u64(150..1_000),
            _ => rng.u64(1_000..2_500),
        };
        let ends = match rng.u32(..100) {
            0..87 => Ends::Well,
            87..90 => Ends::Unstored,
            90..97 => Ends::Fails,
            _ => Ends::Panics,
        };
        let size = match rng.u32(..1_000) {
            0..900 => rng.usize(..2_000),
            900..997 => rng.usize(2_000..30_000),
            _ => rng.usize(30_000..1_000_000),
        };
        Self {
            lasts: Duration::from_millis(lasts),
            ends,
            size,
            ttl: Some(ttl(rng)),
            renews: rng.u32(..50) == 0,
        }
    }
}

/// From tens of milliseconds to half a minute.
pub(super) fn ttl(rng: &mut Rng) -> Duration {
    Duration::from_millis(match rng.u32(..10) {
        0..4 => rng.u64(30..300),
        4..8 => rng.u64(300..3_000),
        _ => rng.u64(3_000..30_000),
    })
}

impl Worker {
    /// A compute of this process.
    pub(super) async fn compute(
        self: Arc<Self>,
        key: u32,
        work: Work,
        own: Arc<Own>,
        lease: Lease,
    ) -> Result<Computed<String>, String> {
        let number = self.number();
        let leased = lease.is_held();
        let began = self.recorder.note(What::Computing {
            number,
            key,
            leased,
        });
        let mut under_way = UnderWay {
            worker: &self,
            number,
            began,
            own: &own,
            lease: &lease,
            over: false,
        };
        if work.renews {
            sleep(work.lasts / 2).await;
            // Lost or not, the work goes on.
            let _ = lease.renew(2 * LEASE).await;
            sleep(work.lasts / 2).await;
        } else {
            sleep(work.lasts).await;
        }
        match work.ends {
            Ends::Fails => {
                under_way.over(Outcome::Failed).await;
                Err("a planned failure".to_owned())
            }
            Ends::Panics => {
                under_way.over(Outcome::Panicked).await;
                drop(under_way);
                std::panic::panic_any(PLANNED);
            }
            Ends::Well | Ends::Unstored => {
                let nonce = self.nonce();
                let value = self.planted(key, number, nonce).sealed(work.size);
                under_way.over(Outcome::Made { nonce }).await;
                let computed = Computed::new(value);
                Ok(match (work.ends, work.ttl) {
                    (Ends::Unstored, _) => computed.no_store(),
                    (_, Some(ttl)) => computed.ttl(ttl),
                    (_, None) => computed,
                })
            }
        }
    }

    /// The stamp of a value; a wrong one now and then, if that is what this worker is for.
    fn planted(&self, key: u32, number: u64, nonce: u64) -> Stamp {
        let process = self.me.process;
        let maker = Maker { process, number };
        let honest = Stamp { key, maker, nonce };
        let mut wrong = honest;
        match self.me.plant {
            Some(Plant::WrongValue) => wrong.key += 1,
            Some(Plant::UnknownValue) => wrong.maker.number += 1_000_000,
            _ => {}
        }
        if nonce.is_multiple_of(50) {
            wrong
        } else {
            honest
        }
    }
}

/// A compute under way. Dropped before its end, it says so.
struct UnderWay<'a> {
    worker: &'a Worker,
    number: u64,
    began: Micros,
    own: &'a Own,
    lease: &'a Lease,
    over: bool,
}

impl UnderWay<'_> {
    async fn over(&mut self, outcome: Outcome) {
        let told = self.what(outcome);
        self.worker.recorder.deliver(told).await;
        self.over = true;
        if matches!(outcome, Outcome::Made { .. }) {
            self.own.made.store(self.number, Relaxed);
        }
    }

    fn what(&self, outcome: Outcome) -> What {
        What::Computed {
            number: self.number,
            outcome,
            lost: self.lease.is_lost(),
        }
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.own.add(self.began, now());
        if !self.over {
            self.worker.recorder.note(self.what(Outcome::Dropped));
        }
    }
}
