//! The proxy's port: who is let in.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinSet;

use super::Shared;
use super::faults::Arrivals;
use super::pipe;

/// The listening socket, and beside it one that keeps the port when nobody listens.
pub(super) struct Gate {
    address: SocketAddr,
    listener: Option<TcpListener>,
    /// Bound, and never listening.
    keeper: Option<TcpSocket>,
}

impl Gate {
    /// Listens at `wanted`, of which the port may be 0: any.
    pub(super) fn open(wanted: SocketAddr) -> io::Result<Self> {
        // Two who share a port on purpose would not notice each other.
        let probe = of_family(wanted)?;
        probe.bind(wanted)?;
        drop(probe);
        let keeper = shared(wanted)?;
        keeper.bind(wanted)?;
        let address = keeper.local_addr()?;
        // Where two sockets cannot share a port, only the one that listens stays.
        let keeper = cfg!(unix).then_some(keeper);
        let mut gate = Self {
            address,
            listener: None,
            keeper,
        };
        gate.listen()?;
        Ok(gate)
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Lets clients in until it is dropped; their connections end with it.
    pub(super) async fn run(mut self, target: SocketAddr, shared: Arc<Shared>) {
        let mut settings = shared.settings.subscribe();
        let mut connections = JoinSet::new();
        let mut arrived = 0_u64;
        loop {
            let now = *settings.borrow_and_update();
            if now.faults.arrivals == Arrivals::Refuse && self.keeper.is_some() {
                self.listener = None;
            } else if self.listener.is_none() && self.listen().is_err() {
                // Nobody else can have the port, so this passes.
                tokio::time::sleep(Duration::from_millis(5)).await;
                continue;
            }
            shared.obeyed.send_replace(now.nth);
            let near = tokio::select! {
                biased;
                changed = settings.changed() => match changed {
                    Ok(()) => continue,
                    Err(_) => return,
                },
                near = arrival(self.listener.as_ref()) => near,
            };
            while connections.try_join_next().is_some() {}
            arrived += 1;
            let seed = shared.seed ^ arrived.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            // Before the look at the settings: who cuts the line sets them first, and blows the fuse then.
            let fuse = shared.fuse();
            let arrivals = shared.settings.borrow().faults.arrivals;
            let shared = Arc::clone(&shared);
            match arrivals {
                Arrivals::Serve => {
                    shared.counts.served.fetch_add(1, Relaxed);
                    connections.spawn(async move {
                        pipe::pass(near, target, &shared, fuse, seed).await;
                    });
                }
                Arrivals::Silence => {
                    shared.counts.turned_away.fetch_add(1, Relaxed);
                    connections.spawn(async move { pipe::ignore(near, &shared, fuse).await });
                }
                Arrivals::Close | Arrivals::Refuse => {
                    shared.counts.turned_away.fetch_add(1, Relaxed);
                }
            }
        }
    }

    fn listen(&mut self) -> io::Result<()> {
        let socket = shared(self.address)?;
        socket.bind(self.address)?;
        self.listener = Some(socket.listen(1024)?);
        Ok(())
    }
}

fn of_family(address: SocketAddr) -> io::Result<TcpSocket> {
    match address {
        SocketAddr::V4(_) => TcpSocket::new_v4(),
        SocketAddr::V6(_) => TcpSocket::new_v6(),
    }
}

/// One that shares its port with the other of its gate.
fn shared(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = of_family(address)?;
    // Not `SO_REUSEADDR`, with which anybody could have a port where nobody listens.
    #[cfg(unix)]
    socket.set_reuseport(true)?;
    Ok(socket)
}

async fn arrival(listener: Option<&TcpListener>) -> TcpStream {
    match listener {
        Some(listener) => loop {
            if let Ok((near, _)) = listener.accept().await {
                return near;
            }
        },
        None => std::future::pending().await,
    }
}
