//! The task that keeps the map: it alone asks for it, so that however many doubt it, it is asked for once.
//!
//! It asks when somebody doubts the map (a redirection, a node that does not answer), when a link to a master breaks,
//! and slowly for its own part. While a master cannot be reached it asks quickly, so that a replica that was promoted
//! is found as soon as the others know of it. Several nodes are asked at once and what most of them say is believed:
//! one that was cut off does not know that it was replaced. Nobody waits for this task: who does waits for news.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::future::select_all;
use futures_util::stream::FuturesUnordered;
use memolock_core::ErrorKind;
use memolock_core::connection::UNRECOGNIZED_PAUSE;
use memolock_core::redis::Fault;
use memolock_core::redis::cluster::{Place, SlotMap};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tracing::{debug, warn};

use super::atlas::Post;
use super::node::{Node, Opener, Request};
use super::shared::{Shared, State};

/// How often the map is asked for when nobody doubts it: slots may have moved that nobody here used since.
const SLOW: Duration = Duration::from_secs(30);

/// How often while a master cannot be reached, or there is no map.
const QUICK: Duration = Duration::from_millis(150);

/// How long it is asked for quickly: longer than a failover takes with a cluster's default time-out of 15 s.
const EAGER: Duration = Duration::from_secs(30);

/// How often after that.
const PATIENT: Duration = Duration::from_secs(1);

/// How often while somebody listens to sharded channels through a client that does not tell when slots leave.
const WATCHFUL: Duration = Duration::from_secs(1);

/// The least time between two rounds, however many doubt.
const REST: Duration = Duration::from_millis(50);

/// How long a round waits for nodes that do not answer.
const ROUND: Duration = Duration::from_millis(500);

/// How many nodes are asked at once.
const ASKED: usize = 5;

pub(crate) struct Keeper<O: Opener> {
    shared: Arc<Shared<O>>,
    round: usize,
    /// Since when there has been trouble.
    trouble: Option<Instant>,
    /// The least time until the next round: longer after an error that is not known.
    rest: Duration,
}

type Posts<O> = Vec<Arc<Post<<O as Opener>::Node>>>;

/// A close says so before; otherwise the runtime has dropped it. What was mapped is told by the nodes themselves.
impl<O: Opener> Drop for Keeper<O> {
    fn drop(&mut self) {
        self.shared.unmapped(Fault::no_runtime());
    }
}

impl<O: Opener> Keeper<O> {
    pub(crate) fn new(shared: Arc<Shared<O>>) -> Self {
        Self {
            shared,
            round: 0,
            trouble: None,
            rest: REST,
        }
    }

    /// Never returns; it is aborted.
    pub(crate) async fn run(mut self) {
        loop {
            self.refresh().await;
            let rest = Instant::now() + self.rest;
            self.wait().await;
            sleep_until(rest).await;
            self.shared.sweep();
        }
    }

    /// Until the map is to be asked for.
    async fn wait(&mut self) {
        let masters: Posts<O> = self.shared.atlas().masters().map(Arc::clone).collect();
        let troubled = masters.is_empty() || masters.iter().any(|post| post.node.is_down());
        if !troubled {
            self.trouble = None;
        }
        let pause = match (troubled, self.trouble) {
            (true, Some(since)) if since.elapsed() > EAGER => PATIENT,
            (true, _) => {
                self.trouble.get_or_insert_with(Instant::now);
                QUICK
            }
            (false, _) if self.is_watchful() => WATCHFUL,
            // Somebody is to be swept.
            (false, _) if self.shared.atlas().has_strangers() => SLOW / 3,
            (false, _) => SLOW,
        };
        let broken = async {
            match troubled {
                // It is known already.
                true => std::future::pending().await,
                false => select_all(masters.iter().map(|post| Box::pin(post.node.down()))).await,
            }
        };
        tokio::select! {
            () = self.shared.doubt.notified() => {}
            () = sleep(pause) => {}
            _ = broken => {}
        }
    }

    fn is_watchful(&self) -> bool {
        !O::TELLS_OF_SLOTS && self.shared.sharded_ears() > 0
    }

    async fn refresh(&mut self) {
        self.rest = REST;
        let mut fault = None;
        for posts in [self.masters(), self.others()] {
            if posts.is_empty() {
                continue;
            }
            match self.ask(posts).await {
                Ok(map) => return self.shared.redraw(map),
                Err(why) => fault = Some(why),
            }
        }
        let fault = fault.unwrap_or_else(|| {
            let detail = "the URL names no node of a cluster that can be used";
            Fault::new(ErrorKind::Config, detail)
        });
        if fault.kind() == ErrorKind::Unrecognized {
            self.rest = UNRECOGNIZED_PAUSE;
        }
        match self.shared.state() {
            State::Connecting => warn!(reason = fault.detail(), "no node tells the map of slots"),
            _ => debug!(reason = fault.detail(), "no node tells the map of slots"),
        }
        self.shared.unmapped(fault);
    }

    /// Some of the masters, others each time, and those that can be reached first.
    fn masters(&mut self) -> Posts<O> {
        self.round = self.round.wrapping_add(1);
        let mut posts: Posts<O> = self.shared.atlas().masters().map(Arc::clone).collect();
        if !posts.is_empty() {
            let at = self.round % posts.len();
            posts.rotate_left(at);
        }
        posts.sort_by_key(|post| post.node.is_down());
        posts.truncate(ASKED);
        posts
    }

    /// Whom the URL names, and replicas.
    fn others(&self) -> Posts<O> {
        let atlas = self.shared.atlas();
        let replicas: Vec<Place> = atlas.map().map_or_else(Vec::new, |m| m.replicas().to_vec());
        drop(atlas);
        let mut places = self.shared.seeds();
        places.extend(replicas);
        let at = self.round % places.len().max(1);
        places.rotate_left(at);
        places.truncate(ASKED);
        let posts = places.iter().filter_map(|place| self.shared.at(place).ok());
        posts.collect()
    }

    /// What most of them say; of two that are said as often, what was said first.
    async fn ask(&self, posts: Posts<O>) -> Result<SlotMap, Fault> {
        let words = [Bytes::from_static(b"CLUSTER"), Bytes::from_static(b"SLOTS")];
        let asked = posts.len();
        let ask = async |post: Arc<Post<O::Node>>| {
            let answer = post.node.ask(Request::Words(&words), false).await;
            let map = answer.and_then(|reply| SlotMap::read(reply, post.place.host()));
            map.map_err(|fault| self.shared.placed(fault, &post.place))
        };
        let mut answers: FuturesUnordered<_> = posts.into_iter().map(ask).collect();
        let mut said: Vec<(SlotMap, usize)> = Vec::new();
        let mut fault = Fault::late(ROUND);
        let round = async {
            while let Some(answer) = answers.next().await {
                let map = match answer {
                    Ok(map) => map,
                    Err(why) => {
                        fault = why;
                        continue;
                    }
                };
                match said.iter_mut().find(|(other, _)| *other == map) {
                    Some((_, times)) => *times += 1,
                    None => said.push((map, 1)),
                }
                if said.iter().any(|(_, times)| 2 * times > asked) {
                    return;
                }
            }
        };
        // At the beginning there is nothing to do with less than an answer.
        let bound = match self.shared.state() {
            State::Mapped => ROUND,
            _ => ROUND.max(2 * self.shared.bound),
        };
        // What was said until then is what there is.
        let _ = timeout(bound, round).await;
        let most = said.iter().map(|(_, times)| *times).max();
        let best = said.into_iter().find(|(_, times)| Some(*times) == most);
        best.map(|(map, _)| map).ok_or(fault)
    }
}
