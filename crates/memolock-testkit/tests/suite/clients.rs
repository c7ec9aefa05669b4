//! Clients of a broken store: their ears, their lines, and the harness that makes them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use futures_util::FutureExt;
use memolock_core::{Backend, Key, Listener, Switchboard, async_trait};
use memolock_testkit::suite::{Breakable, Damage, Harness, HarnessError, Line};
use tokio::sync::watch;

use crate::backend::Broken;
use crate::store::{State, Store};

/// A client's listeners, and its line.
#[derive(Debug)]
pub(crate) struct Ears {
    pub(crate) board: Arc<Switchboard>,
    pub(crate) line: watch::Sender<State>,
    pub(crate) reconnects: AtomicU64,
    /// Listeners that nobody reads, and that are never dropped.
    pub(crate) forgotten: Mutex<Vec<Listener>>,
}

impl Default for Ears {
    fn default() -> Self {
        Self {
            board: Arc::new(Switchboard::new()),
            line: watch::Sender::new(State::Fine),
            reconnects: AtomicU64::default(),
            forgotten: Mutex::default(),
        }
    }
}

impl Ears {
    /// There is no server to ask: whatever the board wants is confirmed.
    pub(crate) fn confirm(&self) {
        while let Some(changes) = self.board.changes().now_or_never() {
            changes
                .subscribe
                .iter()
                .for_each(|key| self.board.confirm(key));
        }
    }
}

/// The line of one client.
struct Lane(Arc<Ears>);

#[async_trait]
impl Line for Lane {
    async fn cut(&self) {
        self.0.line.send_replace(State::Cut);
        self.0.board.gap();
    }

    async fn heal(&self) {
        if self.0.line.send_replace(State::Fine) == State::Cut {
            self.0.reconnects.fetch_add(1, Ordering::SeqCst);
        }
        self.0.confirm();
    }

    async fn stall(&self) -> bool {
        self.0.line.send_replace(State::Stalled);
        true
    }
}

/// Clients of one broken store.
pub(crate) struct Clients(pub(crate) Arc<Store>);

#[async_trait]
impl Harness for Clients {
    async fn client(&self) -> Result<Box<dyn Backend>, HarnessError> {
        Ok(Box::new(Broken::new(&self.0).0))
    }

    async fn breakable(&self) -> Result<Option<Breakable>, HarnessError> {
        let (client, ears) = Broken::new(&self.0);
        Ok(Some(Breakable {
            client: Box::new(client),
            line: Box::new(Lane(ears)),
        }))
    }

    async fn damage(&self, key: &Key, damage: Damage) -> Result<bool, HarnessError> {
        Ok(self.0.damage(key, damage))
    }
}

impl Drop for Broken {
    fn drop(&mut self) {
        self.ears.board.close();
    }
}
