//! What the router, its keeper and its subscriptions share.

use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use memolock_core::Key;
use memolock_core::redis::cluster::{Place, SlotMap, key_slot};
use memolock_core::redis::{Address, Endpoint, Fault};
use tokio::runtime::Handle;
use tokio::sync::{Notify, watch};

use super::atlas::{Atlas, Owner, Post};
use super::node::{Node, Opener};
use crate::home::Home;

/// What is told to everybody who waits for news of the map.
#[derive(Debug, Clone)]
pub(crate) struct News {
    /// Grows with each other map.
    pub(crate) edition: u64,
    pub(crate) state: State,
}

/// What is known.
#[derive(Debug, Clone)]
pub(crate) enum State {
    /// Nobody has been asked yet.
    Connecting,
    /// There is a map.
    Mapped,
    /// Nobody has told a map so far; the reason.
    Down(Fault),
    Closed,
}

pub(crate) struct Shared<O: Opener> {
    pub(crate) opener: O,
    /// Where to ask first, and as whom to log in anywhere.
    pub(crate) address: Address,
    /// Of a command, all of its ways included.
    pub(crate) bound: Duration,
    pub(crate) home: Home,
    atlas: RwLock<Atlas<O::Node>>,
    news: watch::Sender<News>,
    /// The map is in doubt.
    pub(crate) doubt: Notify,
    /// Who listens to sharded channels.
    sharded: AtomicUsize,
}

impl<O: Opener> Shared<O> {
    /// Within a tokio runtime, which is its home.
    pub(crate) fn new(opener: O, address: &Address, bound: Duration) -> Self {
        Self {
            home: Home::new(Handle::current()),
            opener,
            address: address.clone(),
            bound,
            atlas: RwLock::new(Atlas::new()),
            news: watch::Sender::new(News {
                edition: 0,
                state: State::Connecting,
            }),
            doubt: Notify::new(),
            sharded: AtomicUsize::new(0),
        }
    }

    /// Somebody listens to a key, or does so no longer.
    pub(crate) fn listens(&self, key: &Key, begins: bool) {
        if !key.space().notifications().is_sharded() {
            return;
        }
        match begins {
            // The keeper is to watch the map more closely.
            true if self.sharded.fetch_add(1, Relaxed) == 0 && !O::TELLS_OF_SLOTS => {
                self.doubt.notify_one();
            }
            true => {}
            false => {
                self.sharded.fetch_sub(1, Relaxed);
            }
        }
    }

    /// How many listen to sharded channels.
    pub(crate) fn sharded_ears(&self) -> usize {
        self.sharded.load(Relaxed)
    }

    /// News of the map. What the receiver has seen is what stands when this returns: so look at the map afterwards.
    pub(crate) fn news(&self) -> watch::Receiver<News> {
        self.news.subscribe()
    }

    pub(crate) fn state(&self) -> State {
        self.news.borrow().state.clone()
    }

    pub(crate) fn is_closed(&self) -> bool {
        matches!(self.news.borrow().state, State::Closed)
    }

    /// Reads what is in the atlas.
    pub(crate) fn atlas(&self) -> RwLockReadGuard<'_, Atlas<O::Node>> {
        // Every critical section leaves it whole, so a panic elsewhere poisons nothing.
        self.atlas.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn atlas_mut(&self) -> RwLockWriteGuard<'_, Atlas<O::Node>> {
        self.atlas.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn owner(&self, slot: u16) -> Owner<O::Node> {
        self.atlas().owner(slot)
    }

    /// The master that has a key's value, as a number.
    pub(crate) fn part(&self, key: &Key) -> u64 {
        let atlas = self.atlas();
        let place = atlas.place(key_slot(key));
        place.map_or(0, |place| {
            BuildHasherDefault::<DefaultHasher>::default().hash_one(place)
        })
    }

    /// The atlas is another one from now on.
    pub(crate) fn redraw(&self, map: SlotMap) {
        self.change(|atlas| atlas.redraw(map, |place| self.open(place)));
    }

    /// A node said that the slot is elsewhere.
    pub(crate) fn moved(&self, slot: u16, place: &Place) {
        self.change(|atlas| atlas.moved(slot, place, |place| self.open(place)));
    }

    fn change(&self, change: impl FnOnce(&mut Atlas<O::Node>) -> bool) {
        let mut atlas = self.atlas_mut();
        // Under the lock: a close that comes now finds the nodes that were opened.
        if self.is_closed() {
            return;
        }
        let changed = change(&mut atlas);
        drop(atlas);
        self.news.send_if_modified(|news| match news.state {
            State::Closed => false,
            State::Mapped if !changed => false,
            _ => {
                news.edition += 1;
                news.state = State::Mapped;
                true
            }
        });
    }

    /// Nobody could be asked for the map.
    pub(crate) fn unmapped(&self, fault: Fault) {
        self.news.send_if_modified(|news| {
            // A map that there was is still the best guess.
            let first = matches!(news.state, State::Connecting | State::Down(_));
            if first {
                news.state = State::Down(fault);
            }
            first
        });
    }

    /// The node there, in a map or not.
    pub(crate) fn at(&self, place: &Place) -> Result<Arc<Post<O::Node>>, Fault> {
        let mut atlas = self.atlas_mut();
        if self.is_closed() {
            return Err(Fault::closed());
        }
        let (post, gone) = atlas.at(place, |place| self.open(place));
        drop(atlas);
        if let Some(gone) = gone {
            gone.node.close();
        }
        post
    }

    fn open(&self, place: &Place) -> Result<O::Node, Fault> {
        let address = self.address.at_host(place.host(), place.port());
        // A caller may be the first who is sent there; the node lives where the cluster does.
        let _entered = self.home.runtime().enter();
        self.opener.open(&address)
    }

    /// The nodes that the URL names.
    pub(crate) fn seeds(&self) -> Vec<Place> {
        let endpoints = self.address.endpoints().iter();
        let place = |endpoint: &Endpoint| match endpoint {
            Endpoint::Tcp { host, port } | Endpoint::Tls { host, port } => Place::new(host, *port),
            // No cluster is reached so.
            Endpoint::Unix(_) => None,
        };
        endpoints.filter_map(place).collect()
    }

    /// Closes nodes that serve nothing any more.
    pub(crate) fn sweep(&self) {
        let gone = self.atlas_mut().sweep();
        gone.iter().for_each(|post| post.node.close());
    }

    /// Says where it was, without the password.
    pub(crate) fn placed(&self, fault: Fault, place: &Place) -> Fault {
        let place = place.to_string();
        // What a node could not connect to says so already.
        match fault.detail().starts_with(&place) {
            true => fault,
            false => fault.at_place(&place, self.address.password()),
        }
    }

    /// Ends everything but what has to be waited for, which is returned.
    pub(crate) fn close(&self) -> Vec<Arc<Post<O::Node>>> {
        let mut atlas = self.atlas_mut();
        self.news.send_modify(|news| news.state = State::Closed);
        let posts = atlas.clear();
        drop(atlas);
        posts.iter().for_each(|post| post.node.close());
        posts
    }
}
