//! One meeting: who holds, who waits, at which server.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use memolock_testkit::TestServer;

use super::Member;
use crate::{Adapter, SECOND, eventually};

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
    /// The server, which other meetings use at the same time.
    pub server: Arc<TestServer>,
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
        let channel = format!("{}/notif:{id}", self.tag);
        eventually("a listener", || async {
            let count = self.command(&["PUBSUB", "NUMSUB", &channel]).await;
            count.items()[1].as_int() == Some(processes)
        })
        .await;
    }

    /// Waits until nobody holds the lock of `id`.
    pub async fn unlocked(&self, id: &str) {
        let lock = format!("{}/lock:{id}", self.tag);
        eventually("a free lock", || async {
            self.command(&["EXISTS", &lock]).await.as_int() == Some(0)
        })
        .await;
    }

    /// Sends one command.
    pub async fn command(&self, words: &[&str]) -> memolock_testkit::Value {
        crate::cli(&self.server, words).await
    }

    async fn member(&self, adapter: Adapter, lease: Duration) -> Member {
        Member::start(&self.program, adapter, self.server.url(), &self.tag, lease).await
    }
}
