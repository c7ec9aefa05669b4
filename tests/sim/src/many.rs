//! Callers that ask for all keys at once. To the history they are as many calls as keys, which end together.

use std::time::Duration;

use memolock::{Computed, Lease};
use tokio::time::sleep;

use crate::caller::{MANY, Process, UnderWay, end, id, leave_after};
use crate::history::{CallId, End, What};
use crate::nesting::needs_place;
use crate::plan::{Call, Ends, Leaves};
use crate::store::Millis;

/// The compute that such a caller brings.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ManyWork {
    pub(crate) lasts: Millis,
    pub(crate) ends: Ends,
}

/// The calls that one stands for: number and key.
type Parts = Vec<(CallId, usize)>;

impl Process {
    /// Does what a call of the plan and those along with it say, and tells the history.
    pub(crate) async fn run_many(self, first: CallId, call: Call, keys: usize, work: ManyWork) {
        sleep(Duration::from_millis(call.at)).await;
        self.world.running(self.id).await;
        let parts = (0..keys).map(|nth| (first + nth, (call.key + nth) % keys));
        let parts: Parts = parts.collect();
        for (part, key) in &parts {
            self.world.note(What::CallBegan {
                call: *part,
                process: self.id,
                key: *key,
                does: MANY,
            });
        }
        let asks = self.ask_many(&parts, work);
        let ends = match call.leaves {
            None => Some(asks.await),
            Some(Leaves::After(time)) => tokio::select! {
                biased;
                ends = asks => Some(ends),
                () = sleep(Duration::from_millis(time)) => None,
            },
            Some(Leaves::AfterPolls(polls)) => leave_after(polls, asks).await,
        };
        let mut ends = ends.map(Vec::into_iter);
        for (call, _) in parts {
            self.world
                .note(match ends.as_mut().and_then(Iterator::next) {
                    Some(end) => What::CallEnded { call, end },
                    None => What::CallLeft { call },
                });
        }
    }

    async fn ask_many(&self, parts: &Parts, work: ManyWork) -> Vec<End> {
        let entries = self.memos.entries(parts.iter().map(|(_, key)| id(*key)));
        let compute = |leases| self.compute_many(parts, leases, work);
        let answers = entries.or_compute_with(compute).await;
        answers.into_iter().map(|(_, answer)| end(answer)).collect()
    }

    async fn compute_many(
        &self,
        parts: &Parts,
        leases: Vec<Lease>,
        work: ManyWork,
    ) -> Result<Vec<(String, Computed<String>)>, String> {
        self.world.running(self.id).await;
        let mut made = Vec::new();
        let mut under_way = Vec::new();
        for lease in leases {
            let part = parts.iter().find(|(_, key)| id(*key) == lease.key().id());
            let Some((call, key)) = part else {
                // The history has no such call, and the compute of one is a broken promise there.
                continue;
            };
            let compute = self.lore.number();
            self.world.note(What::ComputeBegan {
                compute,
                call: *call,
                process: self.id,
                key: *key,
                leased: lease.is_held(),
                placed: needs_place(&lease),
            });
            under_way.push(UnderWay {
                process: self,
                compute,
                ended: false,
            });
            made.push((id(*key), self.value(*key, 'v', compute)));
        }
        sleep(Duration::from_millis(work.lasts)).await;
        self.world.running(self.id).await;
        let well = matches!(work.ends, Ends::Well | Ends::NotKept);
        for compute in &mut under_way {
            compute.ended = true;
            let compute = compute.compute;
            self.world.note(What::ComputeEnded { compute, well });
        }
        let kept = |(id, value)| match work.ends {
            Ends::NotKept => (id, Computed::new(value).no_store()),
            _ => (id, Computed::new(value)),
        };
        match work.ends {
            Ends::Well | Ends::NotKept => Ok(made.into_iter().map(kept).collect()),
            Ends::Fails => Err(made.swap_remove(0).1),
            Ends::Panics => panic!("simulated"),
        }
    }
}
