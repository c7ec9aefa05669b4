//! One life of the subscription connection: messages and confirmations, in order, by one task.

use std::collections::VecDeque;
use std::sync::Arc;

use fred::clients::Client;
use fred::types::{Message, MessageKind};
use memolock_core::redis::sentinel::Place;
use memolock_core::redis::{Fault, KEYS_PER_COMMAND, Routes};
use memolock_core::{ErrorKind, Key, Notifications, Operation, Wish};
use memolock_redis_common::{Dialer, Owner, Purpose, heartbeat};
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tracing::debug;

use crate::dial::{Fred, Line, set_name, sign_of_life};
use crate::fence::{Fence, Outcome};
use crate::reply;
use crate::request::{Answer, Asking, Request};
use crate::shards;
use crate::tracking::{Handle, Receiver, changed, is_outage};

/// One connection's life.
pub(crate) struct Session<'a> {
    owner: &'a Owner<Fred>,
    line: Line,
    fence: Fence,
    /// Connects what hears of changes: see `tracking`.
    receiving: Arc<Dialer<Fred>>,
    /// Some once somebody tracks.
    receiver: Option<Receiver>,
    /// There was none to be had: tried for again with the next heartbeat.
    postponed: bool,
    routes: Routes,
    /// Of sharded channels.
    shards: Routes,
    queue: VecDeque<Request>,
}

impl<'a> Session<'a> {
    pub(crate) fn new(owner: &'a Owner<Fred>, line: Line) -> Self {
        Self {
            owner,
            line,
            fence: Fence::default(),
            receiving: Arc::new(Dialer::new(&owner.site, Purpose::Changes)),
            receiver: None,
            postponed: false,
            routes: Routes::in_database(owner.site.address.database()),
            shards: Routes::in_database(owner.site.address.database()),
            queue: VecDeque::new(),
        }
    }

    /// Until the connection is lost.
    pub(crate) async fn run(mut self) -> Fault {
        let mut beat = heartbeat(self.owner.site.options.heartbeat);
        let mut asking: Option<Asking> = None;
        loop {
            if asking.is_none() {
                asking = self.queue.pop_front().map(|request| self.ask(request));
            }
            tokio::select! {
                biased;
                message = self.line.ends.messages.recv() => match message {
                    Ok(message) => self.hear(message),
                    Err(RecvError::Lagged(missed)) => return behind(missed),
                    Err(RecvError::Closed) => return Fault::lost(),
                },
                () = self.line.ends.life.ended() => return Fault::lost(),
                message = announced(&mut self.receiver) => match message {
                    Ok(message) => changed(&self.owner.trackers, message),
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
                wish = self.owner.trackers.wishes(), if asking.is_none() && !self.postponed => {
                    self.queue.push_back(Request::Track(wish));
                }
                // While something is asked, its answer is as good as a ping's.
                _ = beat.tick(), if asking.is_none() => {
                    self.postponed = false;
                    self.queue.push_back(Request::Ping);
                }
                () = self.owner.doubt.raised(), if asking.is_none() => {
                    self.queue.push_back(Request::Ping);
                }
                name = self.line.names.changed(), if asking.is_none() => {
                    self.queue.push_back(Request::Name(name));
                }
            }
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
        let silent = unsubscribe.iter().flat_map(|key| self.shards.remove(key));
        let silent: Vec<String> = silent.collect();
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

    fn ask(&mut self, request: Request) -> Asking {
        // A name is part of setting a connection up.
        if !matches!(request, Request::Name(_)) {
            self.owner.counters.command();
        }
        let client = self.line.ends.client.clone();
        let receiver = self.receiver.as_ref().map(Receiver::handle);
        let place = self.line.place.clone();
        if matches!(request, Request::Ping) {
            return Box::pin(async move {
                let mut outcome = sign_of_life(&client, place.is_some()).await;
                if let (Ok(()), Some(receiver)) = (&outcome, receiver) {
                    outcome = receiver.ping().await;
                }
                Answer::new(request, outcome.map(|()| Outcome::Done))
            });
        }
        if let Request::Track(wish) = request {
            let dialer = Arc::clone(&self.receiving);
            return Box::pin(track(client, receiver, dialer, place, wish));
        }
        if let Request::Name(name) = &request {
            let name = name.clone();
            return Box::pin(async move {
                // Whoever will not be told serves us all the same.
                let _ = set_name(&client, name).await;
                Answer::new(request, Ok(Outcome::Done))
            });
        }
        if let Request::Join(keys) = request {
            let channels: Vec<String> = keys.iter().flat_map(|k| self.shards.channels(k)).collect();
            return Box::pin(async move {
                let (outcome, refused) = match shards::join(&client, &keys, channels).await {
                    Ok(refused) => (Ok(Outcome::Done), refused),
                    Err(fault) => (Err(fault), Vec::new()),
                };
                Answer {
                    refused,
                    ..Answer::new(Request::Join(keys), outcome)
                }
            });
        }
        // The fence is a command too.
        self.owner.counters.command();
        let fence = self.fence.clone();
        let channels = match &request {
            Request::Subscribe(keys) => keys.iter().flat_map(|k| self.routes.channels(k)).collect(),
            _ => Vec::new(),
        };
        Box::pin(async move {
            let outcome = match &request {
                Request::Subscribe(_) => fence.subscribe(&client, channels).await,
                Request::Unsubscribe(channels) => {
                    fence.unsubscribe(&client, channels.clone()).await
                }
                Request::Leave(channels) => fence.leave(&client, channels.clone()).await,
                Request::Join(_) | Request::Track(_) | Request::Ping | Request::Name(_) => {
                    Ok(Outcome::Done)
                }
            };
            Answer::new(request, outcome)
        })
    }

    /// The server has answered a request. An error ends the session if it may pass.
    fn answered(&mut self, answer: Answer) -> Result<(), Fault> {
        let Answer {
            request,
            outcome,
            opened,
            refused,
        } = answer;
        self.receiver = self.receiver.take().or(opened);
        // What was published before the server confirmed was put in the channel before its answer
        // was given: a new listener shall not hear it.
        self.catch_up()?;
        match (request, outcome?) {
            (Request::Track(_), Outcome::Refused(fault)) if is_outage(&fault) => {
                debug!(reason = fault.detail(), "no receiver for now");
                self.owner.trackers.gap();
                self.postponed = true;
                Ok(())
            }
            // What an old server says of a command that it does not know is no reason to part.
            (Request::Track(_), Outcome::Refused(fault)) => {
                debug!(reason = fault.detail(), "refused to track");
                let error = fault.outward(Operation::Subscribe);
                self.owner.trackers.refuse(&error);
                Ok(())
            }
            (Request::Track(_), Outcome::Done) => {
                self.owner.trackers.confirm();
                Ok(())
            }
            // A cluster's node says of each slot what it can.
            (_, Outcome::Refused(fault)) if fault.is_passing() && fault.redirect().is_none() => {
                Err(fault)
            }
            (Request::Subscribe(keys), Outcome::Refused(fault)) => {
                self.refused(keys, fault);
                Ok(())
            }
            (_, Outcome::Refused(fault)) => {
                debug!(reason = fault.detail(), "refused to unsubscribe");
                Ok(())
            }
            (Request::Subscribe(keys), Outcome::Done) => {
                for key in &keys {
                    self.routes.add(key);
                    // One that listens to both is confirmed by its sharded channels.
                    if !key.space().notifications().is_sharded() {
                        self.owner.board.confirm(key);
                    }
                }
                // Before anything else is asked of them.
                let both = wanted(&keys, Notifications::is_sharded);
                if !both.is_empty() {
                    self.queue.push_front(Request::Join(both));
                }
                Ok(())
            }
            (Request::Join(keys), Outcome::Done) => self.joined(&keys, refused),
            (_, Outcome::Done) => Ok(()),
        }
    }

    /// Keys whose sharded channels were asked for: they are there, or were refused.
    fn joined(&mut self, keys: &[Key], refused: Vec<(Key, Fault)>) -> Result<(), Fault> {
        let faults = refused.iter().map(|(_, fault)| fault);
        let mut passing = faults.filter(|f| f.is_passing() && f.redirect().is_none());
        if let Some(fault) = passing.next() {
            return Err(fault.clone());
        }
        for key in keys {
            if !refused.iter().any(|(other, _)| other == key) {
                self.shards.add(key);
                self.owner.board.confirm(key);
            }
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

    /// Delivers what has arrived already.
    fn catch_up(&mut self) -> Result<(), Fault> {
        loop {
            match self.line.ends.messages.try_recv() {
                Ok(message) => self.hear(message),
                Err(TryRecvError::Empty) => return Ok(()),
                Err(TryRecvError::Lagged(missed)) => return Err(behind(missed)),
                Err(TryRecvError::Closed) => return Err(Fault::lost()),
            }
        }
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

    fn hear(&self, message: Message) {
        let Some(payload) = reply::bytes(message.value) else {
            return;
        };
        let routes = match message.kind {
            MessageKind::SMessage => &self.shards,
            _ => &self.routes,
        };
        for (key, message) in routes.read(message.channel.as_bytes(), &payload) {
            self.owner.board.deliver(key, &message);
        }
    }
}

/// Opens the receiver, unless there is one, and has the server tell it of changes. A receiver that cannot be
/// had is no reason to give up the subscriptions.
async fn track(
    client: Client,
    receiver: Option<Handle>,
    dialer: Arc<Dialer<Fred>>,
    place: Option<Place>,
    wish: Wish,
) -> Answer {
    let opened = match receiver {
        Some(_) => Ok(None),
        None => Receiver::open(&dialer, place.as_ref()).await.map(Some),
    };
    let request = Request::Track(wish);
    let opened = match opened {
        Ok(opened) => opened,
        Err(fault) => return Answer::new(request, Ok(Outcome::Refused(fault))),
    };
    let outcome = match (receiver.or(opened.as_ref().map(Receiver::handle)), &request) {
        (Some(receiver), Request::Track(wish)) => receiver.track(&client, wish).await,
        // There is one by now, and nothing else is asked here.
        _ => Ok(()),
    };
    let outcome = match outcome {
        Ok(()) => Ok(Outcome::Done),
        Err(fault) if is_outage(&fault) => Err(fault),
        Err(fault) => Ok(Outcome::Refused(fault)),
    };
    Answer {
        opened,
        ..Answer::new(request, outcome)
    }
}

/// The keys whose listeners are told in such a way.
fn wanted(keys: &[Key], way: impl Fn(Notifications) -> bool) -> Vec<Key> {
    let keys = keys.iter().filter(|key| way(key.space().notifications()));
    keys.cloned().collect()
}

/// What the receiver hears, or nothing ever without one.
async fn announced(receiver: &mut Option<Receiver>) -> Result<Message, Fault> {
    match receiver {
        Some(receiver) => receiver.recv().await,
        None => std::future::pending().await,
    }
}

/// Messages were dropped unread. The switchboard's gap means a new connection, so there will be one.
pub(crate) fn behind(missed: u64) -> Fault {
    let detail = format!("{missed} messages came faster than they were read");
    Fault::new(ErrorKind::Unavailable, detail)
}

/// The answer to what is being asked, or never.
async fn settle(asking: &mut Option<Asking>) -> Answer {
    match asking {
        Some(answer) => answer.await,
        None => std::future::pending().await,
    }
}
