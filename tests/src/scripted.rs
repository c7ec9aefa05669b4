//! A server behind a front that answers some commands itself: what a proxy, a provider's quota or a loading server says.
//!
//! It speaks RESP2 and RESP3 as the client does, and keeps replies in the order of commands: an answer of its own waits
//! until the server has answered what was sent before.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::{Bytes, BytesMut};
use memolock_testkit::TestServer;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// What becomes of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// The server answers.
    Passes,
    /// This error line, and the server never sees the command.
    Fails(String),
    /// This error line in place of the server's answer.
    FailsLate(String),
    /// No answer, and none to what stands behind it on its connection. The server never sees the command.
    Hangs,
    /// The end of its connection. The server never sees the command.
    Closes,
}

type Rule = Box<dyn Fn(&[Bytes]) -> Fate + Send + Sync>;

/// A command that came in.
#[derive(Debug, Clone)]
pub struct Sent {
    /// When.
    pub at: Instant,
    /// Its words.
    pub words: Vec<Bytes>,
}

/// The front. Dropping it ends its connections.
pub struct Scripted {
    url: String,
    script: Arc<Script>,
    task: JoinHandle<()>,
}

struct Script {
    rule: Mutex<Rule>,
    log: Mutex<Vec<Sent>>,
}

impl Scripted {
    /// Before a server. Until it is told otherwise everything passes.
    ///
    /// # Panics
    /// If there is no port.
    pub async fn before(server: &TestServer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await;
        let listener = listener.unwrap_or_else(|e| panic!("{e}"));
        let port = listener.local_addr().map_or(0, |address| address.port());
        let script = Arc::new(Script {
            rule: Mutex::new(Box::new(|_| Fate::Passes)),
            log: Mutex::default(),
        });
        let to = (server.host().to_owned(), server.port());
        let task = tokio::spawn(accept(listener, to, Arc::clone(&script)));
        let url = format!("redis://127.0.0.1:{port}");
        Self { url, script, task }
    }

    /// Where clients connect.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// From now on this is what becomes of commands. Their first word is in capitals.
    pub fn script(&self, rule: impl Fn(&[Bytes]) -> Fate + Send + Sync + 'static) {
        *lock(&self.script.rule) = Box::new(rule);
    }

    /// Everything passes again.
    pub fn mend(&self) {
        self.script(|_| Fate::Passes);
    }

    /// What came in so far.
    #[must_use]
    pub fn log(&self) -> Vec<Sent> {
        lock(&self.script.log).clone()
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, to: (String, u16), script: Arc<Script>) {
    let mut connections = tokio::task::JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        let (to, script) = (to.clone(), Arc::clone(&script));
        connections.spawn(async move {
            // An end of either side ends both.
            let _ = serve(client, &to, &script).await;
        });
    }
}

/// What is owed to the client, in order.
enum Owed {
    /// The server's next reply.
    Reply,
    /// This line in place of it.
    Instead(String),
    /// A line of our own.
    Own(String),
    /// Nothing, for ever.
    Silence,
}

type Debts = Mutex<VecDeque<Owed>>;

async fn serve(client: TcpStream, to: &(String, u16), script: &Script) -> io::Result<()> {
    let server = TcpStream::connect((to.0.as_str(), to.1)).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let debts = Debts::default();
    let to_client = tokio::sync::Mutex::new(to_client);
    tokio::select! {
        ended = ask(from_client, to_server, script, &debts, &to_client) => ended,
        ended = answer(from_server, &debts, &to_client) => ended,
    }
}

async fn ask(
    mut client: OwnedReadHalf,
    mut server: OwnedWriteHalf,
    script: &Script,
    debts: &Debts,
    back: &tokio::sync::Mutex<OwnedWriteHalf>,
) -> io::Result<()> {
    let mut buffer = BytesMut::new();
    loop {
        while let Some(end) = frame(&buffer, 0) {
            let whole = buffer.split_to(end).freeze();
            let words = words(&whole);
            let at = Instant::now();
            let fate = (lock(&script.rule))(&words);
            let confirms_by_push = words
                .first()
                .is_some_and(|verb| verb.ends_with(b"SUBSCRIBE"));
            lock(&script.log).push(Sent { at, words });
            match fate {
                Fate::Fails(line) => {
                    lock(debts).push_back(Owed::Own(line));
                    settle(debts, &mut *back.lock().await).await?;
                    continue;
                }
                Fate::Hangs => {
                    lock(debts).push_back(Owed::Silence);
                    continue;
                }
                Fate::Closes => return Ok(()),
                // It is answered by pushes, which nobody is owed.
                Fate::Passes if confirms_by_push => {}
                Fate::Passes => lock(debts).push_back(Owed::Reply),
                Fate::FailsLate(line) => lock(debts).push_back(Owed::Instead(line)),
            }
            server.write_all(&whole).await?;
        }
        if client.read_buf(&mut buffer).await? == 0 {
            return Ok(());
        }
    }
}

async fn answer(
    mut server: OwnedReadHalf,
    debts: &Debts,
    back: &tokio::sync::Mutex<OwnedWriteHalf>,
) -> io::Result<()> {
    let mut buffer = BytesMut::new();
    loop {
        while let Some(end) = frame(&buffer, 0) {
            let whole = buffer.split_to(end).freeze();
            if !is_push(&whole) && matches!(lock(debts).front(), Some(Owed::Silence)) {
                return std::future::pending().await;
            }
            let mut client = back.lock().await;
            let debt = match is_push(&whole) {
                true => None,
                false => lock(debts).pop_front(),
            };
            match debt {
                Some(Owed::Instead(line)) => error(&mut client, &line).await?,
                _ => client.write_all(&whole).await?,
            }
            settle(debts, &mut client).await?;
        }
        if server.read_buf(&mut buffer).await? == 0 {
            return Ok(());
        }
    }
}

/// Pays what is owed by us alone.
async fn settle(debts: &Debts, client: &mut OwnedWriteHalf) -> io::Result<()> {
    loop {
        let own = {
            let mut debts = lock(debts);
            match debts.pop_front() {
                Some(Owed::Own(line)) => line,
                Some(other) => {
                    debts.push_front(other);
                    return Ok(());
                }
                None => return Ok(()),
            }
        };
        error(client, &own).await?;
    }
}

async fn error(client: &mut OwnedWriteHalf, line: &str) -> io::Result<()> {
    client.write_all(format!("-{line}\r\n").as_bytes()).await
}

/// The words of a command, the first in capitals. One that is not an array is a line of words.
fn words(whole: &Bytes) -> Vec<Bytes> {
    if whole.first() != Some(&b'*') {
        let words = whole.split(u8::is_ascii_whitespace);
        let words = words.filter(|word| !word.is_empty());
        return words.map(Bytes::copy_from_slice).collect();
    }
    let mut words = Vec::new();
    let mut at = line(whole, 0).unwrap_or(whole.len());
    while at < whole.len() {
        let Some(begin) = line(whole, at) else {
            break;
        };
        let length = number(&whole[at + 1..begin]).unwrap_or(0);
        words.push(whole.slice(begin..begin + length));
        at = begin + length + 2;
    }
    if let Some(verb) = words.first_mut() {
        *verb = Bytes::from(verb.to_ascii_uppercase());
    }
    words
}

/// Pushes of RESP3, and what a connection of RESP2 hears that has subscribed.
fn is_push(whole: &[u8]) -> bool {
    let heard = [&b"subscribe\r\n"[..], b"unsubscribe\r\n", b"message\r\n"];
    let first = line(whole, 0).and_then(|at| whole.get(line(whole, at)?..));
    whole.first() == Some(&b'>')
        || (whole.starts_with(b"*3")
            && first.is_some_and(|first| heard.iter().any(|word| first.starts_with(word))))
}

/// Where the frame that begins at `at` ends, if it is there.
fn frame(buffer: &[u8], at: usize) -> Option<usize> {
    let kind = *buffer.get(at)?;
    let mut end = line(buffer, at)?;
    let count = number(&buffer[at + 1..end]);
    match kind {
        b'$' | b'=' | b'!' => {
            let Some(length) = count else {
                return Some(end);
            };
            end += length + 2;
            (end <= buffer.len()).then_some(end)
        }
        b'*' | b'~' | b'>' | b'%' | b'|' => {
            let pairs = if matches!(kind, b'%' | b'|') { 2 } else { 1 };
            for _ in 0..pairs * count.unwrap_or(0) {
                end = frame(buffer, end)?;
            }
            // An attribute goes before what it is of.
            if kind == b'|' {
                frame(buffer, end)
            } else {
                Some(end)
            }
        }
        _ => Some(end),
    }
}

/// Where the next line begins.
fn line(buffer: &[u8], at: usize) -> Option<usize> {
    let rest = buffer.get(at..)?;
    let end = rest.windows(2).position(|two| two == b"\r\n")?;
    Some(at + end + 2)
}

/// None for what is no number, or -1.
fn number(line: &[u8]) -> Option<usize> {
    std::str::from_utf8(line).ok()?.trim_end().parse().ok()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_end_where_they_end() {
        for whole in [
            &b"+OK\r\n"[..],
            b"$2\r\n\r\n\r\n",
            b"$-1\r\n",
            b"*2\r\n$1\r\na\r\n*0\r\n",
            b"%1\r\n+a\r\n:1\r\n",
            b"_\r\n",
        ] {
            assert_eq!(frame(whole, 0), Some(whole.len()), "{whole:?}");
            assert_eq!(frame(&whole[..whole.len() - 1], 0), None, "{whole:?}");
        }
        let command = Bytes::from_static(b"*2\r\n$3\r\nget\r\n$1\r\nk\r\n");
        assert_eq!(words(&command), ["GET", "k"]);
        assert_eq!(words(&Bytes::from_static(b"HELLO 3\r\n")), ["HELLO", "3"]);
        assert!(is_push(b"*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$1\r\nv\r\n"));
        assert!(!is_push(b"*3\r\n$1\r\na\r\n$1\r\nc\r\n$1\r\nv\r\n"));
    }
}
