//! The near cache among threads: fills, local writes and changes at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

use futures_util::FutureExt;
use memolock_core::Remaining;

use super::cache::Near;
use super::{Claim, NearCache, State};

const WRITES: u64 = 20_000;
const MINUTE: Duration = Duration::from_secs(60);

/// One value, in a store of a single number that only grows.
struct Scene {
    near: Near<u64>,
    stored: AtomicU64,
    /// The last local write that has ended.
    written: AtomicU64,
    /// Writes that were told.
    told: AtomicU64,
    over: AtomicBool,
}

impl Scene {
    /// What is near is never older than a local write that had ended before.
    fn look(&self) {
        let written = self.written.load(SeqCst);
        if let Some(found) = self.near.get("k") {
            assert!(*found >= written, "{found} after {written}");
        }
    }

    fn fills(&self) {
        while !self.over.load(SeqCst) {
            self.look();
            let Some(ticket) = self.near.ticket("k") else {
                continue;
            };
            let found = Arc::new(self.stored.load(SeqCst));
            thread::yield_now();
            let claim = Claim::Found(ticket, Some(Remaining::Expires(MINUTE)));
            self.near.keep("k", &found, claim);
            self.look();
        }
    }

    fn writes(&self) {
        for n in 1..=WRITES {
            let ticket = self.near.ticket("k");
            self.stored.store(n, SeqCst);
            let put = ticket.filter(|_| n % 3 > 0);
            self.near
                .wrote("k", put.map(|ticket| (ticket, Arc::new(n), MINUTE)));
            self.written.store(n, SeqCst);
            self.look();
        }
        self.over.store(true, SeqCst);
    }

    /// Tells changes, late, and reads back what is due.
    fn keeps(&self) {
        let mut told = 0;
        while !self.over.load(SeqCst) {
            let stored = self.stored.load(SeqCst);
            if told < stored {
                told = stored;
                self.near.changed("k");
                self.told.store(told, SeqCst);
            }
            if told % 97 == 0 {
                self.near.flush(State::Live);
            }
            let at = self.near.now();
            for due in self.near.due(16).now_or_never().unwrap_or_default() {
                let found = Arc::new(self.stored.load(SeqCst));
                thread::yield_now();
                let found = (found, Remaining::Expires(MINUTE));
                self.near.read_back(due, Some(found), at);
            }
        }
    }
}

#[test]
fn r4_nothing_near_is_older_than_a_local_write() {
    let near = Near::new(NearCache::entries(10));
    near.flush(State::Live);
    let scene = Scene {
        near,
        stored: AtomicU64::new(0),
        written: AtomicU64::new(0),
        told: AtomicU64::new(0),
        over: AtomicBool::new(false),
    };
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| scene.fills());
        }
        scope.spawn(|| scene.keeps());
        scope.spawn(|| scene.writes());
    });
    let stats = scene.near.stats();
    assert!(
        stats.inserts > 0 && scene.told.load(SeqCst) > 0,
        "{stats:?}"
    );
}
