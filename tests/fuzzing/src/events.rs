//! What comes over channels, and a switchboard whose owner says anything in any order.

use std::collections::BTreeMap;
use std::sync::Arc;

use arbitrary::{Result, Unstructured};
use bytes::Bytes;
use futures_util::{FutureExt, StreamExt};
use memolock_core::redis::Routes;
use memolock_core::{Event, Key, Listener, MAX_MESSAGE_BYTES, Message, Notice, Switchboard};

use crate::data;

/// More events than any mailbox holds.
const MAILBOX: usize = 40;
const MOST_LISTENERS: usize = 24;
const MOST_ACTS: usize = 400;

/// Any payload is understood; a switchboard bears any order of calls: nothing is heard out of order or
/// inside a gap, nothing is skipped without one, mailboxes are bounded, and what is left leaves nothing.
pub fn events(data: &[u8]) {
    payload(data);
    // Bytes that end early end the schedule, not the check.
    let mut world = World::default();
    let _ = world.play(&mut Unstructured::new(data));
    world.leave();
}

fn payload(payload: &[u8]) {
    let notice = Notice::decode(payload);
    if let Notice::Failed(message) = &notice {
        assert!(message.len() <= MAX_MESSAGE_BYTES, "{}", message.len());
        assert!(!message.contains(['\n', '\r']), "{message:?}");
    }
    let written = notice.encode();
    assert_eq!(Notice::decode(&written), notice, "{written:?}");
}

/// One listener, and what it has heard.
struct Ear {
    listener: Listener,
    key: Key,
    /// The number of the last message, if no gap came after it.
    last: Option<u64>,
    deaf: bool,
}

#[derive(Default)]
struct World {
    board: Arc<Switchboard>,
    routes: Routes,
    ears: Vec<Ear>,
    /// How many messages were delivered to each key, by the switchboard or as a gap.
    told: BTreeMap<Key, u64>,
    closed: bool,
}

impl World {
    fn play(&mut self, from: &mut Unstructured<'_>) -> Result<()> {
        for _ in 0..MOST_ACTS {
            if from.is_empty() {
                break;
            }
            self.act(from)?;
        }
        Ok(())
    }

    fn act(&mut self, from: &mut Unstructured<'_>) -> Result<()> {
        let act = from.int_in_range(0..=12_u8)?;
        let key = data::key(from)?;
        match act {
            0 | 1 if self.ears.len() < MOST_LISTENERS => {
                let listener = match act {
                    0 => self.board.listen(&key),
                    _ => self.board.attach(&key),
                };
                self.ears.push(Ear {
                    listener,
                    key,
                    last: None,
                    deaf: false,
                });
            }
            2 if !self.ears.is_empty() => {
                let index = from.choose_index(self.ears.len())?;
                drop(self.ears.swap_remove(index));
            }
            3 => {
                if let Some(changes) = self.board.changes().now_or_never() {
                    assert!(!self.closed, "a closed switchboard asks for something");
                    changes
                        .subscribe
                        .iter()
                        .for_each(|key| self.routes.add(key));
                    for key in &changes.unsubscribe {
                        self.routes.remove(key);
                    }
                }
            }
            4 => self.board.confirm(&key),
            5 => self.board.refuse(&key, &data::error(from)?),
            6 => self.board.gap(),
            7 => self.board.missed(&key),
            8 => self.publish(from)?,
            9 if !self.ears.is_empty() => {
                let index = from.choose_index(self.ears.len())?;
                let ear = &mut self.ears[index];
                let _ = ear.listener.confirmed().now_or_never();
            }
            10 if !self.ears.is_empty() => {
                let index = from.choose_index(self.ears.len())?;
                self.ears[index].read(1 + from.choose_index(MAILBOX)?);
            }
            11 if from.ratio(1, 8)? => {
                self.board.close();
                self.closed = true;
            }
            _ => self.deliver(&key),
        }
        Ok(())
    }

    /// A numbered message.
    fn deliver(&mut self, key: &Key) {
        let number = self.told.entry(key.clone()).or_default();
        *number += 1;
        let payload = Bytes::copy_from_slice(&number.to_be_bytes());
        self.board.deliver(key, &Message::Value(payload));
    }

    /// Anything on any channel, or on one that is listened to. What the routes make of it is read and
    /// not delivered, since it bears no number.
    fn publish(&mut self, from: &mut Unstructured<'_>) -> Result<()> {
        let key = data::key(from)?;
        let channel = match from.int_in_range(0..=2_u8)? {
            0 => key.notif_channel().into_bytes(),
            1 => key.fail_channel().into_bytes(),
            _ => data::bytes(from)?.to_vec(),
        };
        let payload = data::bytes(from)?;
        for (key, message) in self.routes.read(&channel, &payload) {
            let channels = match &message {
                Message::Value(value) => {
                    assert_eq!(value, &payload, "a value is its exact bytes");
                    key.notif_channel()
                }
                Message::Notice(notice) => {
                    assert_eq!(*notice, Notice::decode(&payload));
                    key.fail_channel()
                }
            };
            assert_eq!(channels.as_bytes(), channel);
        }
        Ok(())
    }

    /// Everybody leaves, and a store that answers everything is asked: then nothing is left.
    fn leave(mut self) {
        for ear in &mut self.ears {
            ear.read(MAILBOX + 1);
        }
        self.ears.clear();
        for _ in 0..MOST_ACTS {
            let mut open = Vec::new();
            while let Some(changes) = self.board.changes().now_or_never() {
                assert!(changes.subscribe.is_empty(), "nobody is left to listen");
                open.extend(changes.unsubscribe);
            }
            if self.board.is_empty() {
                return;
            }
            // Confirmations that the owner still owes.
            data::keys().iter().for_each(|key| self.board.confirm(key));
        }
        panic!("{} keys are left behind", self.board.len());
    }
}

impl Ear {
    /// Reads some of what is there, and checks it.
    fn read(&mut self, most: usize) {
        for nth in 0..most {
            let Some(Some(event)) = self.listener.next().now_or_never() else {
                return;
            };
            assert!(nth < MAILBOX, "a mailbox without a bound");
            match event {
                Event::Gap => (self.deaf, self.last) = (true, None),
                Event::Resumed => {
                    assert!(self.deaf, "resumed without a gap");
                    self.deaf = false;
                }
                Event::Message(Message::Value(value)) => {
                    assert!(!self.deaf, "a message inside a gap");
                    let number = value.as_ref().try_into().map(u64::from_be_bytes);
                    let number = number.expect("every message bears a number");
                    if let Some(last) = self.last {
                        assert_eq!(number, last + 1, "{} missed one without a gap", self.key);
                    }
                    self.last = Some(number);
                }
                Event::Message(Message::Notice(notice)) => panic!("{notice:?} was never sent"),
            }
        }
    }
}
