//! What happens when a message arrives, at the server or at a client.

use bytes::Bytes;
use memolock::core::{ErrorKind, Key, Message, Notice, Wish};

use crate::history::{ProcessId, What};
use crate::store::{Answer, Channel, Op, Told};
use crate::world::{Event, Inner, Life, Which, World};

impl World {
    /// Asks to be told of changes.
    pub(crate) fn wish(&self, process: ProcessId, wish: Wish) {
        let mut inner = self.lock();
        let epoch = inner.peers[process].subscriptions.epoch;
        let at = inner.arrival(process, Which::Subscriptions);
        inner.schedule(
            at,
            Event::Wishes {
                process,
                epoch,
                wish,
            },
        );
        drop(inner);
        self.sooner.notify_one();
    }
}

impl Inner {
    /// Something that was to come has come.
    pub(crate) fn happen(&mut self, event: Event) {
        match event {
            Event::Arrives { .. } | Event::Asks { .. } | Event::Wishes { .. }
                if self.server.hung =>
            {
                self.server.waiting.push(event);
            }
            Event::Arrives {
                process,
                epoch,
                request,
                op,
            } => {
                self.arrives(process, epoch, request, &op);
            }
            Event::Asks {
                process,
                epoch,
                listen,
                leave,
            } => {
                self.asks(process, epoch, listen, &leave);
            }
            Event::Wishes {
                process,
                epoch,
                wish,
            } => self.wishes(process, epoch, wish),
            Event::Sends { process, epoch } => self.sends(process, epoch),
            Event::Dialled { process, which } => self.dialled(process, which),
            Event::Breaks(fault) => self.breaks(fault),
            Event::Answered { process, .. }
            | Event::Confirmed { process, .. }
            | Event::Granted { process, .. }
            | Event::Changed { process, .. }
            | Event::Told { process, .. } => {
                let life = self.peers[process].life;
                match life {
                    Life::Runs => self.comes_back(event),
                    Life::Paused => self.peers[process].kept.push(event),
                    Life::Dead => {}
                }
            }
        }
    }

    /// A message reaches a client that runs.
    pub(crate) fn comes_back(&mut self, event: Event) {
        match event {
            Event::Answered {
                process,
                epoch,
                request,
                outcome,
            } => {
                let peer = &mut self.peers[process];
                if peer.commands.epoch == epoch
                    && let Some(sender) = peer.pending.remove(&request)
                {
                    // Whoever asked may be gone.
                    let _ = sender.send(outcome);
                }
            }
            Event::Confirmed {
                process,
                epoch,
                key,
            } => {
                let peer = &self.peers[process];
                if peer.subscriptions.epoch == epoch {
                    peer.board.confirm(&key);
                }
            }
            Event::Granted { process, epoch } => {
                let peer = &self.peers[process];
                if peer.subscriptions.epoch == epoch {
                    peer.trackers.confirm();
                }
            }
            Event::Changed {
                process,
                epoch,
                names,
                sent,
            } => {
                if self.peers[process].subscriptions.epoch != epoch {
                    return;
                }
                for key in names {
                    self.peers[process].trackers.changed(&key);
                    self.note(What::Changed { process, key, sent });
                }
            }
            Event::Told {
                process,
                epoch,
                key,
                channel,
                payload,
            } if self.peers[process].subscriptions.epoch == epoch => {
                self.note(What::Heard {
                    process,
                    key: key.clone(),
                    channel,
                });
                let board = &self.peers[process].board;
                board.deliver(&key, &read(channel, payload));
            }
            _ => {}
        }
    }

    fn arrives(&mut self, process: ProcessId, epoch: u32, request: u64, op: &Op) {
        let connection = &self.peers[process].commands;
        let lost = connection.epoch != epoch;
        if self.server.down || (lost && !connection.late) {
            return;
        }
        let failed = self.failed(op);
        let outcome = if let Some((kind, false)) = failed {
            Err(kind)
        } else {
            self.snapshot();
            let now = self.now();
            let effect = self.store.apply(op, now);
            let answer = effect.answer.clone();
            let changed = op.changes(&answer).map(|(key, _)| key.clone());
            let op = Box::new(op.clone());
            self.note(What::Effect {
                process,
                op,
                answer,
            });
            if let Some(told) = effect.told {
                self.publish(&told);
            }
            if let Some(key) = changed {
                self.changed(&key);
            }
            match (failed, effect.answer) {
                (Some((kind, _)), _) | (None, Answer::Error(kind)) => Err(kind),
                (None, answer) => Ok(answer),
            }
        };
        if !lost {
            let at = self.return_trip(process, Which::Commands);
            self.schedule(
                at,
                Event::Answered {
                    process,
                    epoch,
                    request,
                    outcome,
                },
            );
        }
    }

    /// What a command is answered with in place of what it does, and whether it does it all the same.
    fn failed(&self, op: &Op) -> Option<(ErrorKind, bool)> {
        if let Some((only, late)) = &self.server.fails {
            let named = |only: &String| op.keys().any(|key| key.id() == only);
            if only.as_ref().is_none_or(named) {
                return Some((ErrorKind::Unrecognized, *late));
            }
        }
        match self.server.refuses {
            Some(writes_alone) if !writes_alone || !op.is_read() => {
                return Some((ErrorKind::Refused, false));
            }
            _ => {}
        }
        let full = self.server.full && op.needs_memory();
        full.then_some((ErrorKind::OutOfMemory, false))
    }

    fn asks(&mut self, process: ProcessId, epoch: u32, listen: Vec<Key>, leave: &[Key]) {
        if self.server.down || self.peers[process].subscriptions.epoch != epoch {
            return;
        }
        for key in leave {
            self.peers[process].hears.remove(key);
        }
        for key in listen {
            self.peers[process].hears.insert(key.clone());
            let at = self.return_trip(process, Which::Subscriptions);
            self.schedule(
                at,
                Event::Confirmed {
                    process,
                    epoch,
                    key,
                },
            );
        }
    }

    fn wishes(&mut self, process: ProcessId, epoch: u32, wish: Wish) {
        if self.server.down || self.peers[process].subscriptions.epoch != epoch {
            return;
        }
        let peer = &mut self.peers[process];
        match wish {
            Wish::Also(prefixes) => peer.tracks.extend(prefixes),
            Wish::Only(prefixes) => peer.tracks = prefixes,
            Wish::Nothing => peer.tracks.clear(),
        }
        let at = self.return_trip(process, Which::Subscriptions);
        self.schedule(at, Event::Granted { process, epoch });
    }

    /// A value has changed: whoever tracks is told, with what else changes in the same moment.
    fn changed(&mut self, key: &Key) {
        let name = key.value_name();
        for process in 0..self.peers.len() {
            let peer = &mut self.peers[process];
            if !peer.tracks.iter().any(|prefix| name.starts_with(prefix)) {
                continue;
            }
            let first = peer.changed.is_empty();
            peer.changed.insert(key.clone());
            if first {
                let epoch = peer.subscriptions.epoch;
                // Longer than a server gathers, so that more is told as one.
                let at = self.now() + self.random.u64(0..=4);
                self.schedule(at, Event::Sends { process, epoch });
            }
        }
    }

    fn sends(&mut self, process: ProcessId, epoch: u32) {
        if self.peers[process].subscriptions.epoch != epoch {
            return;
        }
        let names = std::mem::take(&mut self.peers[process].changed);
        let names = names.into_iter().collect();
        let sent = self.history.entries.len();
        let at = self.return_trip(process, Which::Subscriptions);
        self.schedule(
            at,
            Event::Changed {
                process,
                epoch,
                names,
                sent,
            },
        );
    }

    /// Tells every process that listens.
    fn publish(&mut self, (key, channel, payload): &Told) {
        self.note(What::Published {
            key: key.clone(),
            channel: *channel,
            payload: payload.clone(),
        });
        for process in 0..self.peers.len() {
            if self.peers[process].hears.contains(key) {
                let epoch = self.peers[process].subscriptions.epoch;
                let at = self.return_trip(process, Which::Subscriptions);
                let (key, channel, payload) = (key.clone(), *channel, payload.clone());
                self.schedule(
                    at,
                    Event::Told {
                        process,
                        epoch,
                        key,
                        channel,
                        payload,
                    },
                );
            }
        }
    }

    fn dialled(&mut self, process: ProcessId, which: Which) {
        let alive = self.peers[process].life != Life::Dead;
        // A server that is down, or hangs, is dialled again when it is back.
        if alive && !self.server.down && !self.server.hung {
            self.peers[process].connection(which).up.set(true);
        }
    }
}

/// What an adapter makes of a message, as the real ones do.
fn read(channel: Channel, payload: Bytes) -> Message {
    match channel {
        Channel::Notif => Message::Value(payload),
        Channel::Fail => Message::Notice(Notice::decode(&payload)),
    }
}
