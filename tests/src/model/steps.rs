//! What comes of each step that is no fault.

use std::time::Duration;

use memolock::core::{
    Acquired, Completion, Event, Fulfilled, Input, Message, Notice, Output, PutMode, Timestamp,
};

use super::action::{Action, Answer, Ending};
use super::process::{Ear, End, Letter, Life, Reply, Work};
use super::scenario::Fault;
use super::search::Broken;
use super::store::Made;
use super::world::World;

/// Values outlive every run.
const TTL: Duration = Duration::from_secs(60);

impl World {
    /// What comes of an action.
    pub(super) fn take(mut self, action: Action) -> Result<Self, Broken> {
        match action {
            Action::Start(p) => {
                let begun = self.store.epoch;
                let process = &mut self.processes[p];
                process.life = Life::Running;
                process.notes.begun = begun;
                self.pursue(p)?;
            }
            Action::Effect(p) => self.effect(p)?,
            Action::Reply(p) => self.reply(p)?,
            Action::Hear(p) => {
                let ear = self.processes[p].ear.as_mut();
                if let Some(event) = ear.and_then(|ear| ear.mail.pop_front())
                    && let Some(input) = self.sift(p, Input::Heard(event))?
                {
                    self.believe(p, &input);
                    self.feed(p, input)?;
                }
            }
            Action::Elapse(p) => self.feed(p, Input::Elapsed)?,
            Action::LeaseLost(p) => self.feed(p, Input::LeaseLost)?,
            Action::Renew(p) => self.renew(p, true),
            Action::End(p, ending) => self.end(p, ending)?,
            Action::Program(i, answer) => self.answer(i, answer),
            Action::Advance => self.advance(),
            Action::Resume(p) => {
                self.processes[p].life = Life::Running;
                self.end_leases();
            }
            Action::Reconnect(p) => {
                if let Some(ear) = &mut self.processes[p].ear {
                    ear.deaf = false;
                    ear.mail.push_back(Event::Resumed);
                }
            }
            Action::RunOut(p) => self.leave(p)?,
            Action::Fault(trouble, p) => self.strike(trouble, p)?,
        }
        self.tidy();
        Ok(self)
    }

    /// Who holds a lease for a program and hears of an end takes it for the end of its own.
    fn believe(&mut self, p: usize, input: &Input) {
        let ends = matches!(input, Input::Heard(Event::Message(message)) if *message != Message::Notice(Notice::Released));
        let process = &self.processes[p];
        if ends && (process.machine.held().is_some() || process.notes.let_go.is_some()) {
            let own = self
                .programs
                .iter_mut()
                .filter(|program| program.process == p);
            own.for_each(|program| program.disowned = true);
        }
    }

    fn effect(&mut self, p: usize) -> Result<(), Broken> {
        let Some(letter) = self.processes[p].wire.pop_front() else {
            return Ok(());
        };
        let input = self.carry_out(p, &letter)?;
        if letter.awaited && self.processes[p].life != Life::Crashed {
            let at = self.now;
            self.processes[p].reply = Some(Reply { input, at });
        }
        Ok(())
    }

    /// What the store does.
    fn carry_out(&mut self, p: usize, letter: &Letter) -> Result<Input, Broken> {
        let now = self.now;
        Ok(match &letter.command {
            Output::Acquire { token, lease } => {
                let over = letter.over.as_ref();
                Input::Acquired(Ok(self.store.acquire(now, *token, *lease, over)))
            }
            Output::Subscribe => {
                if letter.awaited && self.processes[p].life != Life::Crashed {
                    self.processes[p].ear = Some(Ear::default());
                }
                Input::Subscribed(Ok(()))
            }
            Output::Fulfil { token, value, .. } => {
                let fulfilled = self.store.fulfil(*token, value);
                if fulfilled == Fulfilled::Stored {
                    self.judge_stored(p, Made::of(value))?;
                    self.processes[p].notes.stored = true;
                    self.publish(&Message::Value(value.clone()));
                }
                Input::Fulfilled(Ok(fulfilled))
            }
            Output::Release { token, notice } => {
                let ours = self.store.release(*token);
                if let (true, Some(notice)) = (ours, notice) {
                    self.publish(&Message::Notice(notice.clone()));
                }
                Input::Released(Ok(ours))
            }
            _ => Input::Probed(Ok(self.store.value.clone())),
        })
    }

    fn reply(&mut self, p: usize) -> Result<(), Broken> {
        let now = self.now;
        let process = &mut self.processes[p];
        let Some(Reply { input, at }) = process.reply.take() else {
            return Ok(());
        };
        match &input {
            Input::Acquired(Ok(Acquired::Held(_))) => process.notes.late = now.since(at),
            Input::Subscribed(Err(_)) => process.ear = None,
            _ => {}
        }
        match self.sift(p, input)? {
            Some(input) => self.feed(p, input),
            None => Ok(()),
        }
    }

    /// The heartbeat renews, and is told what came of it, or not.
    pub(super) fn renew(&mut self, p: usize, told: bool) {
        let now = self.now;
        let Some(beating) = &mut self.processes[p].beat else {
            return;
        };
        let Some(lease) = beating.clock.renewal(now) else {
            return;
        };
        match (self.store.renew(now, beating.token, lease), told) {
            (_, false) => self.unanswered(p),
            (true, true) => beating.clock.renewed(now, lease),
            (false, true) => beating.lost = true,
        }
    }

    /// A renewal without an answer: soon once more, until the lease must be over.
    pub(super) fn unanswered(&mut self, p: usize) {
        let now = self.now;
        if let Some(beating) = &mut self.processes[p].beat {
            beating.lost = beating.clock.unanswered(now);
        }
    }

    fn end(&mut self, p: usize, ending: Ending) -> Result<(), Broken> {
        let process = &mut self.processes[p];
        let Some(work) = process.work.take() else {
            return Ok(());
        };
        process.product = ending.end();
        let epoch = match work {
            Work::Compute { epoch, .. } => epoch,
            Work::Trigger => {
                let reply = match ending {
                    Ending::Triggered => Ok(()),
                    _ => Err("no".to_owned()),
                };
                if reply.is_err() {
                    self.drop_program(p);
                }
                return self.feed(p, Input::Triggered(reply));
            }
        };
        let by = u8::try_from(p).unwrap_or(u8::MAX);
        let completion = match process.product {
            Some(End::Value) => Completion::Value {
                value: Made { by, epoch }.bytes(),
                ttl: TTL,
            },
            Some(End::Failed) => Completion::Failed("no".to_owned()),
            Some(End::Panicked) => Completion::Panicked,
            _ => Completion::Unstored,
        };
        self.feed(p, Input::Computed(completion))
    }

    /// The program that the process has just triggered has not been started after all.
    pub(super) fn drop_program(&mut self, p: usize) {
        if let Some(i) = self
            .programs
            .iter()
            .rposition(|program| program.process == p)
        {
            self.programs.remove(i);
        }
    }

    fn answer(&mut self, i: usize, answer: Answer) {
        self.programs.remove(i);
        match answer {
            Answer::Resolves => {
                let value = Made::outside(self.store.epoch).bytes();
                self.store.put(value.clone(), PutMode::Resolve);
                self.publish(&Message::Value(value));
            }
            Answer::Fails => self.publish(&Message::Notice(Notice::failed("no"))),
            Answer::Vanishes => {}
        }
    }

    fn advance(&mut self) {
        match (self.is_urgent(), self.is_busy()) {
            (true, _) => self.left.take(Fault::Lag),
            (false, true) => self.moments -= 1,
            (false, false) => {}
        }
        let next: Option<Timestamp> = self.next_moment();
        self.now = next.unwrap_or(self.now);
        self.store.expire(self.now);
        self.end_leases();
    }

    /// The heartbeats keep no lease for longer than they may.
    fn end_leases(&mut self) {
        let now = self.now;
        for process in self.processes.iter_mut().filter(|process| process.runs()) {
            if let Some(beat) = &mut process.beat {
                beat.lost |= now >= beat.clock.ends();
            }
        }
    }
}
