//! One command's way: to who serves its slot, and on from there.

use std::sync::Arc;
use std::time::Duration;

use memolock_core::ErrorKind;
use memolock_core::redis::cluster::{Attempt, Redirect, Step};
use memolock_core::redis::{Fault, LARGE_BYTES, Reply};
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::atlas::{Owner, Post};
use super::node::{Node, Opener, Request};
use super::shared::{Shared, State};
use crate::paused::late;
use crate::transfers::allowance;

impl<O: Opener> Shared<O> {
    /// Sends it to who serves the slot and follows redirections, all within the bound of a command. What was sent and
    /// got no answer is never sent again.
    ///
    /// Cancellation: as of any command, it may take effect or not.
    pub(crate) async fn carry(&self, slot: u16, request: Request<'_>) -> Result<Reply, Fault> {
        let first = match self.owner(slot) {
            Owner::Post(post) => match post.node.ask(request, false).await {
                Ok(reply) => return Ok(reply),
                Err(fault) => Some((post, fault)),
            },
            Owner::Unknown => {
                self.mapped().await?;
                None
            }
            Owner::Nobody => None,
            Owner::Unusable(fault) => return Err(fault),
        };
        // Boxed: it is rare, and every command's future would have room for it.
        Box::pin(self.persist(slot, request, first)).await
    }

    async fn persist(
        &self,
        slot: u16,
        request: Request<'_>,
        mut told: Option<(Arc<Post<O::Node>>, Fault)>,
    ) -> Result<Reply, Fault> {
        let deadline = Instant::now() + self.bound + extra(request);
        let mut attempt = Attempt::new();
        loop {
            let (post, asking) = match told.take() {
                None => match self.owner(slot) {
                    Owner::Post(post) => (post, false),
                    Owner::Unusable(fault) => return Err(fault),
                    Owner::Unknown | Owner::Nobody => {
                        self.doubt.notify_one();
                        let left = deadline.saturating_duration_since(Instant::now());
                        match attempt.next(&Redirect::Down, left) {
                            Step::Again { pause, .. } => sleep(pause).await,
                            _ => return Err(unserved(slot)),
                        }
                        continue;
                    }
                },
                Some((post, fault)) => {
                    self.note(&post, &fault);
                    let left = deadline.saturating_duration_since(Instant::now());
                    let step = match fault.redirect() {
                        Some(redirect) => attempt.next(redirect, left),
                        // The node went, and not the cluster: nothing was sent.
                        None if fault.kind() == ErrorKind::Closed && !self.is_closed() => {
                            attempt.next(&Redirect::Down, left)
                        }
                        None => return Err(self.placed(fault, &post.place)),
                    };
                    match step {
                        Step::Send { place, asking } => {
                            let place = place.told_by(post.place.host());
                            (self.at(&place)?, asking)
                        }
                        Step::Again { pause, .. } => {
                            sleep(pause).await;
                            continue;
                        }
                        Step::GiveUp => return Err(self.placed(given_up(&fault), &post.place)),
                    }
                }
            };
            match timeout_at(deadline, post.node.ask(request, asking)).await {
                Ok(Ok(reply)) => return Ok(reply),
                Ok(Err(fault)) => told = Some((post, fault)),
                Err(_) => return Err(self.placed(late(self.bound), &post.place)),
            }
        }
    }

    /// Learns from what a node answered.
    pub(crate) fn note(&self, post: &Post<O::Node>, fault: &Fault) {
        match (fault.redirect(), fault.kind()) {
            (Some(Redirect::Moved { slot, place }), _) => {
                self.moved(*slot, &place.clone().told_by(post.place.host()));
            }
            (Some(Redirect::Down), _) => {}
            // Slots on their way are no reason to doubt the map.
            (Some(_), _) => return,
            (None, ErrorKind::Unavailable | ErrorKind::Timeout | ErrorKind::Refused) => {}
            (None, ErrorKind::Closed) => {}
            (None, _) => return,
        }
        self.doubt.notify_one();
    }

    /// Waits for the first map, within the bound of a command.
    pub(crate) async fn mapped(&self) -> Result<(), Fault> {
        let mut news = self.news();
        let settled = news.wait_for(|news| !matches!(news.state, State::Connecting));
        match timeout(self.bound, settled).await {
            Err(_) => return Err(Fault::still_connecting()),
            // Cannot be: we hold the sender ourselves.
            Ok(Err(_)) => return Err(Fault::closed()),
            Ok(Ok(_)) => {}
        }
        match self.state() {
            State::Mapped => Ok(()),
            State::Connecting => Err(Fault::still_connecting()),
            State::Closed => Err(Fault::closed()),
            State::Down(fault) => {
                self.doubt.notify_one();
                // It took no time. Who tries again in a loop must not keep the keeper from running.
                tokio::task::yield_now().await;
                Err(fault.while_down())
            }
        }
    }
}

/// What a large value has beyond the bound of a command.
fn extra(request: Request<'_>) -> Duration {
    match request {
        Request::Call(call) if call.bytes() > LARGE_BYTES => allowance(call.bytes()),
        _ => Duration::ZERO,
    }
}

/// What callers are told when nodes sent us around until the bound.
fn given_up(fault: &Fault) -> Fault {
    let detail = match fault.redirect() {
        Some(Redirect::Moved { .. }) => "nodes disagree about who serves the slot",
        Some(Redirect::Ask { .. } | Redirect::TryAgain) => "the slot is on its way to another node",
        Some(Redirect::Down) => "the cluster does not serve the slot for now",
        None => "the node was closed",
    };
    Fault::new(ErrorKind::Refused, detail)
}

fn unserved(slot: u16) -> Fault {
    Fault::new(ErrorKind::Refused, format!("no node serves slot {slot}"))
}
