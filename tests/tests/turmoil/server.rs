//! A server that understands what our adapter says, and nothing else.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;

use memolock::core::redis::Script;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::sync::mpsc::unbounded_channel;
use turmoil::net::{TcpListener, TcpStream};

use crate::store::{Out, Store};

pub(crate) const PORT: u16 = 6379;

#[derive(Default)]
struct Server {
    store: Store,
    /// Scripts that have been sent by their text since it started.
    known: Vec<(String, Script)>,
}

/// Serves until it crashes. What it knew is gone then.
pub(crate) async fn serve() -> turmoil::Result {
    let listener = TcpListener::bind(("0.0.0.0", PORT)).await?;
    let server = Rc::new(RefCell::new(Server::default()));
    for id in 0.. {
        let (stream, _) = listener.accept().await?;
        let server = Rc::clone(&server);
        tokio::task::spawn_local(async move {
            // Whatever ends a connection, it is the client's to see.
            let _ = converse(stream, id, &server).await;
            server.borrow_mut().store.leave(id, None);
        });
    }
    Ok(())
}

async fn converse(stream: TcpStream, id: u64, server: &RefCell<Server>) -> io::Result<()> {
    let (from, mut to) = stream.into_split();
    let (out, mut replies) = unbounded_channel::<Vec<u8>>();
    let writing = tokio::task::spawn_local(async move {
        while let Some(reply) = replies.recv().await {
            if to.write_all(&reply).await.is_err() {
                return;
            }
        }
    });
    let mut from = BufReader::new(from);
    let outcome = loop {
        match command(&mut from).await {
            Ok(words) => server.borrow_mut().answer(id, &words, &out),
            Err(error) => break Err(error),
        }
    };
    writing.abort();
    outcome
}

/// The words of one command.
async fn command(from: &mut (impl AsyncBufReadExt + Unpin)) -> io::Result<Vec<Vec<u8>>> {
    let mut words = Vec::new();
    for _ in 0..length(from).await? {
        let mut word = vec![0; length(from).await? + 2];
        from.read_exact(&mut word).await?;
        word.truncate(word.len() - 2);
        words.push(word);
    }
    Ok(words)
}

async fn length(from: &mut (impl AsyncBufReadExt + Unpin)) -> io::Result<usize> {
    let mut line = String::new();
    if from.read_line(&mut line).await? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(line[1..].trim_end().parse().expect("RESP"))
}

impl Server {
    fn answer(&mut self, id: u64, words: &[Vec<u8>], out: &Out) {
        let verb = String::from_utf8_lossy(&words[0]).to_uppercase();
        let reply = match verb.as_str() {
            "HELLO" => b"%1\r\n$5\r\nproto\r\n:3\r\n".to_vec(),
            "CLIENT" => b"+OK\r\n".to_vec(),
            "PING" => b"+PONG\r\n".to_vec(),
            "GET" => self
                .store
                .get(&words[1])
                .map_or(b"_\r\n".to_vec(), |v| bulk(v)),
            "EVAL" | "EVALSHA" => self.eval(&verb, words),
            "SUBSCRIBE" | "UNSUBSCRIBE" => {
                let kind = verb.to_lowercase();
                for channel in &words[1..] {
                    match kind.as_str() {
                        "subscribe" => self.store.listen(id, channel, out),
                        _ => self.store.leave(id, Some(channel)),
                    }
                    let mut reply = push(&[kind.as_bytes(), channel]);
                    // A third element, the number of subscriptions, which nobody reads.
                    reply[1] = b'3';
                    reply.extend(b":1\r\n");
                    let _ = out.send(reply);
                }
                return;
            }
            _ => format!("-ERR unknown command '{verb}'\r\n").into(),
        };
        let _ = out.send(reply);
    }

    fn eval(&mut self, verb: &str, words: &[Vec<u8>]) -> Vec<u8> {
        let text = String::from_utf8_lossy(&words[1]).into_owned();
        if verb == "EVAL" {
            let script = Script::ALL.into_iter().find(|s| s.text() == text);
            let script = script.expect("one of our scripts");
            let digest = redis::Script::new(&text).get_hash().to_owned();
            self.known.push((digest, script));
            return self.execute(script, words);
        }
        match self.known.iter().find(|(digest, _)| *digest == text) {
            Some((_, script)) => self.execute(*script, words),
            None => b"-NOSCRIPT No matching script.\r\n".to_vec(),
        }
    }

    fn execute(&mut self, script: Script, words: &[Vec<u8>]) -> Vec<u8> {
        let keys: usize = String::from_utf8_lossy(&words[2]).parse().unwrap();
        let (keys, args) = words[3..].split_at(keys);
        self.store.script(script, keys, args)
    }
}

pub(crate) fn bulk(bytes: &[u8]) -> Vec<u8> {
    [format!("${}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat()
}

pub(crate) fn push(parts: &[&[u8]]) -> Vec<u8> {
    let mut all: Vec<u8> = format!(">{}\r\n", parts.len()).into();
    parts.iter().for_each(|part| all.extend(bulk(part)));
    all
}
