//! One meeting: who holds, who waits, and where.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use memolock::core::Key;

use super::Member;
use crate::{Adapter, Ground, SECOND, eventually};

/// A lease that no test outlives: who goes on before was told to.
const LONG: Duration = Duration::from_secs(300);

/// The circumstances of a scenario. Each has a tag of its own.
#[derive(Clone)]
pub struct Meeting {
    /// The adapter of the holder.
    pub holder: Adapter,
    /// The adapter of the waiter.
    pub waiter: Adapter,
    /// The tag.
    pub tag: String,
    /// Where, with other meetings at the same time.
    pub ground: Arc<Ground>,
    /// The program of members.
    pub program: PathBuf,
}

impl Meeting {
    /// Both processes. Leases are long: nobody goes on because one ran out.
    pub async fn both(&self) -> (Member, Member) {
        tokio::join!(
            self.member(self.holder, LONG),
            self.member(self.waiter, LONG)
        )
    }

    /// Both processes, with leases that run out in a test.
    pub async fn both_brief(&self) -> (Member, Member) {
        let lease = 2 * SECOND;
        tokio::join!(
            self.member(self.holder, lease),
            self.member(self.waiter, lease)
        )
    }

    /// Waits until so many processes listen for `id`.
    pub async fn listening(&self, id: &str, processes: i64) {
        let channel = self.key(id).notif_channel();
        eventually("a listener", || async {
            self.ground.listeners(&channel).await == processes
        })
        .await;
    }

    /// Waits until nobody holds the lock of `id`.
    pub async fn unlocked(&self, id: &str) {
        let lock = self.key(id).lock_name();
        eventually("a free lock", || async {
            let found = self.ground.command(&lock, &["EXISTS", &lock]).await;
            found.as_int() == Some(0)
        })
        .await;
    }

    /// The key of `id`, as both have it.
    #[must_use]
    pub fn key(&self, id: &str) -> Key {
        self.ground.key(&self.tag, id)
    }

    async fn member(&self, adapter: Adapter, lease: Duration) -> Member {
        Member::start_on(&self.program, adapter, &self.ground, &self.tag, lease).await
    }
}
