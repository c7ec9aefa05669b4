//! One life of the subscription connection: messages and confirmations, in order, by one task.

use std::sync::Arc;

use fred::clients::Client;
use fred::types::{Message, MessageKind};
use memolock_core::redis::sentinel::Place;
use memolock_core::redis::{Fault, Routes};
use memolock_core::{ErrorKind, Key, Operation, Wish};
use memolock_redis_common::{Dialer, Owner, Plan, Purpose, Step, heartbeat};
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tracing::debug;

use crate::answer::{Answer, Asking};
use crate::dial::{Fred, Line, set_name, sign_of_life};
use crate::fence::{Fence, Outcome};
use crate::reply;
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
    plan: Plan,
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
            plan: Plan::default(),
        }
    }

    /// Until the connection is lost.
    pub(crate) async fn run(mut self) -> Fault {
        let mut beat = heartbeat(self.owner.site.options.heartbeat);
        let mut asking: Option<Asking> = None;
        loop {
            if asking.is_none() {
                asking = self.plan.pop().map(|step| self.ask(step));
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
                    self.wished(&changes.subscribe, &changes.unsubscribe);
                }
                wish = self.owner.trackers.wishes(), if asking.is_none() && !self.postponed => {
                    self.plan.push(Step::Track(wish));
                }
                // While something is asked, its answer is as good as a ping's.
                _ = beat.tick(), if asking.is_none() => {
                    self.postponed = false;
                    self.plan.push(Step::Check);
                }
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
        let silent = |routes: &mut Routes| -> Vec<String> {
            let gone = unsubscribe.iter().flat_map(|key| routes.remove(key));
            gone.collect()
        };
        let (silent, left) = (silent(&mut self.routes), silent(&mut self.shards));
        self.plan.wished(subscribe, &silent, &left);
    }

    fn ask(&mut self, step: Step) -> Asking {
        // A name is part of setting a connection up.
        if !matches!(step, Step::Name(_)) {
            self.owner.counters.command();
        }
        let client = self.line.ends.client.clone();
        let receiver = self.receiver.as_ref().map(Receiver::handle);
        let place = self.line.place.clone();
        if matches!(step, Step::Check) {
            return Box::pin(async move {
                let mut outcome = sign_of_life(&client, place.is_some()).await;
                if let (Ok(()), Some(receiver)) = (&outcome, receiver) {
                    outcome = receiver.ping().await;
                }
                Answer::new(step, outcome.map(|()| Outcome::Done))
            });
        }
        if let Step::Track(wish) = step {
            let dialer = Arc::clone(&self.receiving);
            return Box::pin(track(client, receiver, dialer, place, wish));
        }
        if let Step::Name(name) = &step {
            let name = name.clone();
            return Box::pin(async move {
                // Whoever will not be told serves us all the same.
                let _ = set_name(&client, name).await;
                Answer::new(step, Ok(Outcome::Done))
            });
        }
        if let Step::Join(keys) = step {
            let channels: Vec<String> = keys.iter().flat_map(|k| self.shards.channels(k)).collect();
            return Box::pin(async move {
                let (outcome, refused) = match shards::join(&client, &keys, channels).await {
                    Ok(refused) => (Ok(Outcome::Done), refused),
                    Err(fault) => (Err(fault), Vec::new()),
                };
                Answer {
                    refused,
                    ..Answer::new(Step::Join(keys), outcome)
                }
            });
        }
        // The fence is a command too.
        self.owner.counters.command();
        let fence = self.fence.clone();
        let channels = match &step {
            Step::Subscribe(keys) => keys.iter().flat_map(|k| self.routes.channels(k)).collect(),
            _ => Vec::new(),
        };
        Box::pin(async move {
            let outcome = match &step {
                Step::Subscribe(_) => fence.subscribe(&client, channels).await,
                Step::Unsubscribe(channels) => fence.unsubscribe(&client, channels.clone()).await,
                Step::Leave(channels) => fence.leave(&client, channels.clone()).await,
                Step::Join(_) | Step::Track(_) | Step::Check | Step::Name(_) => Ok(Outcome::Done),
            };
            Answer::new(step, outcome)
        })
    }

    /// The server has answered what was asked. An error ends the session if it may pass.
    fn answered(&mut self, answer: Answer) -> Result<(), Fault> {
        let Answer {
            step,
            outcome,
            opened,
            refused,
        } = answer;
        self.receiver = self.receiver.take().or(opened);
        // What was published before the server confirmed was put in the channel before its answer
        // was given: a new listener shall not hear it.
        self.catch_up()?;
        match (step, outcome?) {
            (Step::Track(_), Outcome::Refused(fault)) if is_outage(&fault) => {
                debug!(reason = fault.detail(), "no receiver for now");
                self.owner.trackers.gap();
                self.postponed = true;
                Ok(())
            }
            // What an old server says of a command that it does not know is no reason to part.
            (Step::Track(_), Outcome::Refused(fault)) => {
                debug!(reason = fault.detail(), "refused to track");
                let error = fault.outward(Operation::Subscribe);
                self.owner.trackers.refuse(&error);
                Ok(())
            }
            (Step::Track(_), Outcome::Done) => {
                self.owner.trackers.confirm();
                Ok(())
            }
            // A cluster's node says of each slot what it can.
            (_, Outcome::Refused(fault)) if fault.is_passing() && fault.redirect().is_none() => {
                Err(fault)
            }
            (Step::Subscribe(keys), Outcome::Refused(fault)) => {
                if let Some(key) = self.plan.refused(keys) {
                    let error = fault.on(Operation::Subscribe, &key);
                    self.owner.board.refuse(&key, &error);
                }
                Ok(())
            }
            (_, Outcome::Refused(fault)) => {
                debug!(reason = fault.detail(), "refused to unsubscribe");
                Ok(())
            }
            (Step::Subscribe(keys), Outcome::Done) => {
                for key in &keys {
                    self.routes.add(key);
                    // One that listens to both is confirmed by its sharded channels.
                    if !key.space().notifications().is_sharded() {
                        self.owner.board.confirm(key);
                    }
                }
                self.plan.stand(&keys);
                Ok(())
            }
            (Step::Join(keys), Outcome::Done) => self.joined(&keys, refused),
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
                self.plan.push(Step::Unsubscribe(silent));
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
    let step = Step::Track(wish);
    let opened = match opened {
        Ok(opened) => opened,
        Err(fault) => return Answer::new(step, Ok(Outcome::Refused(fault))),
    };
    let outcome = match (receiver.or(opened.as_ref().map(Receiver::handle)), &step) {
        (Some(receiver), Step::Track(wish)) => receiver.track(&client, wish).await,
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
        ..Answer::new(step, outcome)
    }
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
