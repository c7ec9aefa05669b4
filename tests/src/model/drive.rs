//! What a driver does with its machine: one output becomes one input, and when the callers are gone or
//! answered, what remains is cleaned up.

use bytes::Bytes;
use memolock::core::{Acquired, Event, Input, LeaseClock, Message, Outcome, Output, Token};

use super::process::{Beat, Draws, Letter, Work, name, owner};
use super::scenario::LEASE;
use super::search::Broken;
use super::store::Made;
use super::world::{Program, World};

impl World {
    /// Feeds one input and goes on to whatever is to be waited for next.
    pub(super) fn feed(&mut self, p: usize, input: Input) -> Result<(), Broken> {
        let now = self.now;
        let process = &mut self.processes[p];
        process.note(now, &input);
        let from = process.machine.state_name();
        let held = process.machine.held();
        let times_out = from == "attending" && matches!(input, Input::Elapsed);
        let draws = &mut process.notes.draws;
        process
            .machine
            .handle(now, input, &mut Draws { process: p, draws });
        // A program may still be at it: the lock is left to expire on purpose.
        let waited = matches!(from, "attending" | "verifying");
        if waited
            && matches!(
                process.outcome(),
                Some(Outcome::Backend(_) | Outcome::Abandoned)
            )
        {
            process.notes.excused = true;
        }
        if times_out && process.machine.held().is_none() {
            process.notes.let_go = held.map(|held| held.token);
        }
        self.keep(p);
        self.pursue(p)
    }

    /// Brings the heartbeat into line, as the engine does.
    fn keep(&mut self, p: usize) {
        let now = self.now;
        let process = &mut self.processes[p];
        let held = process.machine.held();
        let holds = process.notes.holds.map(|(token, _)| token);
        if held.map(|held| held.token) != holds {
            process.notes.holds = held.map(|held| (held.token, now));
        }
        let max = process.machine.limits().max_lease;
        let kept = process.beat.map(|beat| (beat.token, beat.since));
        if held.map(|held| (held.token, held.since)) != kept {
            process.beat = held.map(|held| {
                let clock = LeaseClock::new(held.since, held.began, LEASE, max);
                Beat {
                    token: held.token,
                    since: held.since,
                    lost: now >= clock.ends(),
                    clock,
                }
            });
        }
    }

    /// Does what the machine asks for now.
    pub(super) fn pursue(&mut self, p: usize) -> Result<(), Broken> {
        let process = &mut self.processes[p];
        if !process.landed && process.outcome().is_some() {
            process.landed = true;
            self.judge_landing(p)?;
            self.processes[p].callers.clear();
            return self.feed(p, Input::Abandoned);
        }
        let epoch = self.store.epoch;
        let process = &mut self.processes[p];
        let cleans = process.callers.is_empty();
        match process.machine.output() {
            command @ (Output::Fulfil { .. } | Output::Release { .. }) => self.send(p, command),
            Output::Pause | Output::Rest => Ok(()),
            other if cleans => Err(Broken::new(
                "R9",
                format!("p{p}: nobody is left, and it asks for {other:?}"),
            )),
            command @ (Output::Probe | Output::Acquire { .. } | Output::Subscribe) => {
                self.send(p, command)
            }
            Output::Compute { lease } => {
                let under = lease.map(|held| held.token);
                process.work = Some(Work::Compute { under, epoch });
                self.judge_compute(p, under)
            }
            Output::Trigger => {
                process.work = Some(Work::Trigger);
                self.trigger(p)
            }
            _ => Ok(()),
        }
    }

    fn trigger(&mut self, p: usize) -> Result<(), Broken> {
        let Some(held) = self.processes[p].machine.held() else {
            return Err(Broken::new(
                "R1",
                format!("p{p}: a trigger without a lease"),
            ));
        };
        self.judge_trigger(p, held.token)?;
        self.programs.push(Program {
            process: p,
            token: held.token,
            disowned: false,
        });
        Ok(())
    }

    fn send(&mut self, p: usize, command: Output) -> Result<(), Broken> {
        match &command {
            Output::Acquire { token, .. } | Output::Release { token, .. } => own(p, *token)?,
            Output::Fulfil { token, .. } => {
                own(p, *token)?;
                self.judge_fulfil(p)?;
            }
            _ => {}
        }
        let process = &mut self.processes[p];
        let over = process.passed.clone();
        process.wire.push_back(Letter {
            command,
            awaited: true,
            over,
        });
        Ok(())
    }

    /// Whether a value is of the process's own version. What was put from outside is of all of them.
    pub(super) fn passes(&self, p: usize, value: &Bytes) -> bool {
        Made::of(value).is_none_or(|made| {
            let maker = self.processes.get(usize::from(made.by));
            !made.is_foreign()
                && maker.is_none_or(|maker| maker.version == self.processes[p].version)
        })
    }

    /// What a driver makes of an input that may bring a value of another version. None: it has asked once more.
    pub(super) fn sift(&mut self, p: usize, input: Input) -> Result<Option<Input>, Broken> {
        let value = match &input {
            Input::Probed(Ok(Some(value)))
            | Input::Acquired(Ok(Acquired::Value(value)))
            | Input::Heard(Event::Message(Message::Value(value))) => value.clone(),
            _ => return Ok(Some(input)),
        };
        if self.passes(p, &value) {
            return Ok(Some(input));
        }
        let known = self.processes[p].passed.replace(value.clone()) == Some(value);
        match input {
            Input::Probed(_) => Ok(Some(Input::Probed(Ok(None)))),
            Input::Heard(_) => Ok(Some(Input::PassedOver { known })),
            // Over that one, with the same token.
            _ => self.pursue(p).map(|()| None),
        }
    }
}

/// Nobody may take, use or give back a lease by a token that is not theirs.
fn own(p: usize, token: Token) -> Result<(), Broken> {
    match owner(token) == Some(p) {
        true => Ok(()),
        false => Err(Broken::new(
            "R5",
            format!("p{p} uses the token {}", name(token)),
        )),
    }
}
