//! A TCP proxy that can be cut and stalled, to see what a client does then.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use memolock_core::async_trait;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use crate::suite::Line;

/// What lies between a client and a server: it passes bytes on, until it is told not to.
///
/// While it is [`cut`](Line::cut), connections are accepted and closed at once: the port stays its own, so
/// nobody else can answer there. Dropping it ends every connection.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    state: Arc<watch::Sender<State>>,
    task: JoinHandle<()>,
}

#[derive(Debug, Clone, Copy, Default)]
struct State {
    /// Cuts so far: a connection that began before the last one ends.
    cuts: u64,
    refusing: bool,
    stalled: bool,
}

impl Proxy {
    /// A proxy on a free port of the loopback interface for the server at `target`. Within a tokio
    /// runtime only.
    ///
    /// # Errors
    /// If no port can be had.
    pub async fn start(target: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let state = Arc::new(watch::Sender::new(State::default()));
        let task = tokio::spawn(accept(listener, target, Arc::clone(&state)));
        Ok(Self {
            address,
            state,
            task,
        })
    }

    /// Where clients connect to.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

#[async_trait]
impl Line for Proxy {
    async fn cut(&self) {
        self.state.send_modify(|state| {
            state.cuts += 1;
            state.refusing = true;
        });
        // Every connection has a receiver: nothing passes any more when this returns.
        self.state.closed().await;
    }

    async fn heal(&self) {
        self.state.send_modify(|state| {
            state.refusing = false;
            state.stalled = false;
        });
    }

    async fn stall(&self) -> bool {
        self.state.send_modify(|state| state.stalled = true);
        true
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, target: SocketAddr, state: Arc<watch::Sender<State>>) {
    // Its connections end with it.
    let mut connections = JoinSet::new();
    loop {
        let Ok((near, _)) = listener.accept().await else {
            continue;
        };
        while connections.try_join_next().is_some() {}
        connections.spawn(pass(near, target, state.subscribe()));
    }
}

/// One connection, until either side or a cut ends it.
async fn pass(near: TcpStream, target: SocketAddr, mut state: watch::Receiver<State>) {
    let State {
        cuts: born,
        refusing,
        ..
    } = *state.borrow();
    if refusing {
        return;
    }
    let other = state.clone();
    let through = async {
        let Ok(far) = TcpStream::connect(target).await else {
            return;
        };
        // Clients flush small writes on purpose.
        let _ = (near.set_nodelay(true), far.set_nodelay(true));
        let (near_in, near_out) = near.into_split();
        let (far_in, far_out) = far.into_split();
        tokio::select! {
            () = pump(near_in, far_out, other.clone()) => {}
            () = pump(far_in, near_out, other) => {}
        }
    };
    tokio::select! {
        _ = state.wait_for(|state| state.cuts != born) => {}
        () = through => {}
    }
}

async fn pump(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut state: watch::Receiver<State>) {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let Ok(read @ 1..) = from.read(&mut buffer).await else {
            return;
        };
        if state.wait_for(|state| !state.stalled).await.is_err() {
            return;
        }
        if to.write_all(&buffer[..read]).await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// A server that sends back what it gets.
    async fn echo() -> SocketAddr {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let (mut from, mut to) = stream.into_split();
                    tokio::io::copy(&mut from, &mut to).await
                });
            }
        });
        address
    }

    async fn says(stream: &mut TcpStream, word: &[u8; 4]) -> io::Result<[u8; 4]> {
        stream.write_all(word).await?;
        let mut back = [0; 4];
        stream.read_exact(&mut back).await?;
        Ok(back)
    }

    #[tokio::test]
    async fn it_passes_on_cuts_and_heals() {
        let proxy = Proxy::start(echo().await).await.unwrap();
        let mut old = TcpStream::connect(proxy.address()).await.unwrap();
        assert_eq!(&says(&mut old, b"ping").await.unwrap(), b"ping");
        proxy.cut().await;
        assert!(says(&mut old, b"ping").await.is_err());
        let mut refused = TcpStream::connect(proxy.address()).await.unwrap();
        assert!(says(&mut refused, b"ping").await.is_err());
        proxy.heal().await;
        let mut new = TcpStream::connect(proxy.address()).await.unwrap();
        assert_eq!(&says(&mut new, b"pong").await.unwrap(), b"pong");
        assert!(
            says(&mut old, b"ping").await.is_err(),
            "what was cut stays cut"
        );
    }

    #[tokio::test]
    async fn it_stalls_and_goes_on() {
        let proxy = Proxy::start(echo().await).await.unwrap();
        let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
        assert!(proxy.stall().await);
        let bound = Duration::from_millis(30);
        let stalled = tokio::time::timeout(bound, says(&mut stream, b"ping")).await;
        assert!(stalled.is_err(), "nothing comes through");
        proxy.heal().await;
        let mut back = [0; 4];
        stream.read_exact(&mut back).await.unwrap();
        assert_eq!(&back, b"ping", "what was held back is not lost");
    }
}
