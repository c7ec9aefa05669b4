//! A cluster in memory: who serves which slot, and what each node is asked.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use memolock_core::redis::cluster::{SLOTS, key_slot, slot};
use memolock_core::redis::{Address, Endpoint, Fault, Reply, Script};
use memolock_core::{
    BackendError, BackendStats, ErrorKind, Key, Keyspace, Layout, Listener, Operation, Switchboard,
    Tag, Tracker, TrackingBoard,
};
use memolock_redis_common::cluster::{Cluster, Node, Opener, Request};
use tokio::sync::Notify;

pub(crate) const BOUND: Duration = Duration::from_secs(1);

/// Clones are one cluster.
#[derive(Clone)]
pub(crate) struct World(Arc<Mutex<State>>);

pub(crate) struct State {
    /// Ports of masters; slots are theirs in equal parts, but for those that moved.
    pub(crate) masters: Vec<u16>,
    pub(crate) moved: HashMap<u16, u16>,
    /// Slots of which only the importing node has the keys.
    pub(crate) asks: HashMap<u16, u16>,
    pub(crate) torn: bool,
    pub(crate) down: bool,
    pub(crate) dead: Vec<u16>,
    /// Each command: port, first word, whether it was asked for.
    pub(crate) asked: Vec<(u16, String, bool)>,
    boards: HashMap<u16, (Arc<Switchboard>, Arc<TrackingBoard>)>,
    pub(crate) closed: Vec<u16>,
    /// The runtime in which each node was opened.
    pub(crate) opened: Vec<(u16, tokio::runtime::Id)>,
}

impl World {
    pub(crate) fn new(masters: &[u16]) -> Self {
        Self(Arc::new(Mutex::new(State {
            masters: masters.to_vec(),
            moved: HashMap::new(),
            asks: HashMap::new(),
            torn: false,
            down: false,
            dead: Vec::new(),
            asked: Vec::new(),
            boards: HashMap::new(),
            closed: Vec::new(),
            opened: Vec::new(),
        })))
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    pub(crate) async fn open(&self) -> Cluster<World> {
        let address = Address::parse("redis-cluster://:hunter2@h:1").unwrap();
        let cluster = Cluster::open(self.clone(), &address, BOUND);
        let _ = cluster.ready().await;
        cluster
    }

    /// Commands other than those for the map, since the last time.
    pub(crate) fn sent(&self) -> Vec<(u16, bool)> {
        let asked = std::mem::take(&mut self.state().asked);
        let sent = asked.into_iter().filter(|(_, word, _)| word != "CLUSTER");
        sent.map(|(port, _, asking)| (port, asking)).collect()
    }

    pub(crate) fn boards(&self, port: u16) -> (Arc<Switchboard>, Arc<TrackingBoard>) {
        self.state().boards.entry(port).or_default().clone()
    }
}

impl State {
    pub(crate) fn owner(&self, slot: u16) -> u16 {
        let part = usize::from(SLOTS).div_ceil(self.masters.len());
        let first = self.masters[usize::from(slot) / part];
        *self.moved.get(&slot).unwrap_or(&first)
    }

    /// Nodes know no host of their own.
    fn slots(&self) -> Reply {
        let range = |slot: u16| {
            let node = vec![Reply::Nil, Reply::Int(self.owner(slot).into())];
            let slot = Reply::Int(slot.into());
            Reply::Array(vec![slot.clone(), slot, Reply::Array(node)])
        };
        Reply::Array((0..SLOTS).map(range).collect())
    }

    fn answer(&self, port: u16, name: &[u8], asking: bool) -> Result<Reply, Fault> {
        let slot = slot(name);
        let say = |line: String| Err(Fault::answered(&line));
        let owner = self.owner(slot);
        match self.asks.get(&slot) {
            _ if self.down => say("CLUSTERDOWN The cluster is down".into()),
            Some(to) if asking && *to == port => Ok(Reply::Bytes("asked".into())),
            Some(to) if owner == port => say(format!("ASK {slot} :{to}")),
            _ if owner != port => say(format!("MOVED {slot} h:{owner}")),
            _ if self.torn => say("TRYAGAIN Multiple keys".into()),
            _ => Ok(Reply::Bytes("v".into())),
        }
    }
}

pub(crate) struct Member {
    world: World,
    port: u16,
    ended: Notify,
}

impl Opener for World {
    type Node = Member;
    const NAME: &'static str = "world";
    const TELLS_OF_SLOTS: bool = true;

    fn open(&self, address: &Address) -> Result<Member, Fault> {
        let Endpoint::Tcp { port, .. } = address.endpoint() else {
            return Err(Fault::new(ErrorKind::Config, "no port"));
        };
        assert_eq!(address.password(), Some("hunter2"), "as whom to log in");
        let runtime = tokio::runtime::Handle::current().id();
        self.state().opened.push((*port, runtime));
        Ok(Member {
            world: self.clone(),
            port: *port,
            ended: Notify::new(),
        })
    }

    fn stats(&self) -> BackendStats {
        BackendStats::default()
    }
}

impl Node for Member {
    async fn ask(&self, request: Request<'_>, asking: bool) -> Result<Reply, Fault> {
        tokio::task::yield_now().await;
        let mut state = self.world.state();
        if state.dead.contains(&self.port) {
            return Err(Fault::new(ErrorKind::Unavailable, "no hunter2"));
        }
        let (word, name) = match request {
            Request::Words(words) => (words[0].clone(), words[1].clone()),
            Request::Call(call) => (Bytes::from("EVAL"), call.keys[0].clone().into()),
        };
        let renewed = match request {
            Request::Call(call) if call.script == Script::Renew => {
                Some(Reply::Array(vec![Reply::Int(1); call.keys.len()]))
            }
            _ => None,
        };
        let word = String::from_utf8(word.to_vec()).unwrap();
        state.asked.push((self.port, word.clone(), asking));
        match word.as_str() {
            "CLUSTER" => Ok(state.slots()),
            _ => {
                let answer = state.answer(self.port, &name, asking);
                answer.map(|answer| renewed.unwrap_or(answer))
            }
        }
    }

    async fn knows_scripts(&self) -> Result<(), Fault> {
        Ok(())
    }

    async fn listen(&self, key: &Key) -> Result<Listener, BackendError> {
        tokio::task::yield_now().await;
        let (board, _) = self.world.boards(self.port);
        let state = self.world.state();
        if state.dead.contains(&self.port) {
            return Err(Fault::lost().on(Operation::Subscribe, key));
        }
        let owner = state.owner(key_slot(key));
        if owner != self.port {
            let moved = Fault::answered(&format!("MOVED {} h:{owner}", key_slot(key)));
            return Err(moved.on(Operation::Subscribe, key));
        }
        Ok(board.attach(key))
    }

    fn track(&self, space: &Keyspace) -> Tracker {
        self.world.boards(self.port).1.track(space)
    }

    fn is_down(&self) -> bool {
        self.world.state().dead.contains(&self.port)
    }

    async fn down(&self) {
        // A real link says so by itself.
        let dies = async {
            while !self.is_down() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::select! {
            () = dies => {}
            () = self.ended.notified() => {}
        }
    }

    fn condition(&self) -> &'static str {
        "up"
    }

    fn subscriptions(&self) -> usize {
        self.world.boards(self.port).0.len()
    }

    fn close(&self) {
        self.ended.notify_one();
        self.world.state().closed.push(self.port);
    }

    async fn ended(&self) {}
}

pub(crate) fn key(id: &str) -> Key {
    space().key(id).unwrap()
}

pub(crate) fn space() -> Keyspace {
    Keyspace::new(Tag::new("likes").unwrap(), Layout::HashTagged).unwrap()
}
