//! Random operations against a model that is too simple to be wrong.

mod common;

use std::collections::HashMap;
use std::time::Duration;

use bytes::Bytes;
use common::{backend, heard, key, ok};
use memolock_core::{
    Acquired, Backend, Event, Fulfilled, Key, Message, Notice, PutMode, Remaining, Renewal, Token,
};
use proptest::prelude::*;

#[derive(Debug, Clone)]
enum Op {
    Get,
    Acquire(u8, u8),
    Fulfil(u8, u8, u8),
    Renew(u8, u8),
    Release(u8, bool),
    Put(u8, u8, bool),
    Invalidate,
    Advance(u8),
}

fn op() -> impl Strategy<Value = Op> {
    let token = || 0..3_u8;
    let time = || 0..5_u8;
    prop_oneof![
        Just(Op::Get),
        (token(), time()).prop_map(|(t, d)| Op::Acquire(t, d)),
        (token(), any::<u8>(), time()).prop_map(|(t, v, d)| Op::Fulfil(t, v, d)),
        (token(), time()).prop_map(|(t, d)| Op::Renew(t, d)),
        (token(), any::<bool>()).prop_map(|(t, tell)| Op::Release(t, tell)),
        (any::<u8>(), time(), any::<bool>()).prop_map(|(v, d, over)| Op::Put(v, d, over)),
        Just(Op::Invalidate),
        time().prop_map(Op::Advance),
    ]
}

/// Whole milliseconds, zero counting as one.
type Millis = u64;

#[derive(Default)]
struct Model {
    now: Millis,
    values: HashMap<Key, (u8, Millis)>,
    locks: HashMap<Key, (u8, Millis)>,
    told: HashMap<Key, Vec<Event>>,
}

impl Model {
    fn value(&self, key: &Key) -> Option<u8> {
        let (value, until) = self.values.get(key)?;
        (self.now < *until).then_some(*value)
    }

    fn lock(&self, key: &Key) -> Option<(u8, Millis)> {
        let (token, until) = self.locks.get(key)?;
        (self.now < *until).then(|| (*token, until - self.now))
    }

    fn holds(&self, key: &Key, token: u8) -> bool {
        self.lock(key).is_some_and(|(t, _)| t == token)
    }

    fn until(&self, millis: u8) -> Millis {
        self.now + Millis::from(millis.max(1))
    }

    fn tell(&mut self, key: &Key, message: Message) {
        self.told
            .entry(key.clone())
            .or_default()
            .push(message.into());
    }
}

fn payload(value: u8) -> Bytes {
    Bytes::from(vec![value; usize::from(value % 3)])
}

proptest! {
    #[test]
    fn every_answer_and_every_message_is_the_models(ops in prop::collection::vec((0..2_u8, op()), 0..60)) {
        let (backend, clock) = backend();
        let keys = [key("a"), key("b")];
        let mut ears: Vec<_> = keys.iter().map(|k| ok(backend.subscribe(k))).collect();
        let mut model = Model::default();
        let time = |millis: u8| Duration::from_millis(millis.into());
        let token = |t: u8| Token::from_bits(t.into());
        for (which, op) in ops {
            let key = &keys[usize::from(which)];
            match op {
                Op::Get => {
                    prop_assert_eq!(ok(backend.get(key)), model.value(key).map(payload));
                }
                Op::Acquire(t, d) => {
                    let expected = match (model.value(key), model.lock(key)) {
                        (Some(value), _) => Acquired::Value(payload(value)),
                        (None, Some((holder, left))) if holder != t => {
                            Acquired::Held(Remaining::Expires(Duration::from_millis(left)))
                        }
                        _ => {
                            model.locks.insert(key.clone(), (t, model.until(d)));
                            Acquired::Granted
                        }
                    };
                    prop_assert_eq!(ok(backend.acquire(key, token(t), time(d))), expected);
                }
                Op::Fulfil(t, v, d) => {
                    let ours = model.holds(key, t);
                    let expected = if ours { Fulfilled::Stored } else { Fulfilled::Lost };
                    if ours {
                        model.locks.remove(key);
                        model.values.insert(key.clone(), (v, model.until(d)));
                        model.tell(key, Message::Value(payload(v)));
                    }
                    let stored = ok(backend.fulfil(key, token(t), payload(v), time(d)));
                    prop_assert_eq!(stored, expected);
                }
                Op::Renew(t, d) => {
                    let ours = model.holds(key, t);
                    if ours {
                        model.locks.insert(key.clone(), (t, model.until(d)));
                    }
                    let renewal = Renewal { key: key.clone(), token: token(t), lease: time(d) };
                    prop_assert_eq!(ok(backend.renew(&[renewal])), [ours]);
                }
                Op::Release(t, tell) => {
                    let ours = model.holds(key, t);
                    if ours {
                        model.locks.remove(key);
                        if tell {
                            model.tell(key, Message::Notice(Notice::Released));
                        }
                    }
                    let notice = tell.then_some(Notice::Released);
                    prop_assert_eq!(ok(backend.release(key, token(t), notice)), ours);
                }
                Op::Put(v, d, over) => {
                    let mode = if over { PutMode::Override } else { PutMode::Resolve };
                    if over {
                        model.locks.remove(key);
                    }
                    model.values.insert(key.clone(), (v, model.until(d)));
                    model.tell(key, Message::Value(payload(v)));
                    ok(backend.put(key, payload(v), time(d), mode));
                }
                Op::Invalidate => {
                    model.values.remove(key);
                    model.locks.remove(key);
                    model.tell(key, Message::Notice(Notice::Invalidated));
                    ok(backend.invalidate(key));
                }
                Op::Advance(d) => {
                    model.now += Millis::from(d);
                    clock.advance(time(d));
                }
            }
            let seen = ok(backend.inspect(key));
            prop_assert_eq!(seen.value.is_some(), model.value(key).is_some());
            prop_assert_eq!(seen.lock.is_some(), model.lock(key).is_some());
            for (key, ear) in keys.iter().zip(&mut ears) {
                prop_assert_eq!(heard(ear), model.told.remove(key).unwrap_or_default());
            }
        }
    }
}
