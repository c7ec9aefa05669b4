//! The subscription connection: one task owns it and drives the core's switchboard.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use memolock_core::redis::{Fault, KEYS_PER_COMMAND, Routes};
use memolock_core::{
    BackendError, ErrorKind, Key, Keyspace, Listener, Operation, Switchboard, Tracker,
    TrackingBoard, Wish,
};
use redis::aio::MultiplexedConnection;
use redis::{PushInfo, PushKind};
use tracing::debug;

use crate::counters::Counters;
use crate::dial::{Dialer, Line, set_name, sign_of_life};
use crate::error::fault;
use crate::link::{Doubt, Link, Tenant, heartbeat};
use crate::reply;
use crate::site::Site;
use crate::tracking::{changed, is_outage, track};

/// The subscriptions of a backend.
pub(crate) struct Subscriptions {
    link: Link<()>,
    board: Arc<Switchboard>,
    trackers: Arc<TrackingBoard>,
    doubt: Doubt,
    bound: Duration,
}

impl Subscriptions {
    /// Opens the link. It connects at once, so that the first waiter does not have to wait for it.
    pub(crate) fn open(site: &Arc<Site>, counters: &Arc<Counters>, doubt: Doubt) -> Self {
        let options = &site.options;
        let dice = site.way.dice.clone();
        let board = Arc::new(Switchboard::new());
        let trackers = Arc::new(TrackingBoard::new());
        let owner = Owner {
            board: Arc::clone(&board),
            trackers: Arc::clone(&trackers),
            counters: Arc::clone(counters),
            doubt: doubt.clone(),
            interval: options.heartbeat,
            database: site.address.database(),
        };
        let dialer = Dialer::new(site, "-sub");
        Self {
            link: Link::open(dialer, owner, options, dice, counters),
            board,
            trackers,
            doubt,
            bound: options.command_timeout,
        }
    }

    /// Listens to a key, once the server has confirmed. Dropping the future takes the wish back.
    pub(crate) async fn subscribe(&self, key: &Key) -> Result<Listener, BackendError> {
        if let Some(Err(fault)) = self.link.now() {
            // It took no time: see `Commands::send`.
            tokio::task::yield_now().await;
            return Err(fault.on(Operation::Subscribe, key));
        }
        let mut listener = self.board.listen(key);
        let confirmed = tokio::time::timeout(self.bound, listener.confirmed());
        let fault = tokio::select! {
            biased;
            outcome = confirmed => match outcome {
                Ok(outcome) => return outcome.map(|()| listener),
                Err(_) => self.unconfirmed(),
            },
            fault = self.link.hopeless() => fault,
        };
        Err(fault.on(Operation::Subscribe, key))
    }

    /// Follows the changes of a keyspace, from when the server has confirmed.
    pub(crate) fn track(&self, space: &Keyspace) -> Tracker {
        self.trackers.track(space)
    }

    fn unconfirmed(&self) -> Fault {
        match self.link.now() {
            None => Fault::still_connecting(),
            Some(_) => {
                self.doubt.raise();
                Fault::new(
                    ErrorKind::Timeout,
                    format!("not confirmed after {:?}", self.bound),
                )
            }
        }
    }

    /// Keys that are listened to, or still being unsubscribed.
    pub(crate) fn len(&self) -> usize {
        self.board.len()
    }

    pub(crate) fn link(&self) -> &Link<()> {
        &self.link
    }

    /// Ends every listener and the connection.
    pub(crate) fn close(&self) {
        self.link.close();
        self.board.close();
        self.trackers.close();
    }
}

impl Drop for Subscriptions {
    fn drop(&mut self) {
        self.close();
    }
}

/// The task's part.
struct Owner {
    board: Arc<Switchboard>,
    trackers: Arc<TrackingBoard>,
    counters: Arc<Counters>,
    doubt: Doubt,
    interval: Duration,
    database: u32,
}

impl Tenant for Owner {
    type Handle = ();
    const PURPOSE: &'static str = "subscriptions";

    fn handle(&mut self, _line: &Line) {}

    async fn serve(&mut self, line: Line) -> Fault {
        Session::new(self, line).run().await
    }

    fn lost(&mut self) {
        // Every listener hears of the gap, and every key comes out of `changes` again.
        self.board.gap();
        self.trackers.gap();
    }
}

/// What the server is asked, one thing at a time, so that answers are never mistaken. Meanwhile
/// other wishes gather in the switchboard and go together in the next command.
#[derive(Debug)]
enum Request {
    Subscribe(Vec<Key>),
    Unsubscribe(Vec<String>),
    Track(Wish),
    Ping,
    /// Ask whether it is a master.
    Role,
    Name(String),
}

type Answer = (Request, Result<(), Fault>);

/// One connection's life.
struct Session<'a> {
    owner: &'a Owner,
    line: Line,
    routes: Routes,
    queue: VecDeque<Request>,
    /// The fail channels whose confirmation is outstanding. They are confirmed in the order asked,
    /// each after its notif channel: so it confirms the key.
    awaited: VecDeque<(String, Key)>,
}

impl<'a> Session<'a> {
    fn new(owner: &'a Owner, line: Line) -> Self {
        Self {
            owner,
            line,
            routes: Routes::in_database(owner.database),
            queue: VecDeque::new(),
            awaited: VecDeque::new(),
        }
    }

    /// Until the connection is lost.
    async fn run(mut self) -> Fault {
        let mut beat = heartbeat(self.owner.interval);
        let mut asking: Option<Pin<Box<dyn Future<Output = Answer> + Send>>> = None;
        loop {
            if asking.is_none() {
                asking = self.queue.pop_front().map(|request| self.ask(request));
            }
            tokio::select! {
                biased;
                push = self.line.pushes.recv() => match push {
                    Ok(push) => self.hear(push),
                    Err(fault) => return fault,
                },
                (request, outcome) = settle(&mut asking) => {
                    asking = None;
                    if let Err(fault) = self.answered(request, outcome) {
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
        for keys in subscribe.chunks(KEYS_PER_COMMAND) {
            self.queue.push_back(Request::Subscribe(keys.to_vec()));
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
        // A name is part of setting a connection up.
        if !matches!(request, Request::Name(_)) {
            self.owner.counters.command();
        }
        let mut connection = self.line.connection.clone();
        let channels = match &request {
            Request::Subscribe(keys) => keys.iter().flat_map(|k| self.routes.channels(k)).collect(),
            _ => Vec::new(),
        };
        Box::pin(async move {
            let outcome = request.send(&mut connection, channels).await;
            (request, outcome)
        })
    }

    /// The server has answered a request. An error ends the session if it may pass.
    fn answered(&mut self, request: Request, outcome: Result<(), Fault>) -> Result<(), Fault> {
        // Confirmations come as pushes, and were put in the channel before the answer was.
        while let Some(push) = self.line.pushes.try_recv()? {
            self.hear(push);
        }
        match (request, outcome) {
            // What an old server says of a command that it does not know is no reason to part.
            (Request::Track(_), Err(fault)) if !is_outage(&fault) => {
                debug!(reason = fault.detail(), "refused to track");
                let error = fault.outward(Operation::Subscribe);
                self.owner.trackers.refuse(&error);
                Ok(())
            }
            (_, Err(fault)) if fault.is_passing() => Err(fault),
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
            (_, Ok(())) if self.awaited.is_empty() => Ok(()),
            (_, Ok(())) => Err(Fault::new(
                ErrorKind::Protocol,
                "a subscription was not confirmed",
            )),
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

    fn hear(&mut self, push: PushInfo) {
        if push.kind == PushKind::Invalidate {
            return changed(&self.owner.trackers, push.data);
        }
        let mut data = push.data.into_iter();
        let (Some(channel), Some(payload)) = (data.next(), data.next()) else {
            return;
        };
        let Some(channel) = reply::bytes(channel) else {
            return;
        };
        match push.kind {
            PushKind::Message => {
                if let Some(payload) = reply::bytes(payload) {
                    self.deliver(&channel, &payload);
                }
            }
            PushKind::Subscribe => self.confirmed(&channel),
            _ => {}
        }
    }

    fn deliver(&self, channel: &[u8], payload: &Bytes) {
        for (key, message) in self.routes.read(channel, payload) {
            self.owner.board.deliver(key, &message);
        }
    }

    fn confirmed(&mut self, channel: &[u8]) {
        let next = self.awaited.front();
        if next.is_some_and(|(fail, _)| fail.as_bytes() == channel)
            && let Some((_, key)) = self.awaited.pop_front()
        {
            self.routes.add(&key);
            self.owner.board.confirm(&key);
        }
    }
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
