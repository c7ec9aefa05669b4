//! The socket under a connection, and what is learned from what comes in: the number that the server gives to it
//! at the start, and how much it has done.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll, ready};

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_postgres::tls::{ChannelBinding, TlsStream};

use crate::target::{Host, Place, Target};

/// What a connection goes over.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// Any of them.
pub(crate) type Socket = Box<dyn Stream>;

/// One place to connect to.
#[derive(Debug, Clone)]
pub(crate) enum Address {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

impl Host {
    /// All places that it stands for.
    pub(crate) async fn addresses(&self) -> io::Result<Vec<Address>> {
        let found = match &self.place {
            Place::Address(address, _) => vec![SocketAddr::new(*address, self.port)],
            Place::Named(name) => {
                let found = tokio::net::lookup_host((name.as_str(), self.port)).await?;
                found.collect()
            }
            Place::Unix(directory) => {
                let file = format!(".s.PGSQL.{}", self.port);
                return Ok(vec![Address::Unix(directory.join(file))]);
            }
        };
        match found.is_empty() {
            true => Err(io::Error::new(
                io::ErrorKind::NotFound,
                "the name has no address",
            )),
            false => Ok(found.into_iter().map(Address::Tcp).collect()),
        }
    }
}

impl Address {
    /// Connects, with the options of the target.
    pub(crate) async fn open(&self, target: &Target) -> io::Result<Socket> {
        match self {
            Self::Tcp(address) => {
                let socket = TcpStream::connect(address).await?;
                socket.set_nodelay(true)?;
                let options = SockRef::from(&socket);
                if let Some(keepalive) = &target.keepalive {
                    options.set_tcp_keepalive(keepalive)?;
                }
                #[cfg(target_os = "linux")]
                if target.user_timeout.is_some() {
                    options.set_tcp_user_timeout(target.user_timeout)?;
                }
                Ok(Box::new(socket))
            }
            #[cfg(unix)]
            Self::Unix(path) => Ok(Box::new(tokio::net::UnixStream::connect(path).await?)),
            #[cfg(not(unix))]
            Self::Unix(_) => Err(io::Error::new(
                io::ErrorKind::Unsupported,
                "this system has no Unix sockets",
            )),
        }
    }

    /// Whether it may be encrypted: PostgreSQL does not encrypt what stays on the machine.
    pub(crate) fn takes_tls(&self) -> bool {
        matches!(self, Self::Tcp(_))
    }
}

/// Looks for three things in what comes in, which the client library keeps to itself: the server's number of this
/// connection, in the message `BackendKeyData` (a pooler has numbers of its own), the ends of statements, and how many
/// bytes come. They are counted here, where they are read, for callers may be late to take their answers.
pub(crate) struct Observed<S> {
    inner: S,
    number: Arc<Number>,
    progress: Arc<Progress>,
    reader: Reader,
}

/// So many bytes that come are progress. A server that sends fewer within a command's time-out counts as one that hangs.
const PIECE: u64 = 512 << 10;

/// What a server has done, as was read.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    done: AtomicU64,
    told: AtomicU64,
    sent: AtomicU64,
}

impl Progress {
    /// How many statements it has done, and how many pieces of what it has to say it has sent: a large value that passes
    /// is progress. Statements that failed do not count.
    pub(crate) fn done(&self) -> u64 {
        self.done.load(Relaxed) + self.sent() / PIECE
    }

    /// How many bytes it has sent.
    pub(crate) fn sent(&self) -> u64 {
        self.sent.load(Relaxed)
    }

    /// How many statements it has done and notifications it has passed on.
    pub(crate) fn done_and_told(&self) -> u64 {
        self.done() + self.told.load(Relaxed)
    }
}

/// The number, once it has come.
#[derive(Debug)]
pub(crate) struct Number(AtomicI64);

impl Number {
    const NONE: i64 = i64::MIN;

    pub(crate) fn get(&self) -> Option<i32> {
        i32::try_from(self.0.load(Relaxed)).ok()
    }
}

impl<S> Observed<S> {
    /// Counts in `progress` what comes in.
    pub(crate) fn new(inner: S, progress: &Arc<Progress>) -> (Self, Arc<Number>) {
        let number = Arc::new(Number(AtomicI64::new(Number::NONE)));
        let observed = Self {
            inner,
            number: Arc::clone(&number),
            progress: Arc::clone(progress),
            reader: Reader::default(),
        };
        (observed, number)
    }
}

/// Reads messages: a letter, a length that counts itself, and a body.
#[derive(Debug, Default)]
struct Reader {
    head: [u8; Self::WITH_NUMBER],
    /// How much of it is there.
    filled: usize,
    /// What is left of a body that nobody wants.
    skip: usize,
    number: Option<i32>,
    done: u64,
    told: u64,
}

impl Reader {
    const HEAD: usize = 5;
    /// With the number, which comes first in the body.
    const WITH_NUMBER: usize = Self::HEAD + 4;

    /// Takes what has come.
    fn read(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let skipped = self.skip.min(bytes.len());
            (self.skip, bytes) = (self.skip - skipped, &bytes[skipped..]);
            let wanted = match (self.filled, self.head[0]) {
                (0, _) => 1,
                (_, b'K') => Self::WITH_NUMBER,
                _ => Self::HEAD,
            };
            let taken = (wanted - self.filled).min(bytes.len());
            self.head[self.filled..][..taken].copy_from_slice(&bytes[..taken]);
            (self.filled, bytes) = (self.filled + taken, &bytes[taken..]);
            if self.filled == wanted && wanted > 1 {
                self.message(wanted - Self::HEAD);
            }
        }
    }

    /// The head of a message is there, and so much of its body.
    fn message(&mut self, of_body: usize) {
        let [letter, length @ .., a, b, c, d] = self.head;
        match letter {
            b'K' => self.number = Some(i32::from_be_bytes([a, b, c, d])),
            // A statement is done: with rows or without, or an empty one.
            b'C' | b'I' => self.done += 1,
            // A notification.
            b'A' => self.told += 1,
            _ => {}
        }
        let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
        self.skip = length.saturating_sub(4 + of_body);
        self.filled = 0;
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Observed<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.inner).poll_read(cx, buffer))?;
        let came = &buffer.filled()[before..];
        self.progress.sent.fetch_add(came.len() as u64, Relaxed);
        self.reader.read(came);
        if let Some(number) = self.reader.number.take() {
            self.number.0.store(number.into(), Relaxed);
        }
        let (done, told) = (self.reader.done, self.reader.told);
        (self.reader.done, self.reader.told) = (0, 0);
        if done + told > 0 {
            self.progress.done.fetch_add(done, Relaxed);
            self.progress.told.fetch_add(told, Relaxed);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Observed<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

impl<S: TlsStream + Unpin> TlsStream for Observed<S> {
    fn channel_binding(&self) -> ChannelBinding {
        self.inner.channel_binding()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(letter: u8, body: &[u8]) -> Vec<u8> {
        let length = u32::try_from(body.len() + 4).unwrap();
        [&[letter][..], &length.to_be_bytes(), body].concat()
    }

    /// What a server says at the start, with its number or without.
    fn greeting(number: Option<i32>) -> Vec<u8> {
        let mut said = message(b'R', &[0, 0, 0, 0]);
        said.extend(message(b'S', b"K\0Z\0"));
        said.extend(message(b'N', b""));
        if let Some(number) = number {
            said.extend(message(
                b'K',
                &[&number.to_be_bytes()[..], &[1, 2, 3, 4]].concat(),
            ));
        }
        said.extend(message(b'Z', b"I"));
        said
    }

    #[test]
    fn number_and_statements_are_found_however_the_stream_is_cut() {
        let mut said = greeting(Some(-77));
        said.extend(message(b'D', b"CCCCCKKKKKIIIII"));
        for letter in [b'C', b'E', b'A', b'I', b'C'] {
            said.extend(message(letter, b"whatever"));
        }
        for size in 1..=said.len() {
            let mut reader = Reader::default();
            said.chunks(size).for_each(|some| reader.read(some));
            assert_eq!((reader.number, reader.done), (Some(-77), 3), "{size}");
            assert_eq!(reader.told, 1, "{size}");
            assert_eq!((reader.filled, reader.skip), (0, 0), "{size}");
        }
        let mut reader = Reader::default();
        reader.read(&greeting(None));
        assert_eq!((reader.number, reader.done), (None, 0));
    }
}
