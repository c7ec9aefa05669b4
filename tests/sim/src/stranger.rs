//! Ancestors: peers that know the contract of 2019 and nothing of tokens, fencing or handing over.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use memolock::core::{Backend, Event, Message, PutMode, Token};
use tokio::time::{sleep, timeout};

use crate::backend::SimBackend;
use crate::caller::{Lore, key, value};
use crate::history::{CallId, End, ProcessId, What};
use crate::plan::Stranger;
use crate::store::{Answer, Op};
use crate::world::World;

/// How long an ancestor's lock lasts: longer than its work ever takes.
const LOCK: Duration = Duration::from_millis(400);
/// How long it waits for a publication before it gives up.
const PATIENCE: Duration = Duration::from_secs(5);

/// An ancestor with its own connections.
pub struct Ancestor {
    pub(crate) world: Arc<World>,
    pub(crate) process: ProcessId,
    pub(crate) backend: SimBackend,
    pub(crate) lore: Arc<Lore>,
}

impl Ancestor {
    /// Subscribes, looks, locks, computes, stores and publishes; or waits for who does.
    pub async fn run(self, id: CallId, plan: Stranger) {
        sleep(Duration::from_millis(plan.at)).await;
        let (process, key) = (self.process, plan.key);
        let does = "asks, as in 2019, for";
        self.world.note(What::CallBegan {
            call: id,
            process,
            key,
            does,
        });
        let end = self.ask(id, &plan).await;
        self.world.note(match end {
            Some(end) => What::CallEnded { call: id, end },
            None => What::CallLeft { call: id },
        });
    }

    async fn ask(&self, call: CallId, plan: &Stranger) -> Option<End> {
        let name = key(plan.key);
        let gone = |_| End::Store("gone".to_owned());
        // First the ear, then the look: this much the ancestors had right.
        let mut heard = match self.backend.subscribe(&name).await {
            Ok(heard) => heard,
            Err(error) => return Some(gone(error)),
        };
        match self.backend.get(&name).await {
            Ok(Some(found)) => return Some(shown(&found)),
            Ok(None) => {}
            Err(error) => return Some(gone(error)),
        }
        let token = Token::from_bits(u128::MAX - self.process as u128);
        let lock = Op::Lock(name.clone(), token, LOCK);
        if self.world.raw(self.process, lock).await == Some(Answer::Flag(true)) {
            return self.make(call, plan).await;
        }
        let value = async {
            while let Some(event) = heard.next().await {
                match event {
                    Event::Message(Message::Value(value)) => return shown(&value),
                    // Ours alone: an ancestor does not hear `fail`.
                    Event::Message(Message::Notice(_)) | Event::Gap | Event::Resumed => {}
                }
            }
            End::Closed
        };
        Some(timeout(PATIENCE, value).await.unwrap_or(End::TimedOut))
    }

    async fn make(&self, call: CallId, plan: &Stranger) -> Option<End> {
        let (compute, process, key) = (self.lore.number(), self.process, plan.key);
        let leased = true;
        self.world.note(What::ComputeBegan {
            compute,
            call,
            process,
            key,
            leased,
            placed: false,
        });
        sleep(Duration::from_millis(plan.lasts)).await;
        let well = !plan.crashes;
        self.world.note(What::ComputeEnded { compute, well });
        if plan.crashes {
            return None;
        }
        let (name, made) = (crate::caller::key(key), value(key, 'v', compute));
        let ttl = Duration::from_secs(600);
        let stored = self
            .backend
            .put(&name, made.clone().into(), ttl, PutMode::Resolve)
            .await;
        if stored.is_ok() && plan.unlocks {
            self.world.raw(self.process, Op::Unlock(name)).await;
        }
        Some(End::Value(made))
    }
}

fn shown(value: &[u8]) -> End {
    End::Value(String::from_utf8_lossy(value).into_owned())
}
