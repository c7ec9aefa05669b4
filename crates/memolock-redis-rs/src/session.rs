//! One life of the subscription connection: what the switchboard wishes, asked of the server.

use std::collections::VecDeque;
use std::pin::Pin;

use memolock_core::redis::{Fault, KEYS_PER_COMMAND, Routes};
use memolock_core::{ErrorKind, Key, Notifications, Operation, Wish};
use memolock_redis_common::{Owner, heartbeat};
use redis::aio::MultiplexedConnection;
use redis::{PushInfo, PushKind};
use tracing::debug;

use crate::dial::{Line, Redis, set_name, sign_of_life};
use crate::error::fault;
use crate::reply;
use crate::shards::{self, Shards};
use crate::tracking::{changed, is_outage, track};

/// What the server is asked, one thing at a time, so that answers are never mistaken. Meanwhile
/// other wishes gather in the switchboard and go together in the next command.
#[derive(Debug)]
enum Request {
    Subscribe(Vec<Key>),
    Unsubscribe(Vec<String>),
    /// Sharded channels; of keys that listen to both, the classic ones are there already.
    Join(Vec<Key>),
    Leave(Vec<String>),
    Track(Wish),
    Ping,
    /// Ask whether it is a master.
    Role,
    Name(String),
}

/// What came of it; of sharded channels, of each key.
struct Answer {
    request: Request,
    outcome: Result<(), Fault>,
    refused: Vec<(Key, Fault)>,
}

/// One connection's life.
pub(crate) struct Session<'a> {
    owner: &'a Owner<Redis>,
    line: Line,
    routes: Routes,
    shards: Shards,
    queue: VecDeque<Request>,
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
            queue: VecDeque::new(),
            awaited: VecDeque::new(),
        }
    }

    /// Until the connection is lost.
    pub(crate) async fn run(mut self) -> Fault {
        let mut beat = heartbeat(self.owner.site.options.heartbeat);
        let mut asking: Option<Pin<Box<dyn Future<Output = Answer> + Send>>> = None;
        loop {
            if asking.is_none() {
                asking = self.queue.pop_front().map(|request| self.ask(request));
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
                    self.plan(&changes.subscribe, &changes.unsubscribe);
                }
                wish = self.owner.trackers.wishes(), if asking.is_none() => {
                    self.queue.push_back(Request::Track(wish));
                }
                // While something is asked, its answer is as good as a ping's.
                _ = beat.tick(), if asking.is_none() => self.queue.push_back(self.check()),
                () = self.owner.doubt.raised(), if asking.is_none() => {
                    self.queue.push_back(self.check());
                }
                name = self.line.names.changed(), if asking.is_none() => {
                    self.queue.push_back(Request::Name(name));
                }
            }
        }
    }

    fn check(&self) -> Request {
        match self.line.place {
            Some(_) => Request::Role,
            None => Request::Ping,
        }
    }

    /// Turns wishes into commands: first what is given up, for a channel may be asked for again in
    /// the same breath under another key of the same name.
    fn plan(&mut self, subscribe: &[Key], unsubscribe: &[Key]) {
        let silent: Vec<String> = unsubscribe
            .iter()
            .flat_map(|key| self.routes.remove(key))
            .collect();
        for channels in silent.chunks(2 * KEYS_PER_COMMAND) {
            self.queue
                .push_back(Request::Unsubscribe(channels.to_vec()));
        }
        let silent = self.shards.remove(unsubscribe);
        for channels in silent.chunks(2 * KEYS_PER_COMMAND) {
            self.queue.push_back(Request::Leave(channels.to_vec()));
        }
        let classic = wanted(subscribe, Notifications::is_classic);
        for keys in classic.chunks(KEYS_PER_COMMAND) {
            self.queue.push_back(Request::Subscribe(keys.to_vec()));
        }
        // Those that listen to both follow once their classic channels stand.
        let sharded = wanted(subscribe, |way| !way.is_classic());
        for keys in sharded.chunks(KEYS_PER_COMMAND) {
            self.queue.push_back(Request::Join(keys.to_vec()));
        }
    }

    fn ask(&mut self, request: Request) -> Pin<Box<dyn Future<Output = Answer> + Send>> {
        if let Request::Subscribe(keys) = &request {
            let fails = keys.iter().map(|key| {
                let [_, fail] = self.routes.channels(key);
                (fail, key.clone())
            });
            self.awaited.extend(fails);
        }
        if let Request::Join(keys) = &request {
            self.shards.asked(keys);
        }
        // A name is part of setting a connection up.
        if !matches!(request, Request::Name(_)) {
            self.owner.counters.command();
        }
        let mut connection = self.line.ends.connection.clone();
        let channels = match &request {
            Request::Subscribe(keys) | Request::Join(keys) => {
                keys.iter().flat_map(|k| self.routes.channels(k)).collect()
            }
            _ => Vec::new(),
        };
        Box::pin(async move {
            let (outcome, refused) = match &request {
                Request::Join(keys) => match shards::join(&mut connection, keys, channels).await {
                    Ok(refused) => (Ok(()), refused),
                    Err(fault) => (Err(fault), Vec::new()),
                },
                request => (request.send(&mut connection, channels).await, Vec::new()),
            };
            Answer {
                request,
                outcome,
                refused,
            }
        })
    }

    /// The server has answered a request. An error ends the session if it may pass.
    fn answered(&mut self, answer: Answer) -> Result<(), Fault> {
        let Answer {
            request,
            outcome,
            refused,
        } = answer;
        // Confirmations come as pushes, and were put in the channel before the answer was.
        while let Some(push) = self.line.ends.pushes.try_recv()? {
            self.hear(push, true)?;
        }
        match (request, outcome) {
            // What an old server says of a command that it does not know is no reason to part.
            (Request::Track(_), Err(fault)) if !is_outage(&fault) => {
                debug!(reason = fault.detail(), "refused to track");
                let error = fault.outward(Operation::Subscribe);
                self.owner.trackers.refuse(&error);
                Ok(())
            }
            // A cluster's node is asked for each slot by itself, and says of each what it can.
            (_, Err(fault)) if fault.is_passing() && fault.redirect().is_none() => Err(fault),
            (Request::Join(_), Ok(())) => self.joined(refused),
            (Request::Subscribe(keys), Err(fault)) => {
                self.awaited.clear();
                self.refused(keys, fault);
                Ok(())
            }
            (Request::Track(_), Ok(())) => {
                self.owner.trackers.confirm();
                Ok(())
            }
            (_, Err(fault)) => {
                debug!(reason = fault.detail(), "refused to unsubscribe");
                Ok(())
            }
            (_, Ok(())) if !self.awaited.is_empty() => Err(unconfirmed()),
            (Request::Subscribe(keys), Ok(())) => {
                // Before anything else is asked of them.
                let both = wanted(&keys, Notifications::is_sharded);
                if !both.is_empty() {
                    self.queue.push_front(Request::Join(both));
                }
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
                self.queue.push_back(Request::Unsubscribe(silent));
            }
            let error = fault.on(Operation::Subscribe, &key);
            self.owner.board.refuse(&key, &error);
        }
        Ok(())
    }

    /// One forbidden channel has the server refuse the whole command: ask for each key by itself.
    fn refused(&mut self, keys: Vec<Key>, fault: Fault) {
        match keys.as_slice() {
            [key] => {
                let error = fault.on(Operation::Subscribe, key);
                self.owner.board.refuse(key, &error);
            }
            _ => {
                let singles = keys.into_iter().map(|key| Request::Subscribe(vec![key]));
                self.queue.extend(singles);
            }
        }
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

/// The keys whose listeners are told in such a way.
fn wanted(keys: &[Key], way: impl Fn(Notifications) -> bool) -> Vec<Key> {
    let keys = keys.iter().filter(|key| way(key.space().notifications()));
    keys.cloned().collect()
}

fn unconfirmed() -> Fault {
    Fault::new(ErrorKind::Protocol, "a subscription was not confirmed")
}

impl Request {
    /// `channels` are those to subscribe.
    async fn send(
        &self,
        connection: &mut MultiplexedConnection,
        channels: Vec<String>,
    ) -> Result<(), Fault> {
        match self {
            Self::Subscribe(_) => connection.subscribe(channels).await.map_err(fault),
            // `ask` does it, for its answer says more.
            Self::Join(_) => Ok(()),
            Self::Leave(channels) => shards::leave(connection, channels).await,
            Self::Unsubscribe(channels) => connection.unsubscribe(channels).await.map_err(fault),
            Self::Track(wish) => track(connection, wish).await,
            Self::Ping => sign_of_life(connection, false).await,
            Self::Role => sign_of_life(connection, true).await,
            Self::Name(name) => {
                // Whoever will not be told serves us all the same.
                let _ = connection.send_packed_command(&set_name(name)).await;
                Ok(())
            }
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
