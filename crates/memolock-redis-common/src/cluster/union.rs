//! The changes of a keyspace on all masters, as one stream.
//!
//! A value may be at any of them, so changes are heard only while all are heard: one that is lost, or one that the map
//! has gained, is a gap until it has confirmed. What a master tells meanwhile is of no use to anybody.

use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::{Stream, StreamExt, stream};
use memolock_core::{Change, Keyspace, Tracker};
use tokio::sync::watch;

use super::atlas::Post;
use super::node::{Node, Opener};
use super::shared::{News, Shared};

/// One tracker of a keyspace.
pub(crate) struct Union<O: Opener> {
    shared: Arc<Shared<O>>,
    space: Keyspace,
    news: watch::Receiver<News>,
    parts: Vec<Part<O::Node>>,
    /// Who is asked first, in turns: one that talks without end does not drown the others.
    turn: usize,
    /// Resumed was told, and no gap since.
    heard: bool,
    refused: bool,
}

/// One master.
struct Part<N> {
    post: Arc<Post<N>>,
    tracker: Tracker,
    live: bool,
}

impl<O: Opener> Union<O> {
    pub(crate) fn new(shared: &Arc<Shared<O>>, space: &Keyspace) -> Self {
        let mut union = Self {
            shared: Arc::clone(shared),
            space: space.clone(),
            news: shared.news(),
            parts: Vec::new(),
            turn: 0,
            heard: false,
            refused: false,
        };
        // Nothing can have been told to anybody yet.
        union.redraw();
        union
    }

    /// Its changes.
    pub(crate) fn changes(self) -> impl Stream<Item = Change> + Send {
        stream::unfold(self, |mut union| async move {
            let change = union.next().await?;
            Some((change, union))
        })
        .fuse()
    }

    async fn next(&mut self) -> Option<Change> {
        loop {
            if self.shared.is_closed() {
                return None;
            }
            if let Some(change) = self.turned() {
                return Some(change);
            }
            tokio::select! {
                biased;
                // First: a master that is not heard yet is a gap, whatever the others say.
                news = self.news.changed() => match news {
                    Ok(()) => self.redraw(),
                    Err(_) => return None,
                },
                (at, change) = told(&mut self.parts, &mut self.turn) => {
                    if let Some(change) = self.hear(at, change) {
                        return Some(change);
                    }
                }
            }
        }
    }

    /// Follows the masters of the map, and no others.
    fn redraw(&mut self) {
        if self.refused {
            return;
        }
        self.news.borrow_and_update();
        let posts: Vec<_> = self.shared.atlas().masters().map(Arc::clone).collect();
        let mut old = std::mem::take(&mut self.parts);
        for post in posts {
            let known = old.iter().position(|part| Arc::ptr_eq(&part.post, &post));
            self.parts.push(match known {
                Some(at) => old.swap_remove(at),
                None => Part {
                    tracker: post.node.track(&self.space),
                    post,
                    live: false,
                },
            });
        }
    }

    /// What is to be told because of who is heard.
    fn turned(&mut self) -> Option<Change> {
        let all = !self.parts.is_empty() && self.parts.iter().all(|part| part.live);
        if all == self.heard || self.refused {
            return None;
        }
        self.heard = all;
        Some(match all {
            true => Change::Resumed,
            false => Change::Gap,
        })
    }

    fn hear(&mut self, at: usize, change: Option<Change>) -> Option<Change> {
        let part = self.parts.get_mut(at)?;
        match change {
            Some(Change::Resumed) => {
                // It may have summed up what was unread in this word.
                let again = std::mem::replace(&mut part.live, true);
                (again && self.heard).then_some(Change::All)
            }
            Some(Change::Gap) => {
                part.live = false;
                None
            }
            Some(change @ (Change::Value(_) | Change::All)) => self.heard.then_some(change),
            Some(refused @ Change::Refused(_)) => {
                self.refused = true;
                self.parts.clear();
                Some(refused)
            }
            // The node was closed, and the news that it serves nothing any more come with it.
            None => {
                self.parts.swap_remove(at);
                None
            }
        }
    }
}

/// The next word of any of them.
async fn told<N>(parts: &mut [Part<N>], turn: &mut usize) -> (usize, Option<Change>) {
    std::future::poll_fn(|cx: &mut Context<'_>| {
        for step in 0..parts.len() {
            let at = (*turn + step) % parts.len();
            if let Poll::Ready(change) = parts[at].tracker.poll_next_unpin(cx) {
                *turn = at + 1;
                return Poll::Ready((at, change));
            }
        }
        Poll::Pending
    })
    .await
}
