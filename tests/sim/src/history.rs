//! What happened in a schedule, in order: the only thing that the checks look at.

use std::fmt;

use bytes::Bytes;
use memolock::core::{Key, Token};

use crate::fault::Fault;
use crate::store::{Answer, Channel, Millis, Op};
use crate::world::Outcome;

/// One moment, and what happened then.
#[derive(Debug, Clone)]
pub struct Entry {
    /// When.
    pub at: Millis,
    /// What.
    pub what: What,
}

/// A call by a caller: its number in the plan.
pub type CallId = usize;
/// A compute, numbered in the order in which they began. Its value says it.
pub type ComputeId = usize;
/// A simulated process.
pub type ProcessId = usize;

/// What may happen.
#[derive(Debug, Clone)]
#[allow(missing_docs)] // The names say it; the fields are who, where and what.
pub enum What {
    CallBegan {
        call: CallId,
        process: ProcessId,
        key: usize,
        does: &'static str,
    },
    CallEnded {
        call: CallId,
        end: End,
    },
    /// Its future was dropped.
    CallLeft {
        call: CallId,
    },
    ComputeBegan {
        compute: ComputeId,
        call: CallId,
        process: ProcessId,
        key: usize,
        leased: bool,
        /// It began without a lease, and needs a place among such computes. One whose lease is over needs none.
        placed: bool,
    },
    ComputeEnded {
        compute: ComputeId,
        well: bool,
    },
    /// Its future was dropped before its end.
    ComputeLeft {
        compute: ComputeId,
    },
    /// A compute calls again, and waits.
    NestBegan {
        compute: ComputeId,
    },
    /// It goes on.
    NestEnded {
        compute: ComputeId,
    },
    Triggered {
        call: CallId,
        process: ProcessId,
        key: usize,
    },
    /// The store did something.
    Effect {
        process: ProcessId,
        op: Box<Op>,
        answer: Answer,
    },
    /// The store forgot everything, or what happened after `since`.
    Forgot {
        since: Option<Millis>,
    },
    /// A memolock asks its backend; numbered, so that its answer can be found.
    Asked {
        ask: u64,
        process: ProcessId,
        op: Box<Op>,
    },
    /// What it was told. Nothing if its future was dropped.
    Answered {
        ask: u64,
        process: ProcessId,
        outcome: Outcome,
    },
    /// The store publishes.
    Published {
        key: Key,
        channel: Channel,
        payload: Bytes,
    },
    /// What was published reaches a process.
    Heard {
        process: ProcessId,
        key: Key,
        channel: Channel,
    },
    /// A call was answered by its near cache.
    Near {
        call: CallId,
    },
    /// That a value has changed reaches a process; `sent` is how far the history was when it was sent.
    Changed {
        process: ProcessId,
        key: Key,
        sent: usize,
    },
    /// What is told to a process is lost from here on.
    Deaf {
        process: ProcessId,
    },
    Fault {
        fault: Fault,
    },
    /// Nothing of this process happens any more.
    Killed {
        process: ProcessId,
    },
    /// Every fault is over from here on.
    Calm,
    Closed {
        process: ProcessId,
    },
}

/// How a call ended.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum End {
    Value(String),
    /// A look that found nothing; a put or an invalidation that was done.
    Nothing,
    Failed(String),
    Panicked,
    TimedOut,
    Closed,
    /// A holder elsewhere failed.
    Remote,
    /// What is stored is no value of this memolock.
    Undecodable,
    /// The store could not be asked.
    Store(String),
}

/// All of it.
#[derive(Debug, Default)]
pub struct History {
    /// In the order in which it happened.
    pub entries: Vec<Entry>,
}

impl History {
    /// Adds what happens now.
    pub fn add(&mut self, at: Millis, what: What) {
        self.entries.push(Entry { at, what });
    }
}

/// A line of a trace.
impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>7} ms  ", self.at)?;
        match &self.what {
            What::CallBegan {
                call,
                process,
                key,
                does,
            } => {
                write!(f, "p{process} c{call} {does} k{key}")
            }
            What::CallEnded { call, end } => write!(f, "c{call} ends: {end:?}"),
            What::CallLeft { call } => write!(f, "c{call} is dropped"),
            What::ComputeBegan {
                compute,
                call,
                process,
                key,
                leased,
                placed,
            } => {
                let how = match (leased, placed) {
                    (true, _) => "under a lease",
                    (false, true) => "without a lease",
                    (false, false) => "under a lease that is over",
                };
                write!(f, "p{process} c{call} computes k{key} as v{compute}, {how}")
            }
            What::ComputeEnded { compute, well } => {
                write!(
                    f,
                    "v{compute} is {}",
                    if *well { "made" } else { "not made" }
                )
            }
            What::ComputeLeft { compute } => write!(f, "v{compute} is abandoned"),
            What::NestBegan { compute } => write!(f, "v{compute} calls again"),
            What::NestEnded { compute } => write!(f, "v{compute} goes on"),
            What::Triggered { call, process, key } => {
                write!(f, "p{process} c{call} triggers k{key}")
            }
            What::Effect {
                process,
                op,
                answer,
            } => {
                write!(
                    f,
                    "        store, for p{process}: {} -> {}",
                    Shown(op),
                    told(answer)
                )
            }
            What::Asked { ask, process, op } => {
                write!(f, "    p{process} asks #{ask}: {}", Shown(op))
            }
            What::Answered {
                ask,
                process,
                outcome,
            } => {
                write!(f, "    p{process} hears #{ask}: ")?;
                match outcome {
                    Ok(answer) => f.write_str(&told(answer)),
                    Err(kind) => write!(f, "error, {kind:?}"),
                }
            }
            What::Published {
                key,
                channel,
                payload,
            } => {
                write!(
                    f,
                    "        store tells {} on {channel:?}: {payload:?}",
                    id(key)
                )
            }
            What::Heard {
                process,
                key,
                channel,
            } => write!(f, "      p{process} is told of {} on {channel:?}", id(key)),
            What::Near { call } => write!(f, "c{call} is answered by the near cache"),
            What::Changed { process, key, .. } => {
                write!(f, "      p{process} is told that {} changed", id(key))
            }
            What::Deaf { process } => write!(f, "      p{process} is deaf"),
            What::Forgot { since: None } => f.write_str("        store: empty"),
            What::Forgot { since: Some(since) } => {
                write!(f, "        store: as it was at {since} ms")
            }
            What::Killed { process } => write!(f, "!! p{process} is killed"),
            What::Fault { fault } => write!(f, "!! {fault}"),
            What::Calm => f.write_str("!! all faults are over"),
            What::Closed { process } => write!(f, "p{process} closes"),
        }
    }
}

struct Shown<'a>(&'a Op);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Op::Get(key) => write!(f, "get {}", id(key)),
            Op::Timed(keys) => {
                f.write_str("get, with times")?;
                keys.iter().try_for_each(|key| write!(f, " {}", id(key)))
            }
            Op::Acquire(key, token, lease, over) => {
                write!(f, "acquire {} {} for {lease:?}", id(key), short(*token))?;
                match over {
                    Some(over) => write!(f, " over {over:?}"),
                    None => Ok(()),
                }
            }
            Op::Fulfil(key, token, value, _) => {
                write!(f, "fulfil {} {} {value:?}", id(key), short(*token))
            }
            Op::Renew(renewals) => {
                f.write_str("renew")?;
                for renewal in renewals {
                    write!(f, " {} {}", id(&renewal.key), short(renewal.token))?;
                }
                Ok(())
            }
            Op::Release(key, token, notice) => {
                write!(f, "release {} {} {notice:?}", id(key), short(*token))
            }
            Op::Put(key, value, _, mode) => write!(f, "put {} {value:?} {mode:?}", id(key)),
            Op::Invalidate(key) => write!(f, "invalidate {}", id(key)),
            Op::Repeat(key) => write!(f, "publish {} once more", id(key)),
            Op::Lock(key, token, lease) => {
                write!(f, "SET NX {} {} for {lease:?}", id(key), short(*token))
            }
            Op::Unlock(key) => write!(f, "DEL the lock of {}", id(key)),
            Op::Jam(key) => write!(f, "SET the lock of {}, for ever", id(key)),
            Op::Scribble(key, bytes) => write!(f, "SET {} {bytes:?}", id(key)),
            Op::Spoil(key) => write!(f, "LPUSH {}", id(key)),
            Op::Shout(key, channel, payload) => {
                write!(f, "PUBLISH {} {channel:?} {payload:?}", id(key))
            }
        }
    }
}

fn id(key: &Key) -> &str {
    key.id()
}

fn short(token: Token) -> String {
    token.to_wire()[..6].to_owned()
}

fn told(answer: &Answer) -> String {
    match answer {
        Answer::Value(value) => format!("{value:?}"),
        Answer::Timed(timed) => format!("{timed:?}"),
        Answer::Acquired(acquired) => format!("{acquired:?}"),
        Answer::Fulfilled(fulfilled) => format!("{fulfilled:?}"),
        Answer::Renewed(renewed) => format!("{renewed:?}"),
        Answer::Flag(flag) => format!("{flag}"),
        Answer::Done => "done".to_owned(),
        Answer::Error(kind) => format!("error, {kind:?}"),
    }
}
