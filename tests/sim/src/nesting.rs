//! Callers whose compute calls again. To the history a nested call is a call like any other, for a key of its own.

use memolock::{Computed, Lease};
use std::time::Duration;
use tokio::time::sleep;

use crate::caller::{Process, UnderWay, id};
use crate::history::{CallId, ComputeId, What};
use crate::plan::Ends;
use crate::store::Millis;

/// What a call does whose compute calls again.
pub(crate) const OUTER: &str = "makes with a nested call, if it must,";

/// What that call does.
pub(crate) const INNER: &str = "makes as a nested call, if it must,";

/// The same of one in a task of its own.
pub(crate) const INNER_APART: &str = "makes as a nested call apart, if it must,";

/// The nested call of a call has its number and this.
pub(crate) const CALLS: CallId = 1_000;

/// The key of a nested call is that of the call and this: only nested calls ask for it.
pub(crate) const KEYS: usize = 10;

/// Whether a compute needs a place: one whose lease was over when it began needs none.
pub(crate) fn needs_place(lease: &Lease) -> bool {
    !lease.is_held() && !lease.is_lost()
}

impl Process {
    /// A compute with a nested call in its middle, and work before, in and after it.
    pub(crate) async fn nesting(
        self,
        call: CallId,
        key: usize,
        (lasts, apart): (Millis, bool),
        lease: Lease,
    ) -> Result<Computed<String>, String> {
        self.world.running(self.id).await;
        let compute = self.lore.number();
        let (process, leased) = (self.id, lease.is_held());
        self.world.note(What::ComputeBegan {
            compute,
            call,
            process,
            key,
            leased,
            placed: needs_place(&lease),
        });
        let mut under_way = UnderWay {
            process: &self,
            compute,
            ended: false,
        };
        sleep(Duration::from_millis(lasts)).await;
        self.world.running(self.id).await;
        let nested = (call + CALLS, key + KEYS);
        self.nested(compute, nested, (lasts, apart)).await;
        sleep(Duration::from_millis(lasts)).await;
        self.world.running(self.id).await;
        under_way.ended = true;
        self.world.note(What::ComputeEnded {
            compute,
            well: true,
        });
        Ok(Computed::new(self.value(key, 'v', compute)))
    }

    async fn nested(
        &self,
        outer: ComputeId,
        (call, key): (CallId, usize),
        (lasts, apart): (Millis, bool),
    ) {
        let process = self.id;
        self.world.note(What::NestBegan { compute: outer });
        self.world.note(What::CallBegan {
            call,
            process,
            key,
            does: if apart { INNER_APART } else { INNER },
        });
        let mut waits = Waits {
            process: self,
            call,
            ended: false,
        };
        let id = id(key);
        let process = self.clone();
        let work = move |lease| process.compute(call, key, lasts, Ends::Well, lease);
        let entry = self.memos.entry(&id);
        let got = match apart {
            true => entry.detach().or_compute_with(work).await,
            false => entry.or_compute_with(work).await,
        };
        let got = self.end(call, got);
        waits.ended = true;
        self.world.note(What::CallEnded { call, end: got });
        self.world.note(What::NestEnded { compute: outer });
    }
}

/// Notes when a nested call is dropped with its compute.
struct Waits<'a> {
    process: &'a Process,
    call: CallId,
    ended: bool,
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        if !self.ended {
            let call = self.call;
            self.process.world.note(What::CallLeft { call });
        }
    }
}
