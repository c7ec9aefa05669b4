//! Vandals: what nobody should do to a key, and somebody does.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::sleep;

use crate::caller::key;
use crate::history::ProcessId;
use crate::plan::{Damage, Vandal};
use crate::store::Op;
use crate::world::World;

/// No text, no notice and no token.
const GARBAGE: Bytes = Bytes::from_static(b"\xff\xfe");

/// Damages a key, and mends it after a while where nobody else could.
pub(crate) async fn run(world: Arc<World>, process: ProcessId, plan: Vandal) {
    sleep(Duration::from_millis(plan.at)).await;
    let key = key(plan.key);
    let does = match plan.does {
        Damage::Jam => Op::Jam(key.clone()),
        Damage::Scribble | Damage::Litter => Op::Scribble(key.clone(), GARBAGE),
        Damage::Spoil => Op::Spoil(key.clone()),
        Damage::Shout(channel) => Op::Shout(key.clone(), channel, GARBAGE),
    };
    world.raw(process, does).await;
    sleep(Duration::from_millis(plan.lasts)).await;
    let mends = match plan.does {
        Damage::Jam => Op::Unlock(key),
        // Whoever is told of it: the listeners of a spoilt key wait for a lock, not for a value.
        Damage::Scribble | Damage::Spoil => Op::Invalidate(key),
        Damage::Shout(_) | Damage::Litter => return,
    };
    // Until it gets through.
    while world.raw(process, mends.clone()).await.is_none() {
        sleep(Duration::from_millis(50)).await;
    }
}
