//! The model store: what a server would hold, one step at a time, with a clock that is told.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use memolock::core::{
    Acquired, ErrorKind, Fulfilled, Key, Message, Notice, PutMode, Remaining, Renewal, Timed,
    Token, millis,
};

/// Milliseconds since the beginning of a schedule.
pub type Millis = u64;

/// What a client asks for.
#[derive(Debug, Clone)]
#[allow(missing_docs)] // They are the methods of `Backend`, by name, and what ancestors do besides.
pub enum Op {
    Get(Key),
    Timed(Vec<Key>),
    /// With a value that counts as none, if there is one.
    Acquire(Key, Token, Duration, Option<Bytes>),
    Fulfil(Key, Token, Bytes, Duration),
    Renew(Vec<Renewal>),
    Release(Key, Token, Option<Notice>),
    Put(Key, Bytes, Duration, PutMode),
    Invalidate(Key),
    /// Publishes once more what is stored.
    Repeat(Key),
    /// An ancestor's `SET lock NX PX`.
    Lock(Key, Token, Duration),
    /// An ancestor's `DEL lock`, whoever holds it.
    Unlock(Key),
    /// A vandal's `SET lock` with a holder of its own, and no expiry.
    Jam(Key),
    /// A vandal's `SET value`: bytes that nobody can decode, published or not.
    Scribble(Key, Bytes),
    /// A vandal's list where the value should be.
    Spoil(Key),
    /// A vandal's `PUBLISH` on one of the two channels.
    Shout(Key, Channel, Bytes),
}

/// Where something is published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Channel {
    /// Values, and nothing else.
    Notif,
    /// Notices.
    Fail,
}

/// What the store answers.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)] // One for each kind of answer.
pub enum Answer {
    Value(Option<Bytes>),
    Timed(Vec<Option<Timed>>),
    Acquired(Acquired),
    Fulfilled(Fulfilled),
    Renewed(Vec<bool>),
    Flag(bool),
    Done,
    /// An error of the store's own, such as a value of another type.
    Error(ErrorKind),
}

/// A lock, and until when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lock {
    /// Whose; none if what stands there is no token at all.
    pub token: Option<Token>,
    /// The first millisecond at which it is gone; none if it stays.
    pub until: Option<Millis>,
}

impl Lock {
    /// Whether it stands at `now`.
    #[must_use]
    pub fn stands(&self, now: Millis) -> bool {
        self.until.is_none_or(|until| until > now)
    }
}

#[derive(Debug, Clone, Default)]
struct Row {
    value: Option<(Bytes, Millis)>,
    /// The value before it: what a repeated notice must not say.
    before: Option<Bytes>,
    /// The value is a list.
    spoilt: bool,
    lock: Option<Lock>,
}

/// Everything that is stored. Cloning it is a snapshot.
#[derive(Debug, Clone, Default)]
pub struct Store {
    rows: BTreeMap<Key, Row>,
}

/// What an operation did, beside its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Effect {
    /// What is answered.
    pub answer: Answer,
    /// What is published, for which key and where.
    pub told: Option<Told>,
}

/// A publication.
pub type Told = (Key, Channel, Bytes);

impl Store {
    /// The value, as it is at `now`.
    #[must_use]
    pub fn value(&self, key: &Key, now: Millis) -> Option<&Bytes> {
        let (value, until) = self.rows.get(key)?.value.as_ref()?;
        (*until > now).then_some(value)
    }

    /// The lock, as it is at `now`.
    #[must_use]
    pub fn lock(&self, key: &Key, now: Millis) -> Option<Lock> {
        self.rows.get(key)?.lock.filter(|lock| lock.stands(now))
    }

    /// Every lock that is held at `now`.
    pub fn locks(&self, now: Millis) -> impl Iterator<Item = (&Key, Lock)> {
        let held = move |(key, row): (_, &Row)| Some((key, row.lock.filter(|l| l.stands(now))?));
        self.rows.iter().filter_map(held)
    }

    /// Does one thing.
    pub fn apply(&mut self, op: &Op, now: Millis) -> Effect {
        match op {
            Op::Get(key) | Op::Acquire(key, ..) if self.is_spoilt(key) => {
                silent(Answer::Error(ErrorKind::WrongType))
            }
            Op::Get(key) => silent(Answer::Value(self.value(key, now).cloned())),
            Op::Timed(keys) if keys.iter().any(|key| self.is_spoilt(key)) => {
                silent(Answer::Error(ErrorKind::WrongType))
            }
            Op::Timed(keys) => {
                let timed = keys.iter().map(|key| self.timed(key, now));
                silent(Answer::Timed(timed.collect()))
            }
            Op::Acquire(key, token, lease, over) => {
                let over = over.as_ref();
                silent(Answer::Acquired(
                    self.acquire(key, *token, *lease, over, now),
                ))
            }
            Op::Fulfil(key, token, value, ttl) => {
                if !self.holds(key, *token, now) {
                    return silent(Answer::Fulfilled(Fulfilled::Lost));
                }
                let row = self.row(key);
                row.set(value, after(now, *ttl));
                row.lock = None;
                let told = Message::Value(value.clone());
                telling(Answer::Fulfilled(Fulfilled::Stored), key, &told)
            }
            Op::Renew(renewals) => {
                let renewed = renewals.iter().map(|renewal| self.renew(renewal, now));
                silent(Answer::Renewed(renewed.collect()))
            }
            Op::Release(key, token, notice) => self.release(key, *token, notice.as_ref(), now),
            Op::Put(key, value, ttl, mode) => {
                let row = self.row(key);
                row.set(value, after(now, *ttl));
                if *mode == PutMode::Override {
                    row.lock = None;
                }
                telling(Answer::Done, key, &Message::Value(value.clone()))
            }
            Op::Repeat(key) => match self.repeated(key, now) {
                Some(value) => telling(Answer::Done, key, &Message::Value(value)),
                None => silent(Answer::Done),
            },
            Op::Invalidate(key) => {
                let before = self.value(key, now).cloned();
                *self.row(key) = Row::default();
                self.row(key).before = before;
                telling(Answer::Done, key, &Message::Notice(Notice::Invalidated))
            }
            Op::Lock(key, token, lease) => {
                let free = self.lock(key, now).is_none();
                if free {
                    self.row(key).lock = Some(held(*token, *lease, now));
                }
                silent(Answer::Flag(free))
            }
            Op::Unlock(key) => {
                self.row(key).lock = None;
                silent(Answer::Done)
            }
            Op::Jam(key) => {
                let (token, until) = (None, None);
                self.row(key).lock = Some(Lock { token, until });
                silent(Answer::Done)
            }
            Op::Scribble(key, bytes) => {
                self.row(key).set(bytes, Millis::MAX);
                silent(Answer::Done)
            }
            Op::Spoil(key) => {
                self.row(key).spoilt = true;
                silent(Answer::Done)
            }
            Op::Shout(key, channel, payload) => Effect {
                answer: Answer::Done,
                told: Some((key.clone(), *channel, payload.clone())),
            },
        }
    }

    fn timed(&self, key: &Key, now: Millis) -> Option<Timed> {
        let (value, until) = self.rows.get(key)?.value.as_ref()?;
        let left = until.checked_sub(now).filter(|left| *left > 0)?;
        Some(Timed {
            value: value.clone(),
            remaining: Remaining::Expires(Duration::from_millis(left)),
        })
    }

    /// What a repeated notice says: what is stored now.
    fn repeated(&self, key: &Key, now: Millis) -> Option<Bytes> {
        let stored = self.value(key, now).filter(|_| !self.is_spoilt(key));
        stored.cloned()
    }

    fn acquire(
        &mut self,
        key: &Key,
        token: Token,
        lease: Duration,
        over: Option<&Bytes>,
        now: Millis,
    ) -> Acquired {
        if let Some(value) = self.value(key, now).filter(|value| Some(*value) != over) {
            return Acquired::Value(value.clone());
        }
        match self.lock(key, now) {
            Some(lock) if lock.token != Some(token) => Acquired::Held(match lock.until {
                Some(until) => Remaining::Expires(Duration::from_millis(until - now)),
                None => Remaining::Forever,
            }),
            _ => {
                self.row(key).lock = Some(held(token, lease, now));
                Acquired::Granted
            }
        }
    }

    fn renew(&mut self, renewal: &Renewal, now: Millis) -> bool {
        let ours = self.holds(&renewal.key, renewal.token, now);
        if ours {
            let renewed = held(renewal.token, renewal.lease, now);
            self.row(&renewal.key).lock = Some(renewed);
        }
        ours
    }

    fn release(&mut self, key: &Key, token: Token, notice: Option<&Notice>, now: Millis) -> Effect {
        if !self.holds(key, token, now) {
            return silent(Answer::Flag(false));
        }
        self.row(key).lock = None;
        match notice {
            Some(notice) => telling(Answer::Flag(true), key, &Message::Notice(notice.clone())),
            None => silent(Answer::Flag(true)),
        }
    }

    fn holds(&self, key: &Key, token: Token, now: Millis) -> bool {
        let lock = self.lock(key, now);
        lock.is_some_and(|lock| lock.token == Some(token))
    }

    fn is_spoilt(&self, key: &Key) -> bool {
        self.rows.get(key).is_some_and(|row| row.spoilt)
    }

    fn row(&mut self, key: &Key) -> &mut Row {
        self.rows.entry(key.clone()).or_default()
    }
}

impl Row {
    /// A `SET`, which does not mind what was there.
    fn set(&mut self, value: &Bytes, until: Millis) {
        self.before = self.value.take().map(|(before, _)| before);
        self.value = Some((value.clone(), until));
        self.spoilt = false;
    }
}

impl Op {
    /// The keys that it is about.
    pub fn keys(&self) -> impl Iterator<Item = &Key> {
        let (one, many, looked) = match self {
            Self::Renew(renewals) => (None, renewals.as_slice(), &[][..]),
            Self::Timed(keys) => (None, &[][..], keys.as_slice()),
            Self::Get(key)
            | Self::Acquire(key, ..)
            | Self::Fulfil(key, ..)
            | Self::Release(key, ..)
            | Self::Put(key, ..)
            | Self::Invalidate(key)
            | Self::Repeat(key)
            | Self::Lock(key, ..)
            | Self::Unlock(key)
            | Self::Jam(key)
            | Self::Scribble(key, _)
            | Self::Spoil(key)
            | Self::Shout(key, ..) => (Some(key), &[][..], &[][..]),
        };
        one.into_iter()
            .chain(many.iter().map(|renewal| &renewal.key))
            .chain(looked)
    }

    /// The key whose value it changes, with what it is then.
    #[must_use]
    pub fn changes(&self, answer: &Answer) -> Option<(&Key, Option<&Bytes>)> {
        match (self, answer) {
            (Self::Fulfil(key, _, value, _), Answer::Fulfilled(Fulfilled::Stored))
            | (Self::Put(key, value, ..) | Self::Scribble(key, value), _) => {
                Some((key, Some(value)))
            }
            (Self::Invalidate(key) | Self::Spoil(key), _) => Some((key, None)),
            _ => None,
        }
    }

    /// Whether it only looks.
    #[must_use]
    pub fn is_read(&self) -> bool {
        matches!(self, Self::Get(..) | Self::Timed(..))
    }

    /// Whether a server that is out of memory refuses it.
    #[must_use]
    pub fn needs_memory(&self) -> bool {
        matches!(
            self,
            Self::Acquire(..) | Self::Fulfil(..) | Self::Put(..) | Self::Lock(..)
        )
    }
}

fn after(now: Millis, duration: Duration) -> Millis {
    now.saturating_add(millis(duration))
}

fn silent(answer: Answer) -> Effect {
    Effect { answer, told: None }
}

fn held(token: Token, lease: Duration, now: Millis) -> Lock {
    Lock {
        token: Some(token),
        until: Some(after(now, lease)),
    }
}

/// On the wire, a message is a channel and bytes.
fn telling(answer: Answer, key: &Key, message: &Message) -> Effect {
    let (channel, payload) = match message {
        Message::Value(value) => (Channel::Notif, value.clone()),
        Message::Notice(notice) => (Channel::Fail, notice.encode()),
    };
    let told = Some((key.clone(), channel, payload));
    Effect { answer, told }
}
