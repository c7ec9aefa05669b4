//! The state machine, with any input at any time and with any data in it.

use std::collections::BTreeSet;

use arbitrary::{Result, Unstructured};
use memolock_core::{
    Acquired, Completion, Deadline, Entropy, FailurePolicy, Fulfilled, Input, Machine, Mode,
    OutagePolicy, Output, Policy, Timestamp, Token,
};

use crate::data;

const MOST_INPUTS: usize = 300;
/// Replies of a store that does all that it is asked, until an abandoned flight is at rest.
const MOST_REPLIES: usize = 4;

/// Nothing panics; the output is a function of the state; an outcome stays; only tokens of its own are
/// acquired, stored under and released; and from wherever it is, an abandoned flight comes to rest.
pub fn machine(data: &[u8]) {
    let mut from = Unstructured::new(data);
    let Ok(mut rig) = Rig::new(&mut from) else {
        return;
    };
    for _ in 0..MOST_INPUTS {
        if from.is_empty() || rig.step(&mut from).is_err() {
            break;
        }
    }
    rig.rest();
}

/// Draws numbers from a seed on, and remembers them.
#[derive(Clone)]
struct Drawn {
    seed: u128,
    tokens: BTreeSet<Token>,
}

impl Entropy for Drawn {
    fn bits(&mut self) -> u128 {
        // A golden ratio apart, so that jitters differ as well.
        self.seed = self
            .seed
            .wrapping_add(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
        self.tokens.insert(Token::from_bits(self.seed));
        self.seed
    }
}

struct Rig {
    machine: Machine,
    now: Timestamp,
    entropy: Drawn,
}

impl Rig {
    fn new(from: &mut Unstructured<'_>) -> Result<Self> {
        let mut policy = Policy::default();
        policy.attempts = from.arbitrary()?;
        policy.failures = *from.choose(&[FailurePolicy::Retry, FailurePolicy::Share])?;
        policy.outage = *from.choose(&[OutagePolicy::Compute, OutagePolicy::Fail])?;
        if from.arbitrary()? {
            policy.lease = data::duration(from)?;
            policy.takeover_jitter = data::duration(from)?;
            policy.retry_jitter = data::duration(from)?;
            policy.outage_pause = data::duration(from)?;
            policy.limits.trigger_timeout = data::duration(from)?;
            policy.limits.max_lease = data::duration(from)?;
        }
        Ok(Self {
            machine: Machine::new(policy, mode(from)?),
            now: Timestamp::ZERO,
            entropy: Drawn {
                seed: from.arbitrary()?,
                tokens: BTreeSet::new(),
            },
        })
    }

    fn step(&mut self, from: &mut Unstructured<'_>) -> Result<()> {
        match from.int_in_range(0..=3_u8)? {
            // A clock may also be told to stand, or to go back.
            0 => self.now = Timestamp::from_origin(data::duration(from)?),
            1 => self.now = self.now.after(data::duration(from)?),
            2 => {
                if let Some(deadline) = self.machine.deadline() {
                    self.now = self.now.max(deadline.at());
                }
            }
            _ => {}
        }
        // As a driver would, three times of four.
        let input = match from.int_in_range(0..=3_u8)? {
            0 => any(from)?,
            _ => fitting(&self.machine.output(), from)?,
        };
        self.feed(input);
        Ok(())
    }

    fn feed(&mut self, input: Input) {
        let (before, said) = (self.machine.clone(), input.clone());
        let (mut twin, mut draws) = (before.clone(), self.entropy.clone());
        self.machine.handle(self.now, input, &mut self.entropy);
        self.consistent(&before, &said);
        twin.handle(self.now, said, &mut draws);
        assert_eq!(twin, self.machine, "it has another memory than its state");
    }

    fn consistent(&self, before: &Machine, input: &Input) {
        let (machine, output) = (&self.machine, self.machine.output());
        let at = || format!("{before:?}\n{input:?}\n{machine:?}");
        assert_eq!(output, machine.clone().output(), "asked twice");
        let rests = machine.state_name() == "settled";
        assert_eq!(output == Output::Rest, rests, "{}", at());
        assert!(!rests || machine.outcome().is_some(), "{}", at());
        if before.outcome().is_some() {
            assert_eq!(machine.outcome(), before.outcome(), "{}", at());
            assert_eq!(machine.held(), None, "{}", at());
        }
        match machine.deadline() {
            Some(Deadline::Takeover(_) | Deadline::Trigger(_)) => {
                assert_eq!(output, Output::Listen, "{}", at());
            }
            Some(_) => assert_eq!(output, Output::Pause, "{}", at()),
            None => assert_ne!(output, Output::Pause, "{}", at()),
        }
        let held = machine.held();
        match &output {
            Output::Acquire { token, .. }
            | Output::Fulfil { token, .. }
            | Output::Release { token, .. } => {
                assert!(self.entropy.tokens.contains(token), "{}", at());
                assert!(held.is_none_or(|held| held.token == *token), "{}", at());
            }
            Output::Compute { lease } => assert_eq!(*lease, held, "{}", at()),
            Output::Trigger => assert!(held.is_some(), "{}", at()),
            Output::Probe | Output::Rest => assert_eq!(held, None, "{}", at()),
            _ => {}
        }
        if let Some(held) = held {
            assert!(self.entropy.tokens.contains(&held.token), "{}", at());
        }
    }

    /// Everybody leaves, and the store does what it is asked.
    fn rest(&mut self) {
        self.feed(Input::Abandoned);
        for _ in 0..MOST_REPLIES {
            let reply = match self.machine.output() {
                Output::Rest => break,
                Output::Fulfil { .. } => Input::Fulfilled(Ok(Fulfilled::Stored)),
                Output::Release { .. } => Input::Released(Ok(true)),
                Output::Pause => {
                    let deadline = self.machine.deadline().expect("a pause has an end");
                    self.now = self.now.max(deadline.at());
                    Input::Elapsed
                }
                other => panic!("{other:?} after everybody left: {:?}", self.machine),
            };
            self.feed(reply);
        }
        assert_eq!(self.machine.output(), Output::Rest, "{:?}", self.machine);
        let outcome = self.machine.outcome().cloned();
        for input in [Input::Elapsed, Input::LeaseLost, Input::Abandoned] {
            self.feed(input);
        }
        assert_eq!(self.machine.outcome(), outcome.as_ref());
    }
}

fn mode(from: &mut Unstructured<'_>) -> Result<Mode> {
    Ok(*from.choose(&[Mode::Read, Mode::Compute, Mode::External])?)
}

/// What can come of an output.
fn fitting(output: &Output, from: &mut Unstructured<'_>) -> Result<Input> {
    Ok(match output {
        Output::Probe => nth(0, from)?,
        Output::Acquire { .. } => nth(1, from)?,
        Output::Subscribe => nth(2, from)?,
        Output::Listen => match from.int_in_range(0..=3_u8)? {
            0 => Input::Elapsed,
            1 => nth(4, from)?,
            _ => nth(3, from)?,
        },
        Output::Pause => Input::Elapsed,
        Output::Compute { .. } => nth(5, from)?,
        Output::Trigger => nth(6, from)?,
        Output::Fulfil { .. } => nth(7, from)?,
        Output::Release { .. } => nth(8, from)?,
        _ => nth(10, from)?,
    })
}

fn any(from: &mut Unstructured<'_>) -> Result<Input> {
    let which = from.int_in_range(0..=12)?;
    nth(which, from)
}

fn nth(which: u8, from: &mut Unstructured<'_>) -> Result<Input> {
    let good = from.ratio(3, 4)?;
    Ok(match which {
        0 if good => Input::Probed(Ok(match from.ratio(1, 4)? {
            true => Some(data::bytes(from)?),
            false => None,
        })),
        0 => Input::Probed(Err(data::error(from)?)),
        1 if good => Input::Acquired(Ok(match from.int_in_range(0..=4_u8)? {
            0 | 1 => Acquired::Granted,
            2 => Acquired::Value(data::bytes(from)?),
            _ => Acquired::Held(data::remaining(from)?),
        })),
        1 => Input::Acquired(Err(data::error(from)?)),
        2 if good => Input::Subscribed(Ok(())),
        2 => Input::Subscribed(Err(data::error(from)?)),
        3 => Input::Heard(data::event(from)?),
        4 => Input::Silenced(data::error(from)?),
        5 => Input::Computed(match from.int_in_range(0..=5_u8)? {
            0 => Completion::Unstored,
            1 => Completion::Failed(data::text(from)?),
            2 => Completion::Panicked,
            _ => Completion::Value {
                value: data::bytes(from)?,
                ttl: data::duration(from)?,
            },
        }),
        6 if good => Input::Triggered(Ok(())),
        6 => Input::Triggered(Err(data::text(from)?)),
        7 if good => Input::Fulfilled(Ok(*from.choose(&[Fulfilled::Stored, Fulfilled::Lost])?)),
        7 => Input::Fulfilled(Err(data::error(from)?)),
        8 if good => Input::Released(Ok(from.arbitrary()?)),
        8 => Input::Released(Err(data::error(from)?)),
        9 if good => Input::LeaseLost,
        9 => Input::PassedOver {
            known: from.arbitrary()?,
        },
        10 => Input::Elapsed,
        11 => Input::Adopted {
            mode: mode(from)?,
            lost: from.arbitrary()?,
        },
        _ => Input::Abandoned,
    })
}
