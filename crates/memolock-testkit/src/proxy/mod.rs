//! A TCP proxy that does to a line what networks do, to see what a client does then.

mod faults;
mod gate;
mod pipe;
mod tally;

use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::sync::{Arc, Mutex, PoisonError};

use memolock_core::async_trait;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use self::gate::Gate;
use self::tally::Counts;
use crate::suite::Line;

pub use self::faults::{Arrivals, End, Faults, Flow, Limit, Pace, Way};
pub use self::tally::Tally;

/// A free port of the loopback interface.
const ANYWHERE: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0));

/// What lies between a client and a server: it passes bytes on, and does to them what
/// [`set`](Self::set) says.
///
/// As a [`Line`] of the conformance suite it can be [`cut`](Line::cut), [`stalled`](Line::stall) and
/// [`healed`](Line::heal). While it is cut, connections are accepted and closed at once. The port stays its own
/// whatever happens, so nobody else can answer there. Dropping it ends every connection.
///
/// Connecting itself is never late, since the system does it; the first byte is.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

/// What is set, and the how many-th setting it is.
#[derive(Debug, Clone, Copy)]
struct Settings {
    nth: u64,
    faults: Faults,
}

#[derive(Debug)]
struct Shared {
    settings: watch::Sender<Settings>,
    /// The last settings that the port obeys.
    obeyed: watch::Sender<u64>,
    /// Ends the connections that have a receiver. Each blowing takes a new one.
    fuse: Mutex<watch::Sender<Option<End>>>,
    counts: Counts,
    seed: u64,
}

impl Shared {
    fn fuse(&self) -> watch::Receiver<Option<End>> {
        let fuse = self.fuse.lock().unwrap_or_else(PoisonError::into_inner);
        fuse.subscribe()
    }
}

impl Proxy {
    /// A proxy on a free port of the loopback interface for the server at `target`. Within a tokio
    /// runtime only.
    ///
    /// # Errors
    /// If no port can be had.
    pub async fn start(target: SocketAddr) -> io::Result<Self> {
        Self::seeded(target, 0).await
    }

    /// The same, whose [jitter](Way::jitter) comes from this seed: for the n-th connection and the n-th
    /// piece of bytes on it, it is the same in every run.
    ///
    /// # Errors
    /// If no port can be had.
    // Async because it needs a runtime, and so that it may come to wait.
    #[allow(clippy::unused_async)]
    pub async fn seeded(target: SocketAddr, seed: u64) -> io::Result<Self> {
        Self::behind(ANYWHERE, target, seed)
    }

    /// A proxy that listens at `address`, where nobody else may: on Linux all of 127.0.0.0/8 is this machine, so one
    /// port can be had at many addresses. With port 0 it is a free one.
    ///
    /// # Errors
    /// If the address is taken, or is none of this machine's.
    // As `seeded`.
    #[allow(clippy::unused_async)]
    pub async fn start_at(address: SocketAddr, target: SocketAddr) -> io::Result<Self> {
        Self::behind(address, target, 0)
    }

    fn behind(address: SocketAddr, target: SocketAddr, seed: u64) -> io::Result<Self> {
        let gate = Gate::open(address)?;
        let shared = Arc::new(Shared {
            settings: watch::Sender::new(Settings {
                nth: 1,
                faults: Faults::default(),
            }),
            obeyed: watch::Sender::new(0),
            fuse: Mutex::default(),
            counts: Counts::default(),
            seed,
        });
        Ok(Self {
            address: gate.address(),
            shared: Arc::clone(&shared),
            task: tokio::spawn(gate.run(target, shared)),
        })
    }

    /// Where clients connect to.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// From when this returns, this happens on the line and nothing else: to connections that are there and
    /// to new ones.
    pub async fn set(&self, faults: Faults) {
        let mut nth = 0;
        self.shared.settings.send_modify(|settings| {
            settings.nth += 1;
            settings.faults = faults;
            nth = settings.nth;
        });
        let mut obeyed = self.shared.obeyed.subscribe();
        // It ends early only with the sender, which we hold.
        let _ = obeyed.wait_for(|obeyed| *obeyed >= nth).await;
    }

    /// What is set.
    #[must_use]
    pub fn faults(&self) -> Faults {
        self.shared.settings.borrow().faults
    }

    /// Ends every connection that is there, on both sides. Nothing passes on them any more when this
    /// returns. New ones are made as [`Faults::arrivals`] says.
    pub async fn sever(&self, end: End) {
        let old = {
            let mut fuse = self
                .shared
                .fuse
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut *fuse)
        };
        old.send_replace(Some(end));
        // Every connection has a receiver.
        old.closed().await;
    }

    /// What it has done so far.
    #[must_use]
    pub fn tally(&self) -> Tally {
        self.shared.counts.now()
    }
}

#[async_trait]
impl Line for Proxy {
    async fn cut(&self) {
        self.set(Faults::arrivals(Arrivals::Close)).await;
        self.sever(End::Close).await;
    }

    async fn heal(&self) {
        self.set(Faults::default()).await;
    }

    async fn stall(&self) -> bool {
        self.set(Faults::both(Way::CLEAR.stalled())).await;
        true
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}
