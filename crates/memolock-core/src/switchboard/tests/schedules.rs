//! Random schedules against a store at the other end of an ordered connection, with everything in
//! flight: no listener hears what was published before it listened, or misses what was published
//! after its confirmation without a gap, and nothing stays behind.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use futures_util::{FutureExt, StreamExt};
use proptest::prelude::*;

use super::{board, key, refusal};
use crate::switchboard::{Listener, Switchboard};
use crate::{Event, Key, Message};

#[derive(Debug, Clone, Copy)]
enum Act {
    Listen(u8),
    Leave(usize),
    /// The owner takes the changes and sends them off.
    Send,
    /// The store takes one request.
    Serve,
    /// The store refuses one request to subscribe.
    Deny,
    /// The owner takes one thing that the store has sent.
    Receive,
    Publish(u8),
    /// The connection breaks; what is in flight is lost.
    Break,
}

/// What travels to the store.
enum Request {
    Subscribe(Key),
    Unsubscribe(Key),
}

/// What travels back, on the same ordered connection.
enum Push {
    Confirmed(Key),
    Refused(Key),
    Message(Key, u64),
}

/// A listener and what it must hear.
struct Ear {
    listener: Listener,
    key: Key,
    /// Messages before this one were published before it listened.
    since: u64,
    /// From this message on it must hear all: it has been confirmed.
    from: Option<u64>,
    deaf: bool,
    /// It was told that the store refuses.
    dead: bool,
}

struct World {
    board: Arc<Switchboard>,
    ears: Vec<Ear>,
    requests: VecDeque<Request>,
    pushes: VecDeque<Push>,
    /// Keys that the store has subscribed for this connection.
    subscribed: BTreeSet<Key>,
    /// Every message that was published, by number.
    published: Vec<Key>,
}

impl World {
    fn act(&mut self, act: Act) -> Result<(), TestCaseError> {
        match act {
            Act::Listen(k) => {
                let key = key(&k.to_string());
                self.ears.push(Ear {
                    listener: self.board.listen(&key),
                    key,
                    since: self.published.len() as u64,
                    from: None,
                    deaf: false,
                    dead: false,
                });
            }
            Act::Leave(n) if !self.ears.is_empty() => {
                self.ears.swap_remove(n % self.ears.len());
            }
            Act::Leave(_) => {}
            Act::Send => drop(self.send()),
            Act::Serve => drop(self.serve()),
            Act::Deny => {
                if let Some(Request::Subscribe(key)) = self.requests.front() {
                    self.pushes.push_back(Push::Refused(key.clone()));
                    self.requests.pop_front();
                }
            }
            Act::Receive => drop(self.receive()),
            Act::Publish(k) => {
                let key = key(&k.to_string());
                let number = self.published.len() as u64;
                if self.subscribed.contains(&key) {
                    self.pushes.push_back(Push::Message(key.clone(), number));
                }
                self.published.push(key);
            }
            Act::Break => {
                self.requests.clear();
                self.pushes.clear();
                self.subscribed.clear();
                self.board.gap();
            }
        }
        self.listen()
    }

    fn send(&mut self) -> bool {
        let Some(changes) = self.board.changes().now_or_never() else {
            return false;
        };
        let subscribe = changes.subscribe.into_iter().map(Request::Subscribe);
        let unsubscribe = changes.unsubscribe.into_iter().map(Request::Unsubscribe);
        self.requests.extend(subscribe.chain(unsubscribe));
        true
    }

    fn serve(&mut self) -> bool {
        match self.requests.pop_front() {
            Some(Request::Subscribe(key)) => {
                self.subscribed.insert(key.clone());
                self.pushes.push_back(Push::Confirmed(key));
            }
            Some(Request::Unsubscribe(key)) => drop(self.subscribed.remove(&key)),
            None => return false,
        }
        true
    }

    fn receive(&mut self) -> bool {
        match self.pushes.pop_front() {
            Some(Push::Confirmed(key)) => self.board.confirm(&key),
            Some(Push::Refused(key)) => self.board.refuse(&key, &refusal()),
            Some(Push::Message(key, number)) => {
                let payload = Bytes::from(number.to_string());
                self.board.deliver(&key, &Message::Value(payload));
            }
            None => return false,
        }
        true
    }

    fn come_to_rest(&mut self) -> Result<(), TestCaseError> {
        while self.send() || self.serve() || self.receive() {
            self.listen()?;
        }
        Ok(())
    }

    /// Every listener empties its mailbox, and what it hears is checked.
    fn listen(&mut self) -> Result<(), TestCaseError> {
        for ear in &mut self.ears {
            match ear.listener.confirmed().now_or_never() {
                // Not yet heard are those that are in flight behind the confirmation.
                Some(Ok(())) if ear.from.is_none() => {
                    ear.from = Some(next_in_flight(&self.pushes, &ear.key, &self.published));
                }
                Some(Err(_)) => ear.dead = true,
                _ => {}
            }
            while let Some(event) = ear.listener.next().now_or_never() {
                let Some(event) = event else {
                    prop_assert!(ear.dead, "nothing is closed");
                    break;
                };
                match event {
                    Event::Gap => {
                        prop_assert!(!ear.deaf, "a gap within a gap");
                        ear.deaf = true;
                    }
                    Event::Resumed => {
                        prop_assert!(ear.deaf, "the end of no gap");
                        ear.deaf = false;
                        let next = next_in_flight(&self.pushes, &ear.key, &self.published);
                        ear.from = Some(next);
                    }
                    Event::Message(Message::Value(payload)) => {
                        let number: u64 = std::str::from_utf8(&payload).unwrap().parse().unwrap();
                        prop_assert!(number >= ear.since, "published before it listened");
                        prop_assert!(!ear.deaf, "heard in a gap");
                        let due = ear.from.expect("only the confirmed hear");
                        prop_assert_eq!(number, due, "out of order, or one was missed");
                        let later = number + 1..self.published.len() as u64;
                        let of_key = |n: &u64| self.published[*n as usize] == ear.key;
                        let next = later.clone().find(of_key);
                        ear.from = Some(next.unwrap_or(self.published.len() as u64));
                    }
                    Event::Message(other) => panic!("nobody said {other:?}"),
                }
            }
            if let Some(from) = ear.from.as_mut() {
                // Nothing of this key was published at `from` yet, or it is the one to come.
                while self
                    .published
                    .get(*from as usize)
                    .is_some_and(|k| *k != ear.key)
                {
                    *from += 1;
                }
            }
        }
        Ok(())
    }
}

/// The first message of `key` that is still to be received, or the next that will be published.
fn next_in_flight(pushes: &VecDeque<Push>, key: &Key, published: &[Key]) -> u64 {
    let first = pushes.iter().find_map(|push| match push {
        Push::Message(k, number) if k == key => Some(*number),
        _ => None,
    });
    first.unwrap_or(published.len() as u64)
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        4 => (0..2_u8).prop_map(Act::Listen),
        3 => any::<usize>().prop_map(Act::Leave),
        6 => Just(Act::Send),
        6 => Just(Act::Serve),
        1 => Just(Act::Deny),
        8 => Just(Act::Receive),
        6 => (0..2_u8).prop_map(Act::Publish),
        1 => Just(Act::Break),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn fences_gaps_and_leaving_hold_in_any_order(acts in prop::collection::vec(act(), 0..80)) {
        let mut world = World {
            board: board(),
            ears: Vec::new(),
            requests: VecDeque::new(),
            pushes: VecDeque::new(),
            subscribed: BTreeSet::new(),
            published: Vec::new(),
        };
        for act in acts {
            world.act(act)?;
        }
        world.come_to_rest()?;
        for ear in world.ears.iter().filter(|e| !e.dead) {
            prop_assert!(ear.from.is_some() && !ear.deaf, "R2: never confirmed or resumed");
            prop_assert_eq!(ear.from, Some(world.published.len() as u64), "one was not heard");
        }
        let live = world.ears.iter().filter(|e| !e.dead);
        let wanted: BTreeSet<_> = live.map(|e| e.key.clone()).collect();
        prop_assert!(world.subscribed.is_superset(&wanted));
        world.ears.clear();
        world.come_to_rest()?;
        prop_assert_eq!(world.board.len(), 0, "R9");
        prop_assert!(world.subscribed.is_empty(), "R9");
    }

    #[test]
    fn r8_no_report_in_any_order_panics(acts in prop::collection::vec((0..7_u8, 0..2_u8), 0..60)) {
        let board = board();
        let mut ears = VecDeque::new();
        for (what, k) in acts {
            let key = key(&k.to_string());
            match what {
                0 => ears.push_back(board.listen(&key)),
                1 => drop(ears.pop_front()),
                2 => drop(board.changes().now_or_never()),
                3 => board.confirm(&key),
                4 => board.refuse(&key, &refusal()),
                5 => board.gap(),
                _ => board.deliver(&key, &Message::Value(Bytes::new())),
            }
        }
        ears.clear();
        board.gap();
        let _ = board.changes().now_or_never();
        prop_assert_eq!(board.len(), 0, "R9");
    }
}
