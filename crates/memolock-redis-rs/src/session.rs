//! One life of the subscription connection: what the switchboard wishes, asked of the server.

use std::collections::VecDeque;
use std::pin::Pin;

use memolock_core::redis::{Fault, Routes};
use memolock_core::{ErrorKind, Key, Operation};
use memolock_redis_common::{Owner, Plan, Step, heartbeat};
use redis::aio::MultiplexedConnection;
use redis::{PushInfo, PushKind};
use tracing::debug;

use crate::dial::{Line, Redis, set_name, sign_of_life};
use crate::error::fault;
use crate::reply;
use crate::shards::{self, Shards};
use crate::tracking::{changed, is_outage, track};

/// What came of a step; of sharded channels, of each key.
struct Answer {
    step: Step,
    outcome: Result<(), Fault>,
    refused: Vec<(Key, Fault)>,
}

/// One connection's life.
pub(crate) struct Session<'a> {
    owner: &'a Owner<Redis>,
    line: Line,
    routes: Routes,
    shards: Shards,
    plan: Plan,
    /// The fail channels whose confirmation is outstanding. They are confirmed in the order asked,
    /// each after its notif channel: so it confirms the key.
    awaited: VecDeque<(String, Key)>,
}

impl<'a> Session<'a> {
    pub(crate) fn new(owner: &'a Owner<Redis>, line: Line) -> Self {
        Self {
            owner,
            line,
            routes: Routes::in_database(owner.site.address.database()),
            shards: Shards::in_database(owner.site.address.database()),
            plan: Plan::default(),
            awaited: VecDeque::new(),
        }
    }

    /// Until the connection is lost.
    pub(crate) async fn run(mut self) -> Fault {
        let mut beat = heartbeat(self.owner.site.options.heartbeat);
        let mut asking: Option<Pin<Box<dyn Future<Output = Answer> + Send>>> = None;
        loop {
            if asking.is_none() {
                asking = self.plan.pop().map(|step| self.ask(step));
            }
            tokio::select! {
                biased;
                push = self.line.ends.pushes.recv() => match push {
                    Ok(push) => if let Err(fault) = self.hear(push, asking.is_some()) {
                        return fault;
                    },
                    Err(fault) => return fault,
                },
                answer = settle(&mut asking) => {
                    asking = None;
                    if let Err(fault) = self.answered(answer) {
                        return fault;
                    }
                }
                changes = self.owner.board.changes(), if asking.is_none() => {
                    self.wished(&changes.subscribe, &changes.unsubscribe);
                }
                wish = self.owner.trackers.wishes(), if asking.is_none() => {
                    self.plan.push(Step::Track(wish));
                }
                // While something is asked, its answer is as good as a ping's.
                _ = beat.tick(), if asking.is_none() => self.plan.push(Step::Check),
                () = self.owner.doubt.raised(), if asking.is_none() => {
                    self.plan.push(Step::Check);
                }
                name = self.line.names.changed(), if asking.is_none() => {
                    self.plan.push(Step::Name(name));
                }
            }
        }
    }

    /// What is given up, and what is wished for.
    fn wished(&mut self, subscribe: &[Key], unsubscribe: &[Key]) {
        let silent = unsubscribe.iter().flat_map(|key| self.routes.remove(key));
        let silent: Vec<String> = silent.collect();
        let left = self.shards.remove(unsubscribe);
        self.plan.wished(subscribe, &silent, &left);
    }

    fn ask(&mut self, step: Step) -> Pin<Box<dyn Future<Output = Answer> + Send>> {
        if let Step::Subscribe(keys) = &step {
            let fails = keys.iter().map(|key| {
                let [_, fail] = self.routes.channels(key);
                (fail, key.clone())
            });
            self.awaited.extend(fails);
        }
        if let Step::Join(keys) = &step {
            self.shards.asked(keys);
        }
        // A name is part of setting a connection up.
        if !matches!(step, Step::Name(_)) {
            self.owner.counters.command();
        }
        let mut connection = self.line.ends.connection.clone();
        let is_master = self.line.place.is_some();
        let channels = match &step {
            Step::Subscribe(keys) | Step::Join(keys) => {
                keys.iter().flat_map(|k| self.routes.channels(k)).collect()
            }
            _ => Vec::new(),
        };
        Box::pin(async move {
            let (outcome, refused) = match &step {
                Step::Join(keys) => match shards::join(&mut connection, keys, channels).await {
                    Ok(refused) => (Ok(()), refused),
                    Err(fault) => (Err(fault), Vec::new()),
                },
                step => (
                    send(step, &mut connection, channels, is_master).await,
                    Vec::new(),
                ),
            };
            Answer {
                step,
                outcome,
                refused,
            }
        })
    }

    /// The server has answered what was asked. An error ends the session if it may pass.
    fn answered(&mut self, answer: Answer) -> Result<(), Fault> {
        let Answer {
            step,
            outcome,
            refused,
        } = answer;
        // Confirmations come as pushes, and were put in the channel before the answer was.
        while let Some(push) = self.line.ends.pushes.try_recv()? {
            self.hear(push, true)?;
        }
        match (step, outcome) {
            // What an old server says of a command that it does not know is no reason to part.
            (Step::Track(_), Err(fault)) if !is_outage(&fault) => {
                debug!(reason = fault.detail(), "refused to track");
                let error = fault.outward(Operation::Subscribe);
                self.owner.trackers.refuse(&error);
                Ok(())
            }
            // A cluster's node is asked for each slot by itself, and says of each what it can.
            (_, Err(fault)) if fault.is_passing() && fault.redirect().is_none() => Err(fault),
            (Step::Join(_), Ok(())) => self.joined(refused),
            (Step::Subscribe(keys), Err(fault)) => {
                self.awaited.clear();
                if let Some(key) = self.plan.refused(keys) {
                    let error = fault.on(Operation::Subscribe, &key);
                    self.owner.board.refuse(&key, &error);
                }
                Ok(())
            }
            (Step::Track(_), Ok(())) => {
                self.owner.trackers.confirm();
                Ok(())
            }
            (_, Err(fault)) => {
                debug!(reason = fault.detail(), "refused to unsubscribe");
                Ok(())
            }
            (_, Ok(())) if !self.awaited.is_empty() => Err(unconfirmed()),
            (Step::Subscribe(keys), Ok(())) => {
                self.plan.stand(&keys);
                Ok(())
            }
            (_, Ok(())) => Ok(()),
        }
    }

    /// Keys whose sharded channels were asked for: they are there, or were refused.
    fn joined(&mut self, refused: Vec<(Key, Fault)>) -> Result<(), Fault> {
        let passing = refused.iter().map(|(_, fault)| fault);
        let mut passing = passing.filter(|f| f.is_passing() && f.redirect().is_none());
        if let Some(fault) = passing.next() {
            return Err(fault.clone());
        }
        let is_refused = |key: &Key| refused.iter().any(|(other, _)| other == key);
        if self.shards.settle().iter().any(|key| !is_refused(key)) {
            return Err(unconfirmed());
        }
        for (key, fault) in refused {
            // Of one that listens to both, the classic channels stand.
            let silent = self.routes.remove(&key);
            if !silent.is_empty() {
                self.plan.push(Step::Unsubscribe(silent));
            }
            let error = fault.on(Operation::Subscribe, &key);
            self.owner.board.refuse(&key, &error);
        }
        Ok(())
    }

    /// `asking`: an answer is outstanding. An error ends the session.
    fn hear(&mut self, push: PushInfo, asking: bool) -> Result<(), Fault> {
        if push.kind == PushKind::Invalidate {
            changed(&self.owner.trackers, push.data);
            return Ok(());
        }
        let mut data = push.data.into_iter();
        let (Some(channel), Some(payload)) = (data.next(), data.next()) else {
            return Ok(());
        };
        let Some(channel) = reply::bytes(channel) else {
            return Ok(());
        };
        match push.kind {
            PushKind::Message => {
                if let Some(payload) = reply::bytes(payload) {
                    for (key, message) in self.routes.read(&channel, &payload) {
                        self.owner.board.deliver(key, &message);
                    }
                }
            }
            PushKind::SMessage => {
                if let Some(payload) = reply::bytes(payload) {
                    for (key, message) in self.shards.read(&channel, &payload) {
                        self.owner.board.deliver(key, &message);
                    }
                }
            }
            PushKind::Subscribe => self.confirmed(&channel),
            PushKind::SSubscribe => {
                if let Some(key) = self.shards.confirmed(&channel) {
                    self.owner.board.confirm(&key);
                }
            }
            PushKind::SUnsubscribe => return self.left(&channel, asking),
            _ => {}
        }
        Ok(())
    }

    /// A slot has left the server, if it was not us who asked to be unsubscribed.
    fn left(&mut self, channel: &[u8], asking: bool) -> Result<(), Fault> {
        let keys = self.shards.left(channel);
        if keys.is_empty() {
            return Ok(());
        }
        // The client takes this for the answer to what was asked, and that answer for the next one.
        if asking {
            let detail = "a slot has left the server amid a subscription";
            return Err(Fault::new(ErrorKind::Unavailable, detail));
        }
        for key in &keys {
            self.owner.board.lost(key);
        }
        Ok(())
    }

    fn confirmed(&mut self, channel: &[u8]) {
        let next = self.awaited.front();
        if next.is_some_and(|(fail, _)| fail.as_bytes() == channel)
            && let Some((_, key)) = self.awaited.pop_front()
        {
            self.routes.add(&key);
            // One that listens to both is confirmed by its sharded channels.
            if !key.space().notifications().is_sharded() {
                self.owner.board.confirm(&key);
            }
        }
    }
}

fn unconfirmed() -> Fault {
    Fault::new(ErrorKind::Protocol, "a subscription was not confirmed")
}

/// `channels` are those to subscribe.
async fn send(
    step: &Step,
    connection: &mut MultiplexedConnection,
    channels: Vec<String>,
    is_master: bool,
) -> Result<(), Fault> {
    match step {
        Step::Subscribe(_) => connection.subscribe(channels).await.map_err(fault),
        // `ask` does it, for its answer says more.
        Step::Join(_) => Ok(()),
        Step::Leave(channels) => shards::leave(connection, channels).await,
        Step::Unsubscribe(channels) => connection.unsubscribe(channels).await.map_err(fault),
        Step::Track(wish) => track(connection, wish).await,
        Step::Check => sign_of_life(connection, is_master).await,
        Step::Name(name) => {
            // Whoever will not be told serves us all the same.
            let _ = connection.send_packed_command(&set_name(name)).await;
            Ok(())
        }
    }
}

/// The answer to what is being asked, or never.
async fn settle(asking: &mut Option<Pin<Box<dyn Future<Output = Answer> + Send>>>) -> Answer {
    match asking {
        Some(answer) => answer.await,
        None => std::future::pending().await,
    }
}
