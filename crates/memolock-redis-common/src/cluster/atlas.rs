//! The map, and the nodes that it speaks of.

use std::sync::Arc;
use std::time::Duration;

use memolock_core::redis::Fault;
use memolock_core::redis::cluster::{Place, SlotMap};
use tokio::time::Instant;

use super::node::Node;

/// How long a node that serves nothing any more is kept after its last use: what is in flight there ends, and who
/// listens there has moved.
const GRACE: Duration = Duration::from_secs(10);

/// Nodes that are in no map and are kept all the same. A server that sends us to ever new places does not make us open
/// ever more connections.
const STRANGERS: usize = 32;

/// A node, and where it is.
#[derive(Debug)]
pub(crate) struct Post<N> {
    pub(crate) place: Place,
    pub(crate) node: N,
}

/// A post, or why there is none.
type Manned<N> = Result<Arc<Post<N>>, Fault>;

/// Who serves which slot, by whom they are reached, and who is left over. Plain data: its owner locks it.
pub(crate) struct Atlas<N> {
    map: Option<SlotMap>,
    /// As the masters of the map, one by one.
    masters: Vec<Manned<N>>,
    /// Seeds, where `ASK` led, and who serves nothing any more; with their last use.
    strangers: Vec<(Arc<Post<N>>, Instant)>,
}

/// Who is to be asked.
pub(crate) enum Owner<N> {
    Post(Arc<Post<N>>),
    /// No map was told yet.
    Unknown,
    /// It is nobody's.
    Nobody,
    /// It cannot be reached whatever one does.
    Unusable(Fault),
}

impl<N: Node> Atlas<N> {
    pub(crate) fn new() -> Self {
        Self {
            map: None,
            masters: Vec::new(),
            strangers: Vec::new(),
        }
    }

    pub(crate) fn owner(&self, slot: u16) -> Owner<N> {
        let Some(map) = &self.map else {
            return Owner::Unknown;
        };
        match map.owner_at(slot).and_then(|at| self.masters.get(at)) {
            Some(Ok(post)) => Owner::Post(Arc::clone(post)),
            Some(Err(fault)) => Owner::Unusable(fault.clone()),
            None => Owner::Nobody,
        }
    }

    /// Where the slot is, as far as is known.
    pub(crate) fn place(&self, slot: u16) -> Option<&Place> {
        self.map.as_ref()?.owner(slot)
    }

    pub(crate) fn map(&self) -> Option<&SlotMap> {
        self.map.as_ref()
    }

    /// The masters that can be reached.
    pub(crate) fn masters(&self) -> impl Iterator<Item = &Arc<Post<N>>> {
        self.masters.iter().filter_map(|post| post.as_ref().ok())
    }

    /// All that there are.
    pub(crate) fn posts(&self) -> impl Iterator<Item = &Arc<Post<N>>> {
        self.masters()
            .chain(self.strangers.iter().map(|(post, _)| post))
    }

    /// Another map. Says whether it is another one; `open` makes what it adds.
    pub(crate) fn redraw(
        &mut self,
        map: SlotMap,
        mut open: impl FnMut(&Place) -> Result<N, Fault>,
    ) -> bool {
        if self.map.as_ref() == Some(&map) {
            return false;
        }
        let now = Instant::now();
        let mut old: Vec<Arc<Post<N>>> = self.posts().map(Arc::clone).collect();
        let manned = |place: &Place| {
            if let Some(at) = old.iter().position(|post| post.place == *place) {
                return Ok(old.swap_remove(at));
            }
            man(place, &mut open)
        };
        let masters = map.masters().iter().map(manned).collect();
        self.masters = masters;
        let used = std::mem::take(&mut self.strangers);
        self.strangers = old
            .into_iter()
            .map(|post| {
                let last = used.iter().find(|(other, _)| Arc::ptr_eq(other, &post));
                let last = last.map_or(now, |(_, last)| *last);
                (post, last)
            })
            .collect();
        self.map = Some(map);
        true
    }

    /// One slot has moved, as a node said. Says whether that is news.
    pub(crate) fn moved(
        &mut self,
        slot: u16,
        place: &Place,
        open: impl FnMut(&Place) -> Result<N, Fault>,
    ) -> bool {
        let Some(map) = &self.map else {
            return false;
        };
        if map.owner(slot) == Some(place) {
            return false;
        }
        let mut map = map.clone();
        map.moved(slot, place);
        self.redraw(map, open)
    }

    /// A node by its place, which may be in no map: where `ASK` leads, and seeds. The one of them that was used least
    /// lately makes way and is returned too.
    pub(crate) fn at(
        &mut self,
        place: &Place,
        open: impl FnMut(&Place) -> Result<N, Fault>,
    ) -> (Manned<N>, Option<Arc<Post<N>>>) {
        if let Some(post) = self.masters().find(|post| post.place == *place) {
            return (Ok(Arc::clone(post)), None);
        }
        let now = Instant::now();
        let known = self.strangers.iter_mut().find(|(p, _)| p.place == *place);
        if let Some((post, used)) = known {
            *used = now;
            return (Ok(Arc::clone(post)), None);
        }
        let manned = man(place, open);
        let mut gone = None;
        if let Ok(post) = &manned {
            if self.strangers.len() >= STRANGERS {
                let oldest = (0..STRANGERS).min_by_key(|at| self.strangers[*at].1);
                gone = oldest.map(|at| self.strangers.swap_remove(at).0);
            }
            self.strangers.push((Arc::clone(post), now));
        }
        (manned, gone)
    }

    /// Takes out those whose grace is over.
    pub(crate) fn sweep(&mut self) -> Vec<Arc<Post<N>>> {
        let now = Instant::now();
        let over = |used: &Instant| now.saturating_duration_since(*used) >= GRACE;
        let (gone, stay) = std::mem::take(&mut self.strangers)
            .into_iter()
            .partition(|(_, used)| over(used));
        self.strangers = stay;
        let gone: Vec<(Arc<Post<N>>, Instant)> = gone;
        gone.into_iter().map(|(post, _)| post).collect()
    }

    /// Whether there is anybody to sweep, sooner or later.
    pub(crate) fn has_strangers(&self) -> bool {
        !self.strangers.is_empty()
    }

    /// Takes out all.
    pub(crate) fn clear(&mut self) -> Vec<Arc<Post<N>>> {
        let posts = self.posts().map(Arc::clone).collect();
        *self = Self::new();
        posts
    }
}

fn man<N>(place: &Place, mut open: impl FnMut(&Place) -> Result<N, Fault>) -> Manned<N> {
    let node = open(place)?;
    let place = place.clone();
    Ok(Arc::new(Post { place, node }))
}
