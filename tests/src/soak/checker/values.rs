//! Every value ever made, and whether a call may have had it.

use std::collections::{HashMap, VecDeque};

use super::{Trouble, Troubles};
use crate::soak::clock::Micros;
use crate::soak::stamp::{Maker, Stamp};
use crate::soak::wire::{Call, Does, End, How, Outcome, What};

/// How many writes of one process to one key are remembered: more than there are in the longest call.
const WRITES: usize = 512;

/// What is known of values.
#[derive(Debug, Default)]
pub(super) struct Values {
    made: HashMap<Maker, Made>,
    writes: HashMap<(u32, u32), VecDeque<Write>>,
}

#[derive(Debug)]
struct Made {
    key: u32,
    /// None until there is a value, or if there never is.
    nonce: Option<u64>,
    began: Micros,
    how: Option<How>,
    /// When a write was done; for one whose effect is not known, never.
    done: Option<Micros>,
}

#[derive(Debug, Clone, Copy)]
struct Write {
    began: Micros,
    ended: Micros,
}

impl Values {
    pub(super) fn observe(
        &mut self,
        process: u32,
        at: Micros,
        what: &What,
        troubles: &mut Troubles,
    ) {
        let maker = |number| Maker { process, number };
        match *what {
            What::Computing { number, key, .. } => {
                self.begin(maker(number), key, at, None, None);
            }
            What::Computed {
                number,
                outcome: Outcome::Made { nonce },
                ..
            } => {
                if let Some(made) = self.made.get_mut(&maker(number)) {
                    made.nonce = Some(nonce);
                }
            }
            What::Writing {
                number,
                key,
                how,
                nonce,
            } => {
                let value = (how != How::Invalidate).then_some(nonce);
                self.begin(maker(number), key, at, Some(how), value);
            }
            What::Wrote { number, done: true } => self.wrote(maker(number), at),
            What::Called(ref call) => self.called(process, call, troubles),
            _ => {}
        }
    }

    fn begin(&mut self, maker: Maker, key: u32, at: Micros, how: Option<How>, nonce: Option<u64>) {
        let made = Made {
            key,
            nonce,
            began: at,
            how,
            done: None,
        };
        self.made.insert(maker, made);
    }

    fn wrote(&mut self, maker: Maker, at: Micros) {
        let Some(made) = self.made.get_mut(&maker) else {
            return;
        };
        made.done = Some(at);
        // An external program leaves older computes alone.
        if made.how == Some(How::Resolve) {
            return;
        }
        let writes = self.writes.entry((maker.process, made.key)).or_default();
        writes.push_back(Write {
            began: made.began,
            ended: at,
        });
        if writes.len() > WRITES {
            writes.pop_front();
        }
    }

    fn called(&mut self, process: u32, call: &Call, troubles: &mut Troubles) {
        let key = call.key;
        match &call.end {
            End::Value(stamp) => {
                self.received(process, call, *stamp, troubles);
                if let Some(own) = call.made
                    && stamp.maker
                        != (Maker {
                            process,
                            number: own,
                        })
                {
                    troubles.add(Trouble::LostResult, || {
                        let got = stamp.maker.name();
                        format!("R3: a call of k{key} made {process}.{own} and got {got}")
                    });
                }
            }
            End::Garbage(beginning) => troubles.add(Trouble::WrongValue, || {
                format!("worker {process} asked for k{key} and got garbage: {beginning:?}")
            }),
            End::Error(kind) if call.made.is_some() && call.does != Does::External => {
                troubles.add(Trouble::LostResult, || {
                    format!(
                        "R3: a call of k{key} by worker {process} made a value and got `{kind}`"
                    )
                });
            }
            _ => {}
        }
    }

    fn received(&self, process: u32, call: &Call, stamp: Stamp, troubles: &mut Troubles) {
        let (key, name) = (call.key, stamp.maker.name());
        let mut wrong = |why: &str| {
            troubles.add(Trouble::WrongValue, || {
                format!("worker {process} asked for k{key} and got {name}, {why}")
            });
        };
        if !stamp.is_for(key) {
            return wrong(&format!("which says that it is for k{}", stamp.key));
        }
        let Some(made) = self.made.get(&stamp.maker) else {
            return wrong("which nobody made");
        };
        if made.key != key {
            return wrong(&format!("which was made for k{}", made.key));
        }
        if made.nonce != Some(stamp.nonce) {
            return wrong("which was not made like that");
        }
        // From when on it was older than whatever is written. What an external program stores, and a write of
        // unknown effect, may come at any time; writes that overlap, in any order.
        let old = match (made.how, made.done) {
            (None, _) => made.began,
            (Some(How::Put), Some(done)) => done,
            _ => return,
        };
        let writes = self.writes.get(&(process, key));
        let before = writes.and_then(|writes| {
            let before = writes.iter().filter(|write| write.ended < call.began);
            before.max_by_key(|write| write.began)
        });
        if let Some(write) = before
            && old < write.began
        {
            troubles.add(Trouble::StaleValue, || {
                let (old, ago) = (write.began - old, call.began - write.ended);
                format!(
                    "R4: worker {process} asked for k{key} and got {name}, older by {old} us than a \
                     write that was over {ago} us before the call ({:?}, {} us)",
                    call.does, call.began
                )
            });
        }
    }
}
