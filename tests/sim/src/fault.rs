//! What may break, and how it is mended.

use std::fmt;

use crate::caller::id;
use crate::history::{ProcessId, What};
use crate::store::{Millis, Store};
use crate::world::{Event, Inner, Life, Which};

/// Something that breaks, or is mended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)] // Times are in milliseconds.
pub enum Fault {
    /// A connection breaks. With `late`, what was on its way still takes effect: only answers are lost.
    Cut {
        process: ProcessId,
        which: Which,
        late: bool,
    },
    /// The server takes nothing in for a while.
    Hang {
        lasts: Millis,
    },
    Unhang,
    /// The server goes away for a while, and comes back empty or as it was.
    Crash {
        lasts: Millis,
        empty: bool,
    },
    Return,
    /// Another server takes its place, without the last writes.
    Failover {
        loses: Millis,
    },
    /// Writes are refused for a while.
    Full {
        lasts: Millis,
    },
    Room,
    /// Everything is refused for a while, or writes alone, as by a server that is busy or a replica.
    Refuses {
        lasts: Millis,
        writes_alone: bool,
    },
    Takes,
    /// A proxy answers with an error of its own for a while: to every command that names a key, or to all. With `late`,
    /// the store has taken the command before.
    Fails {
        lasts: Millis,
        key: Option<usize>,
        late: bool,
    },
    Works,
    /// Everything takes longer for a while.
    Lag {
        by: Millis,
        lasts: Millis,
    },
    NoLag,
    Pause {
        process: ProcessId,
        lasts: Millis,
    },
    Resume {
        process: ProcessId,
    },
    Kill {
        process: ProcessId,
    },
    /// All is well from here on.
    Calm,
}

/// How long a client takes to connect again, at most.
const REDIAL: Millis = 20;

impl Inner {
    /// Breaks or mends something.
    pub(crate) fn breaks(&mut self, fault: Fault) {
        match fault {
            Fault::Kill { process } => self.note(What::Killed { process }),
            Fault::Calm => self.note(What::Calm),
            _ => self.note(What::Fault { fault }),
        }
        let now = self.now();
        match fault {
            Fault::Cut {
                process,
                which,
                late,
            } => self.cut(process, which, late),
            Fault::Hang { lasts } => {
                self.server.hung = true;
                self.schedule(now + lasts, Event::Breaks(Fault::Unhang));
            }
            Fault::Unhang => {
                self.server.hung = false;
                for event in std::mem::take(&mut self.server.waiting) {
                    self.happen(event);
                }
                self.redial_all();
            }
            Fault::Crash { lasts, empty } => {
                self.server.down = true;
                self.server.waiting.clear();
                if empty {
                    self.store = Store::default();
                    self.note(What::Forgot { since: None });
                }
                self.cut_all();
                self.schedule(now + lasts, Event::Breaks(Fault::Return));
            }
            Fault::Return => {
                self.server.down = false;
                self.redial_all();
            }
            Fault::Failover { loses } => self.failover(now.saturating_sub(loses)),
            Fault::Full { lasts } => {
                self.server.full = true;
                self.schedule(now + lasts, Event::Breaks(Fault::Room));
            }
            Fault::Room => self.server.full = false,
            Fault::Refuses {
                lasts,
                writes_alone,
            } => {
                self.server.refuses = Some(writes_alone);
                self.schedule(now + lasts, Event::Breaks(Fault::Takes));
            }
            Fault::Takes => self.server.refuses = None,
            Fault::Fails { lasts, key, late } => {
                self.server.fails = Some((key.map(id), late));
                self.schedule(now + lasts, Event::Breaks(Fault::Works));
            }
            Fault::Works => self.server.fails = None,
            Fault::Lag { by, lasts } => {
                self.server.lag = by;
                self.schedule(now + lasts, Event::Breaks(Fault::NoLag));
            }
            Fault::NoLag => self.server.lag = 0,
            Fault::Pause { process, lasts } => {
                if self.peers[process].life == Life::Runs {
                    self.peers[process].live(Life::Paused);
                    self.schedule(now + lasts, Event::Breaks(Fault::Resume { process }));
                }
            }
            Fault::Resume { process } => self.resume(process),
            Fault::Kill { process } => {
                self.peers[process].live(Life::Dead);
                let late = self.random.bool();
                self.cut(process, Which::Commands, late);
                self.cut(process, Which::Subscriptions, late);
            }
            Fault::Calm => {}
        }
    }

    fn resume(&mut self, process: ProcessId) {
        if self.peers[process].life != Life::Paused {
            return;
        }
        self.peers[process].live(Life::Runs);
        for event in std::mem::take(&mut self.peers[process].kept) {
            self.comes_back(event);
        }
    }

    /// Another server, which has not everything, takes over; its clients find it at once.
    fn failover(&mut self, since: Millis) {
        // Each is of the moment before a write: the first one after `since` has all until then.
        let then = self.snapshots.iter().find(|(at, _)| *at > since);
        if let Some((_, store)) = then {
            self.store = store.clone();
            self.note(What::Forgot { since: Some(since) });
        }
        self.server.waiting.clear();
        self.cut_all();
    }

    fn cut_all(&mut self) {
        for process in 0..self.peers.len() {
            self.cut(process, Which::Commands, false);
            self.cut(process, Which::Subscriptions, false);
        }
    }

    fn cut(&mut self, process: ProcessId, which: Which, late: bool) {
        let peer = &mut self.peers[process];
        let connection = peer.connection(which);
        connection.epoch += 1;
        connection.late = late;
        // The next connection knows nothing of this one: what is late may be overtaken.
        (connection.last_in, connection.last_out) = (0, 0);
        connection.up.set(false);
        match which {
            // Dropped senders are connections lost.
            Which::Commands => peer.pending.clear(),
            Which::Subscriptions => {
                peer.hears.clear();
                peer.board.gap();
                peer.tracks.clear();
                peer.changed.clear();
                peer.trackers.gap();
                self.note(What::Deaf { process });
            }
        }
        self.redial(process, which);
    }

    fn redial(&mut self, process: ProcessId, which: Which) {
        let at = self.now() + self.random.u64(1..=REDIAL);
        self.schedule(at, Event::Dialled { process, which });
    }

    fn redial_all(&mut self) {
        for process in 0..self.peers.len() {
            for which in [Which::Commands, Which::Subscriptions] {
                if !self.peers[process].connection(which).up.is_open() {
                    self.redial(process, which);
                }
            }
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cut {
                process,
                which,
                late,
            } => {
                let how = if *late { ", what was sent arrives" } else { "" };
                write!(f, "the connection of p{process} for {which:?} breaks{how}")
            }
            Self::Hang { lasts } => write!(f, "the server hangs for {lasts} ms"),
            Self::Unhang => f.write_str("the server goes on"),
            Self::Crash { lasts, empty } => {
                let how = if *empty { ", and forgets" } else { "" };
                write!(f, "the server is away for {lasts} ms{how}")
            }
            Self::Return => f.write_str("the server is back"),
            Self::Failover { loses } => {
                write!(f, "another server takes over, without the last {loses} ms")
            }
            Self::Full { lasts } => write!(f, "the server is full for {lasts} ms"),
            Self::Room => f.write_str("the server has room"),
            Self::Refuses {
                lasts,
                writes_alone,
            } => {
                let what = if *writes_alone {
                    "writes"
                } else {
                    "everything"
                };
                write!(f, "the server refuses {what} for {lasts} ms")
            }
            Self::Takes => f.write_str("the server refuses nothing any more"),
            Self::Fails { lasts, key, late } => {
                let of = key.map_or("every command".to_owned(), |key| {
                    format!("commands for {}", id(key))
                });
                let how = if *late { ", which takes effect" } else { "" };
                write!(f, "a proxy fails {of}{how}, for {lasts} ms")
            }
            Self::Works => f.write_str("the proxy works"),
            Self::Lag { by, lasts } => write!(f, "messages take {by} ms more for {lasts} ms"),
            Self::NoLag => f.write_str("messages are as fast as before"),
            Self::Pause { process, lasts } => write!(f, "p{process} is paused for {lasts} ms"),
            Self::Resume { process } => write!(f, "p{process} goes on"),
            Self::Kill { process } => write!(f, "p{process} is killed"),
            Self::Calm => f.write_str("all faults are over"),
        }
    }
}
