//! The store behind a broken backend: memory, with telling of its own so that it can be got wrong.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use memolock_core::{
    Acquired, Backend, BackendError, Key, Layout, Message, Notice, Switchboard, Token,
};
use memolock_memory::MemoryBackend;
use memolock_testkit::suite::Damage;
use tokio::sync::{Semaphore, watch};

use crate::faults::Fault;

/// Whether bytes get through to the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Fine,
    Cut,
    Stalled,
}

/// One store, which several clients share.
#[derive(Debug)]
pub(crate) struct Store {
    pub(crate) memory: MemoryBackend,
    pub(crate) fault: Fault,
    /// Held while something takes effect and is told.
    pub(crate) gate: Mutex<()>,
    clients: Mutex<Vec<(Weak<Switchboard>, watch::Receiver<State>)>>,
    pub(crate) last: Mutex<BTreeMap<Key, Message>>,
    heard_of: Mutex<BTreeSet<Key>>,
    pub(crate) lists: Mutex<BTreeSet<Key>>,
    /// Answers on their way, for a client that pairs them with whoever asks next.
    pub(crate) answers: Mutex<VecDeque<Option<Bytes>>>,
    /// A pool that dropped calls do not give back to.
    pub(crate) pool: Semaphore,
}

impl Store {
    pub(crate) fn new(fault: Fault) -> Arc<Self> {
        Arc::new(Self {
            memory: MemoryBackend::new(),
            fault,
            gate: Mutex::default(),
            clients: Mutex::default(),
            last: Mutex::default(),
            heard_of: Mutex::default(),
            lists: Mutex::default(),
            answers: Mutex::default(),
            pool: Semaphore::new(4),
        })
    }

    pub(crate) fn join(&self, board: &Arc<Switchboard>, line: watch::Receiver<State>) {
        let client = (Arc::downgrade(board), line);
        self.clients.lock().unwrap().push(client);
    }

    pub(crate) fn listened_to(&self, key: &Key) {
        if self.fault == Fault::TellsTheWholeTag {
            self.heard_of.lock().unwrap().insert(key.clone());
        }
    }

    /// Tells the listeners of every client whose line is not cut.
    pub(crate) fn tell(&self, key: &Key, message: &Message) {
        let mut keys = vec![key.clone()];
        match self.fault {
            Fault::TellsTwice => keys.push(key.clone()),
            Fault::TellsTheWholeTag => {
                let others = self.heard_of.lock().unwrap();
                let same = others
                    .iter()
                    .filter(|k| k.space() == key.space() && *k != key);
                keys.extend(same.cloned());
            }
            Fault::HearsThePast => {
                self.last
                    .lock()
                    .unwrap()
                    .insert(key.clone(), message.clone());
            }
            _ => {}
        }
        let mut clients = self.clients.lock().unwrap();
        clients.retain(|(board, _)| board.strong_count() > 0);
        for (board, line) in clients.iter() {
            if let Some(board) = board.upgrade()
                && *line.borrow() != State::Cut
            {
                keys.iter().for_each(|key| board.deliver(key, message));
            }
        }
    }

    /// The memory's, or one of those that make too much of a value which counts for none.
    pub(crate) fn acquire_over(
        &self,
        key: &Key,
        token: Token,
        lease: Duration,
        stale: &Bytes,
    ) -> Result<Acquired, BackendError> {
        let there = now(self.memory.get(key))?.unwrap_or_default();
        let stale = match self.fault {
            Fault::AcquiresOverAnything => &there,
            Fault::AcquiresOverABeginning if there.starts_with(stale) => &there,
            _ => stale,
        };
        if self.fault == Fault::AcquiringOverDeletes && there == stale {
            now(self.memory.invalidate(key))?;
        }
        now(self.memory.acquire_over(key, token, lease, stale))
    }

    /// Whose lock it is, as only the store itself could know.
    pub(crate) fn holder(&self, key: &Key) -> Option<Token> {
        let lock = now(self.memory.inspect(key)).unwrap().lock?;
        let digits = std::str::from_utf8(&lock.holder).unwrap();
        Some(Token::from_bits(u128::from_str_radix(digits, 16).unwrap()))
    }

    /// The key, as a backend that is careless with names understands it.
    pub(crate) fn name(&self, key: &Key) -> Key {
        let id = match self.fault {
            Fault::IdsIgnoreCase => key.id().to_ascii_lowercase(),
            Fault::IdsStopAtNul => key.id().split('\0').next().unwrap().to_owned(),
            _ => return key.clone(),
        };
        assert_eq!(key.space().layout(), Layout::Classic);
        key.space().key(&id).unwrap()
    }

    pub(crate) fn damage(&self, key: &Key, damage: Damage) -> bool {
        match damage {
            Damage::WrongValueType => {
                self.lists.lock().unwrap().insert(key.clone());
                true
            }
            Damage::OddNotice => {
                let notice = Notice::decode(b"\xff what?");
                self.tell(key, &Message::Notice(notice));
                true
            }
            _ => false,
        }
    }
}

/// Memory's answers are there at once.
pub(crate) fn now<T>(
    call: impl Future<Output = Result<T, BackendError>>,
) -> Result<T, BackendError> {
    call.now_or_never().expect("memory waits for nothing")
}
