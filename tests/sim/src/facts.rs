//! A history, read once: who called, who computed, and what the store did.

use std::collections::BTreeMap;

use memolock::core::Key;

use crate::codec::plain;
use crate::fault::Fault;
use crate::history::{CallId, ComputeId, End, History, ProcessId, What};
use crate::store::{Answer, Channel, Millis, Op};
use crate::world::Outcome;

/// A place in the history, and the time there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Moment {
    pub(crate) nth: usize,
    pub(crate) at: Millis,
}

#[derive(Debug, Clone)]
pub(crate) struct CallFact {
    pub(crate) process: ProcessId,
    pub(crate) key: usize,
    pub(crate) does: &'static str,
    pub(crate) began: Moment,
    /// When it was over, and how: nothing if it was dropped.
    pub(crate) over: Option<(Moment, Option<End>)>,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct ComputeFact {
    pub(crate) call: CallId,
    pub(crate) process: ProcessId,
    pub(crate) key: usize,
    pub(crate) leased: bool,
    /// It needs a place among the computes without a lease.
    pub(crate) placed: bool,
    pub(crate) began: Moment,
    /// When it was over, and whether a value came of it.
    pub(crate) over: Option<(Moment, bool)>,
}

#[derive(Debug)]
pub(crate) struct EffectFact<'a> {
    pub(crate) when: Moment,
    pub(crate) process: ProcessId,
    pub(crate) op: &'a Op,
    pub(crate) answer: &'a Answer,
}

/// What a memolock asked, and what it was told if it still listened.
#[derive(Debug)]
pub(crate) struct AskFact<'a> {
    pub(crate) when: Moment,
    pub(crate) process: ProcessId,
    pub(crate) op: &'a Op,
    pub(crate) told: Option<(Moment, &'a Outcome)>,
}

/// What the store published.
#[derive(Debug)]
pub(crate) struct Publication<'a> {
    pub(crate) when: Moment,
    pub(crate) key: &'a Key,
    pub(crate) channel: Channel,
    pub(crate) payload: &'a [u8],
}

/// What was said of a key, when it reached a process.
#[derive(Debug)]
pub(crate) struct HeardFact<'a> {
    pub(crate) when: Moment,
    pub(crate) process: ProcessId,
    pub(crate) key: &'a Key,
}

/// All of it.
#[derive(Debug, Default)]
pub(crate) struct Facts<'a> {
    pub(crate) calls: BTreeMap<CallId, CallFact>,
    pub(crate) computes: BTreeMap<ComputeId, ComputeFact>,
    /// Computes that were dropped before their end, and when.
    pub(crate) left: BTreeMap<ComputeId, Moment>,
    /// When a compute called again, and when it went on.
    pub(crate) nests: BTreeMap<ComputeId, (Moment, Option<Moment>)>,
    pub(crate) effects: Vec<EffectFact<'a>>,
    /// In the order in which they were asked.
    pub(crate) asks: BTreeMap<u64, AskFact<'a>>,
    pub(crate) publications: Vec<Publication<'a>>,
    pub(crate) heard: Vec<HeardFact<'a>>,
    /// Calls that a near cache answered, and when.
    pub(crate) near: Vec<(Moment, CallId)>,
    /// That a value has changed, when it reached a process; and how far the history was when it was sent.
    pub(crate) changed: Vec<(HeardFact<'a>, usize)>,
    /// When what was told to a process was lost.
    pub(crate) deaf: Vec<(Moment, ProcessId)>,
    pub(crate) faults: Vec<(Moment, Fault)>,
    pub(crate) killed: BTreeMap<ProcessId, Moment>,
    pub(crate) closed: BTreeMap<ProcessId, Moment>,
    /// When the store lost something.
    pub(crate) forgot: Vec<Moment>,
    /// When it became empty: the others took over with what they had.
    pub(crate) emptied: Vec<Moment>,
    pub(crate) calm: Option<Moment>,
    /// Who triggered what, and when.
    pub(crate) triggered: Vec<(Moment, ProcessId, usize)>,
}

impl<'a> Facts<'a> {
    pub(crate) fn read(history: &'a History) -> Self {
        let mut facts = Self::default();
        for (nth, entry) in history.entries.iter().enumerate() {
            let when = Moment { nth, at: entry.at };
            facts.add(when, &entry.what);
        }
        facts
    }

    fn add(&mut self, when: Moment, what: &'a What) {
        match what {
            What::CallBegan {
                call,
                process,
                key,
                does,
            } => {
                let fact = CallFact {
                    process: *process,
                    key: *key,
                    does,
                    began: when,
                    over: None,
                };
                self.calls.insert(*call, fact);
            }
            What::CallEnded { call, end } => self.call_over(*call, when, Some(end.clone())),
            What::CallLeft { call } => self.call_over(*call, when, None),
            What::ComputeBegan {
                compute,
                call,
                process,
                key,
                leased,
                placed,
            } => {
                let fact = ComputeFact {
                    call: *call,
                    process: *process,
                    key: *key,
                    leased: *leased,
                    placed: *placed,
                    began: when,
                    over: None,
                };
                self.computes.insert(*compute, fact);
            }
            What::ComputeEnded { compute, well } => self.compute_over(*compute, when, *well),
            What::NestBegan { compute } => {
                self.nests.insert(*compute, (when, None));
            }
            What::NestEnded { compute } => {
                if let Some((_, ended)) = self.nests.get_mut(compute) {
                    *ended = Some(when);
                }
            }
            What::Triggered { process, key, .. } => self.triggered.push((when, *process, *key)),
            What::ComputeLeft { compute } => {
                self.left.insert(*compute, when);
                self.compute_over(*compute, when, false);
            }
            What::Effect {
                process,
                op,
                answer,
            } => self.effects.push(EffectFact {
                when,
                process: *process,
                op,
                answer,
            }),
            What::Asked { ask, process, op } => {
                let fact = AskFact {
                    when,
                    process: *process,
                    op,
                    told: None,
                };
                self.asks.insert(*ask, fact);
            }
            What::Answered { ask, outcome, .. } => {
                if let Some(fact) = self.asks.get_mut(ask) {
                    fact.told = Some((when, outcome));
                }
            }
            What::Published {
                key,
                channel,
                payload,
            } => self.publications.push(Publication {
                when,
                key,
                channel: *channel,
                payload,
            }),
            What::Heard { process, key, .. } => self.heard.push(HeardFact {
                when,
                process: *process,
                key,
            }),
            What::Near { call } => self.near.push((when, *call)),
            What::Changed { process, key, sent } => {
                let process = *process;
                self.changed.push((HeardFact { when, process, key }, *sent));
            }
            What::Deaf { process } => self.deaf.push((when, *process)),
            What::Forgot { since } => {
                self.forgot.push(when);
                if since.is_none() {
                    self.emptied.push(when);
                }
            }
            What::Killed { process } => {
                self.killed.entry(*process).or_insert(when);
                // Its computes are over, whatever its futures may still do.
                for fact in self.computes.values_mut() {
                    if fact.process == *process && fact.over.is_none() {
                        fact.over = Some((when, false));
                    }
                }
            }
            What::Closed { process } => {
                self.closed.entry(*process).or_insert(when);
            }
            What::Calm => self.calm = Some(when),
            What::Fault { fault } => self.faults.push((when, *fault)),
        }
    }

    fn call_over(&mut self, call: CallId, when: Moment, end: Option<End>) {
        if let Some(fact) = self.calls.get_mut(&call) {
            fact.over = Some((when, end));
        }
    }

    fn compute_over(&mut self, compute: ComputeId, when: Moment, well: bool) {
        if let Some(fact) = self.computes.get_mut(&compute)
            && fact.over.is_none()
        {
            fact.over = Some((when, well));
        }
    }

    /// Whether a process was killed.
    pub(crate) fn is_killed(&self, process: ProcessId) -> bool {
        self.killed.contains_key(&process)
    }

    /// When values of a key were put over others or deleted.
    pub(crate) fn fences(&self, id: &str) -> impl Iterator<Item = Moment> {
        use memolock::core::PutMode;
        let fences = self.effects.iter().filter(move |effect| match effect.op {
            Op::Put(key, _, _, PutMode::Override) | Op::Invalidate(key) => key.id() == id,
            _ => false,
        });
        fences.map(|effect| effect.when)
    }
}

/// Whose value it is and who made it: key, maker, number.
pub(crate) fn maker(value: &str) -> Option<(usize, char, ComputeId)> {
    let rest = value.strip_prefix('k')?;
    let at = rest.find(|c: char| !c.is_ascii_digit())?;
    let (key, made) = rest.split_at(at);
    let maker = made.chars().next()?;
    let number = plain(&made[maker.len_utf8()..]).parse().ok()?;
    Some((key.parse().ok()?, maker, number))
}
