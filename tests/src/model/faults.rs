//! What comes of each fault.

use memolock::core::{
    BackendError, ErrorKind, Event, Input, Message, Notice, Operation, Output, PutMode,
};

use super::action::{Trouble, Wire};
use super::process::{Life, Reply, Work};
use super::scenario::Fault;
use super::search::Broken;
use super::store::Made;
use super::world::World;

impl World {
    /// What comes of a fault.
    pub(super) fn strike(&mut self, trouble: Trouble, p: usize) -> Result<(), Broken> {
        self.left.take(trouble.fault());
        match trouble {
            Trouble::Crash(fate) => {
                let process = &mut self.processes[p];
                process.life = Life::Crashed;
                process
                    .wire
                    .iter_mut()
                    .for_each(|letter| letter.awaited = false);
                if fate == Wire::Cut {
                    process.wire.pop_back();
                }
                (process.work, process.reply, process.beat) = (None, None, None);
                process.callers.clear();
            }
            Trouble::Cancel(fate) => {
                if fate == Wire::Cut {
                    self.processes[p].wire.pop_back();
                }
                self.leave(p)?;
            }
            Trouble::Request(kind) => self.fail(p, kind, false),
            Trouble::Reply(kind) => {
                let at = self.now;
                let process = &mut self.processes[p];
                if let Some(Reply { input, .. }) = process.reply.take() {
                    let input = unanswered(&input, kind);
                    process.reply = Some(Reply { input, at });
                }
            }
            Trouble::Late => self.fail(p, ErrorKind::Timeout, true),
            Trouble::Renewal(Wire::Kept) => self.renew(p, false),
            Trouble::Renewal(Wire::Cut) => self.unanswered(p),
            Trouble::Refuse => self.fail(p, ErrorKind::Refused, false),
            Trouble::Gap(heard) => self.cut_off(p, usize::from(heard)),
            Trouble::Silence => {
                self.processes[p].ear = None;
                let error = BackendError::new(ErrorKind::Unavailable, Operation::Subscribe, "");
                self.feed(p, Input::Silenced(error))?;
            }
            Trouble::Pause => self.processes[p].life = Life::Paused,
            Trouble::Invalidate => {
                self.store.invalidate();
                self.publish(&Message::Notice(Notice::Invalidated));
            }
            Trouble::Put => {
                self.store.epoch += 1;
                let value = Made::outside(self.store.epoch).bytes();
                self.store.put(value.clone(), PutMode::Override);
                self.publish(&Message::Value(value));
            }
            Trouble::Expire => self.store.value = None,
            Trouble::Repeat | Trouble::Same => {
                if trouble == Trouble::Same {
                    self.store.unlock();
                }
                if let Some(value) = self.store.value.clone() {
                    self.publish(&Message::Value(value));
                }
            }
            Trouble::Restart => self.restart(),
        }
        Ok(())
    }

    /// The caller that drives leaves. Another one takes over, or the flight is cleaned up.
    pub(super) fn leave(&mut self, p: usize) -> Result<(), Broken> {
        if matches!(self.processes[p].work, Some(Work::Trigger)) {
            self.drop_program(p);
        }
        let process = &mut self.processes[p];
        process
            .wire
            .iter_mut()
            .for_each(|letter| letter.awaited = false);
        // A subscription that nobody waited for is dropped with the future.
        if process.reply.take().is_some() && process.machine.output() == Output::Subscribe {
            process.ear = None;
        }
        process.work = None;
        process.notes.computed = false;
        process.notes.fulfils = 0;
        process.callers.remove(0);
        let lost = process.beat.is_some_and(|beat| beat.lost);
        let input = match process.callers.first() {
            Some(&mode) => Input::Adopted { mode, lost },
            None => Input::Abandoned,
        };
        self.feed(p, input)
    }

    /// The command that is waited for fails; `late` leaves it on the wire.
    fn fail(&mut self, p: usize, kind: ErrorKind, late: bool) {
        let process = &mut self.processes[p];
        let Some(mut letter) = process.wire.pop_back() else {
            return;
        };
        let input = failure(&letter.command, kind);
        if late {
            letter.awaited = false;
            process.wire.push_back(letter);
        }
        process.reply = Some(Reply {
            input,
            at: self.now,
        });
    }

    /// The subscription breaks: the first `heard` of what is under way still come.
    fn cut_off(&mut self, p: usize, heard: usize) {
        if let Some(ear) = &mut self.processes[p].ear {
            ear.mail.truncate(heard);
            ear.mail.push_back(Event::Gap);
            ear.deaf = true;
        }
    }

    fn restart(&mut self) {
        self.store.value = None;
        self.store.unlock();
        for p in 0..self.processes.len() {
            self.cut_off(p, 0);
            let asked = self.processes[p]
                .wire
                .back()
                .is_some_and(|letter| letter.awaited);
            if asked {
                self.fail(p, ErrorKind::Unavailable, false);
            }
            let process = &mut self.processes[p];
            process.wire.clear();
            if let Some(Reply { input, .. }) = &mut process.reply {
                *input = unanswered(input, ErrorKind::Unavailable);
            }
        }
    }
}

impl Trouble {
    fn fault(self) -> Fault {
        match self {
            Self::Crash(_) => Fault::Crash,
            Self::Cancel(_) => Fault::Cancel,
            Self::Request(ErrorKind::Unrecognized) | Self::Reply(ErrorKind::Unrecognized) => {
                Fault::Unknown
            }
            Self::Request(_) | Self::Reply(_) | Self::Late | Self::Renewal(_) => Fault::Lose,
            Self::Refuse => Fault::Refuse,
            Self::Gap(_) => Fault::Gap,
            Self::Silence => Fault::Silence,
            Self::Pause => Fault::Pause,
            Self::Invalidate => Fault::Invalidate,
            Self::Put => Fault::Put,
            Self::Expire => Fault::Expire,
            Self::Repeat => Fault::Repeat,
            Self::Same => Fault::Same,
            Self::Restart => Fault::Restart,
        }
    }
}

fn failure(command: &Output, kind: ErrorKind) -> Input {
    let error = |operation| BackendError::new(kind, operation, "");
    match command {
        Output::Acquire { .. } => Input::Acquired(Err(error(Operation::Acquire))),
        Output::Subscribe => Input::Subscribed(Err(error(Operation::Subscribe))),
        Output::Fulfil { .. } => Input::Fulfilled(Err(error(Operation::Fulfil))),
        Output::Release { .. } => Input::Released(Err(error(Operation::Release))),
        _ => Input::Probed(Err(error(Operation::Get))),
    }
}

/// The same command's failure in place of its answer.
fn unanswered(input: &Input, kind: ErrorKind) -> Input {
    let error = |operation| BackendError::new(kind, operation, "");
    match input {
        Input::Acquired(_) => Input::Acquired(Err(error(Operation::Acquire))),
        Input::Subscribed(_) => Input::Subscribed(Err(error(Operation::Subscribe))),
        Input::Fulfilled(_) => Input::Fulfilled(Err(error(Operation::Fulfil))),
        Input::Released(_) => Input::Released(Err(error(Operation::Release))),
        _ => Input::Probed(Err(error(Operation::Get))),
    }
}
