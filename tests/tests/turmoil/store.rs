//! What the small server keeps, and what our scripts do to it, in the words of `memolock-core`'s Lua.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use memolock::core::redis::Script;
use tokio::sync::mpsc::UnboundedSender;
use tokio::time::Instant;

use crate::server::{bulk, push};

type Bytes = Vec<u8>;
pub(crate) type Out = UnboundedSender<Bytes>;

#[derive(Default)]
pub(crate) struct Store {
    data: HashMap<Bytes, (Bytes, Instant)>,
    listeners: BTreeMap<Bytes, Vec<(u64, Out)>>,
}

impl Store {
    pub(crate) fn get(&self, name: &[u8]) -> Option<&Bytes> {
        let (value, until) = self.data.get(name)?;
        (*until > Instant::now()).then_some(value)
    }

    fn set(&mut self, name: &[u8], value: &[u8], ttl: &[u8]) {
        let until = Instant::now() + millis(ttl);
        self.data.insert(name.to_vec(), (value.to_vec(), until));
    }

    pub(crate) fn listen(&mut self, connection: u64, channel: &[u8], out: &Out) {
        let listeners = self.listeners.entry(channel.to_vec()).or_default();
        listeners.push((connection, out.clone()));
    }

    pub(crate) fn leave(&mut self, connection: u64, channel: Option<&[u8]>) {
        for (name, listeners) in &mut self.listeners {
            if channel.is_none_or(|channel| channel == name.as_slice()) {
                listeners.retain(|(id, _)| *id != connection);
            }
        }
    }

    fn publish(&self, channel: &[u8], payload: &[u8]) {
        for (_, out) in self.listeners.get(channel).into_iter().flatten() {
            let _ = out.send(push(&[b"message", channel, payload]));
        }
    }

    /// One of our scripts; the reply as it goes over the wire.
    pub(crate) fn script(&mut self, script: Script, keys: &[Bytes], args: &[Bytes]) -> Bytes {
        match script {
            Script::Acquire => {
                if let Some(value) = self.get(&keys[0])
                    && args.get(2) != Some(value)
                {
                    return [b"*2\r\n:1\r\n".to_vec(), bulk(value)].concat();
                }
                match self.get(&keys[1]) {
                    Some(holder) if *holder != args[0] => {
                        let rest = self.data[&keys[1]].1 - Instant::now();
                        format!("*2\r\n:3\r\n:{}\r\n", rest.as_millis()).into()
                    }
                    _ => {
                        self.set(&keys[1], &args[0], &args[1]);
                        b"*1\r\n:2\r\n".to_vec()
                    }
                }
            }
            Script::Fulfil => {
                if self.get(&keys[1]) != Some(&args[0]) {
                    return number(0);
                }
                self.set(&keys[0], &args[2], &args[1]);
                self.data.remove(&keys[1]);
                self.publish(&args[3], &args[2]);
                number(1)
            }
            Script::Renew => {
                let mut reply: Bytes = format!("*{}\r\n", keys.len()).into();
                for (n, lock) in keys.iter().enumerate() {
                    let ours = self.get(lock) == Some(&args[2 * n]);
                    if ours {
                        self.set(lock, &args[2 * n], &args[2 * n + 1]);
                    }
                    reply.extend(number(u8::from(ours)));
                }
                reply
            }
            Script::Release => {
                if self.get(&keys[0]) != Some(&args[0]) {
                    return number(0);
                }
                self.data.remove(&keys[0]);
                if !args[2].is_empty() {
                    self.publish(&args[1], &args[2]);
                }
                number(1)
            }
            Script::Put => {
                self.set(&keys[0], &args[1], &args[0]);
                if args[3] == b"1" {
                    self.data.remove(&keys[1]);
                }
                self.publish(&args[2], &args[1]);
                number(1)
            }
            Script::Invalidate => {
                self.data.remove(&keys[0]);
                self.data.remove(&keys[1]);
                self.publish(&args[0], &args[1]);
                number(1)
            }
            Script::AcquireMany => self.each(Script::Acquire, (keys, 2), (args, 2)),
            Script::FulfilMany => self.each(Script::Fulfil, (keys, 2), (args, 4)),
            Script::Inspect => b"-ERR nobody inspects here\r\n".to_vec(),
            Script::Repeat => b"-ERR nobody asks for notices twice here\r\n".to_vec(),
            Script::Timed => b"-ERR nobody keeps copies here\r\n".to_vec(),
        }
    }
}

impl Store {
    /// The same for each key in turn: so many names and so many arguments each.
    fn each(
        &mut self,
        script: Script,
        (keys, names): (&[Bytes], usize),
        (args, words): (&[Bytes], usize),
    ) -> Bytes {
        let mut reply: Bytes = format!("*{}\r\n", keys.len() / names).into();
        for (keys, args) in keys.chunks(names).zip(args.chunks(words)) {
            reply.extend(self.script(script, keys, args));
        }
        reply
    }
}

fn number(n: u8) -> Bytes {
    format!(":{n}\r\n").into()
}

fn millis(text: &[u8]) -> Duration {
    Duration::from_millis(std::str::from_utf8(text).unwrap().parse().unwrap())
}
