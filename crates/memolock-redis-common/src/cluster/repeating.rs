//! Repeated notices on a cluster: a command for each slot, a few of them at a time.

use futures_util::future::join_all;
use memolock_core::Key;
use memolock_core::redis::cluster::key_slot;
use memolock_core::redis::{Fault, calls, reply};

use super::backend::Owned;
use super::batches::{by_slot, pick};
use super::node::{Opener, Request};
use super::shared::Shared;
use crate::repeats::{Repeated, Repeater};

/// Slots that are dealt with at the same time.
const SLOTS_AT_ONCE: usize = 16;

// In the classic layout too: a value is published at the node that has it, where the listeners are.
impl<O: Opener> Repeater for Owned<O> {
    async fn repeat(&self, keys: &[Key]) -> Repeated {
        let mut repeated = Repeated::default();
        for slots in by_slot(keys, key_slot).chunks(SLOTS_AT_ONCE) {
            let asked = slots.iter().map(|(slot, at)| async move {
                let some = pick(keys, at);
                in_slot(&self.shared, *slot, &some).await
            });
            for part in join_all(asked).await {
                repeated.published += part.published;
                repeated.failed.extend(part.failed);
            }
        }
        repeated
    }

    fn part(&self, key: &Key) -> u64 {
        self.shared.part(key)
    }
}

/// Keys of one slot.
async fn in_slot<O: Opener>(shared: &Shared<O>, slot: u16, keys: &[Key]) -> Repeated {
    let mut repeated = Repeated::default();
    let mut left = keys;
    while !left.is_empty() {
        let call = calls::repeat(left);
        let answer = shared.carry(slot, Request::Call(&call)).await;
        let answer: Result<_, Fault> =
            answer.and_then(|answer| reply::repeated(answer, left.len()));
        match answer {
            Ok((done, published)) => {
                repeated.published += published;
                left = &left[done..];
            }
            Err(fault) => {
                repeated.fail(left, &fault);
                break;
            }
        }
    }
    repeated
}
