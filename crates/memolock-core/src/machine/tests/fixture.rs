//! What the tests share: a machine with its clock and entropy, and every input by name.

use std::time::Duration;

use bytes::Bytes;

use crate::machine::state::{Cleanup, Lease, State};
use crate::{
    Acquired, BackendError, Completion, Entropy, ErrorKind, Event, Fulfilled, Held, Input, Machine,
    Message, Mode, Notice, Operation, Outcome, Output, Policy, Remaining, Timestamp, Token,
};

/// Draws 1, 2, 3 … in the digits that a token shows, and one half in those that make a jitter.
#[derive(Debug, Clone, Default)]
pub(super) struct Count(u128);

impl Entropy for Count {
    fn bits(&mut self) -> u128 {
        self.0 += 1;
        self.0 << 96 | 1 << 31
    }
}

/// The token of the n-th draw.
pub(super) fn token(n: u128) -> Token {
    Token::from_bits(Count(n - 1).bits())
}

/// A machine with what a driver has.
#[derive(Debug, Clone)]
pub(super) struct Rig {
    pub(super) machine: Machine,
    pub(super) now: Timestamp,
    entropy: Count,
}

impl Rig {
    pub(super) fn new(mode: Mode) -> Self {
        Self::with(Policy::default(), mode)
    }

    pub(super) fn with(policy: Policy, mode: Mode) -> Self {
        Self {
            machine: Machine::new(policy, mode),
            now: Timestamp::ZERO,
            entropy: Count::default(),
        }
    }

    /// The same, with tokens from the n-th on.
    pub(super) fn drawing_from(mut self, n: u128) -> Self {
        self.entropy = Count(n - 1);
        self
    }

    pub(super) fn feed(&mut self, input: Input) -> &mut Self {
        self.machine.handle(self.now, input, &mut self.entropy);
        self
    }

    /// Feeds inputs by name.
    pub(super) fn play(mut self, names: &str) -> Self {
        for name in names.split_whitespace() {
            self.hear(name);
        }
        self
    }

    /// Feeds an input by name; time passes up to the deadline where the input is about that.
    pub(super) fn hear(&mut self, name: &str) -> &mut Self {
        match name {
            "elapsed" if self.machine.deadline().is_some() => self.elapse(),
            _ => self.feed(input(name)),
        }
    }

    /// Lets time pass up to the machine's deadline and says so.
    pub(super) fn elapse(&mut self) -> &mut Self {
        let deadline = self.machine.deadline().expect("there is a deadline");
        self.now = self.now.max(deadline.at());
        self.feed(Input::Elapsed)
    }

    pub(super) fn advance(&mut self, step: Duration) -> &mut Self {
        self.now = self.now.after(step);
        self
    }

    pub(super) fn output(&self) -> Output {
        self.machine.output()
    }

    pub(super) fn outcome(&self) -> Option<&Outcome> {
        self.machine.outcome()
    }

    /// The state's name.
    pub(super) fn state(&self) -> &'static str {
        match &self.machine.state {
            State::Probing { .. } => "probing",
            State::Acquiring { .. } => "acquiring",
            State::Pausing { .. } => "pausing",
            State::Subscribing { .. } => "subscribing",
            State::Rechecking { .. } => "rechecking",
            State::Waiting { .. } => "waiting",
            State::Computing(Lease::Held(_)) => "computing",
            State::Computing(Lease::None { .. }) => "degraded",
            State::Triggering { .. } => "triggering",
            State::Attending { .. } => "attending",
            State::Verifying { .. } => "verifying",
            State::Fulfilling { .. } => "fulfilling",
            State::Releasing { .. } => "releasing",
            State::Cleaning(c) if c.pause.is_some() => "putting off",
            State::Cleaning(c) if matches!(c.task, Cleanup::Fulfil { .. }) => "storing",
            State::Cleaning(_) => "cleaning",
            State::Settled(_) => "settled",
        }
    }

    /// All that can be seen of the machine, in one line.
    pub(super) fn describe(&self) -> String {
        let output = match self.output() {
            Output::Probe => "probe".to_owned(),
            Output::Acquire { token, lease } => {
                assert_eq!(lease, Policy::default().lease);
                format!("acquire {}", short(token))
            }
            Output::Subscribe => "subscribe".to_owned(),
            Output::Listen => "listen".to_owned(),
            Output::Pause => "pause".to_owned(),
            Output::Compute { lease: Some(held) } => {
                assert_eq!(self.machine.held(), Some(held));
                "compute".to_owned()
            }
            Output::Compute { lease: None } => "compute without".to_owned(),
            Output::Trigger => "trigger".to_owned(),
            Output::Fulfil { token, value, ttl } => {
                assert_eq!((value, ttl), (Bytes::from("w"), TTL));
                format!("fulfil {}", short(token))
            }
            Output::Release { token, notice } => match notice {
                Some(notice) => {
                    let told = notice.encode();
                    format!(
                        "release {} {}",
                        short(token),
                        String::from_utf8_lossy(&told)
                    )
                }
                None => format!("release {} silently", short(token)),
            },
            Output::Rest => "rest".to_owned(),
        };
        let mut line = format!("{} | {output}", self.state());
        if let Some(deadline) = self.machine.deadline() {
            line += &format!(" until {:?}", deadline.at().since_origin());
        }
        if let Some(Held { token, since, .. }) = self.machine.held() {
            line += &format!(" holding {} since {:?}", short(token), since.since_origin());
        }
        if let Some(outcome) = self.outcome() {
            line += &format!(" => {}", tell(outcome));
        }
        line
    }
}

fn short(token: Token) -> String {
    format!("t{}", draw(token))
}

/// Which draw a token is.
pub(super) fn draw(token: Token) -> u128 {
    u128::from_str_radix(&token.to_wire(), 16).expect("tokens are hexadecimal") >> 96
}

fn tell(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Value { value, origin } => {
            format!("{origin:?} {}", String::from_utf8_lossy(value)).to_lowercase()
        }
        Outcome::Computed { storage } => {
            let storage = format!("{storage:?}");
            let word = storage.split('(').next().unwrap_or_default();
            format!("computed, {}", word.to_lowercase())
        }
        Outcome::Remote(message) => format!("remote {message}"),
        Outcome::Backend(error) => format!("backend {:?}", error.kind()).to_lowercase(),
        other => format!("{other:?}").to_lowercase(),
    }
}

pub(super) const TTL: Duration = Duration::from_secs(60);
/// What remains of a rival's lease, wherever one is told of.
pub(super) const LEFT: Duration = Duration::from_secs(4);

/// An error whose effect is unknown.
pub(super) fn lost() -> BackendError {
    error(ErrorKind::Timeout)
}

/// An error without effect, of a store that is failing.
pub(super) fn refused() -> BackendError {
    error(ErrorKind::Refused)
}

/// An error that is not known: with an effect or without.
pub(super) fn unknown() -> BackendError {
    error(ErrorKind::Unrecognized)
}

/// An error without effect, of this key alone.
pub(super) fn wrong() -> BackendError {
    error(ErrorKind::WrongType)
}

pub(super) fn error(kind: ErrorKind) -> BackendError {
    BackendError::new(kind, Operation::Get, "")
}

/// Every input, by name, save those of time, which need a deadline.
pub(super) const INPUTS: &[&str] = &[
    "hit",
    "miss",
    "probe-lost",
    "probe-refused",
    "probe-wrong",
    "probe-unknown",
    "granted",
    "held",
    "held-forever",
    "found",
    "acquire-lost",
    "acquire-refused",
    "acquire-wrong",
    "acquire-unknown",
    "subscribed",
    "subscribe-lost",
    "subscribe-refused",
    "subscribe-wrong",
    "hear-value",
    "hear-empty",
    "hear-released",
    "hear-failed",
    "hear-invalidated",
    "hear-gap",
    "hear-resumed",
    "passed-over",
    "passed-over-again",
    "silenced",
    "cut-off",
    "computed",
    "unstored",
    "failed",
    "panicked",
    "triggered",
    "trigger-failed",
    "stored",
    "lease-gone",
    "fulfil-lost",
    "fulfil-cut",
    "fulfil-refused",
    "fulfil-full",
    "fulfil-unknown",
    "released",
    "not-ours",
    "release-lost",
    "release-refused",
    "release-denied",
    "release-unknown",
    "release-wrong",
    "lease-lost",
    "adopted-lost",
    "adopted-read",
    "adopted-compute",
    "adopted-external",
    "abandoned",
];

/// The input of that name.
pub(super) fn input(name: &str) -> Input {
    let value = || Bytes::from("v");
    let hear = |message: Message| Input::Heard(message.into());
    match name {
        "hit" => Input::Probed(Ok(Some(value()))),
        "miss" => Input::Probed(Ok(None)),
        "probe-lost" => Input::Probed(Err(lost())),
        "probe-refused" => Input::Probed(Err(refused())),
        "probe-wrong" => Input::Probed(Err(wrong())),
        "probe-unknown" => Input::Probed(Err(unknown())),
        "granted" => Input::Acquired(Ok(Acquired::Granted)),
        "held" => Input::Acquired(Ok(Acquired::Held(Remaining::Expires(LEFT)))),
        "held-forever" => Input::Acquired(Ok(Acquired::Held(Remaining::Forever))),
        "found" => Input::Acquired(Ok(Acquired::Value(value()))),
        "acquire-lost" => Input::Acquired(Err(lost())),
        "acquire-refused" => Input::Acquired(Err(refused())),
        "acquire-wrong" => Input::Acquired(Err(wrong())),
        "acquire-unknown" => Input::Acquired(Err(unknown())),
        "subscribed" => Input::Subscribed(Ok(())),
        "subscribe-lost" => Input::Subscribed(Err(lost())),
        "subscribe-refused" => Input::Subscribed(Err(refused())),
        "subscribe-wrong" => Input::Subscribed(Err(wrong())),
        "hear-value" => hear(Message::Value(value())),
        "hear-empty" => hear(Message::Value(Bytes::new())),
        "hear-released" => hear(Message::Notice(Notice::Released)),
        "hear-failed" => hear(Message::Notice(Notice::failed("no"))),
        "hear-invalidated" => hear(Message::Notice(Notice::Invalidated)),
        "hear-gap" => Input::Heard(Event::Gap),
        "hear-resumed" => Input::Heard(Event::Resumed),
        "passed-over" => Input::PassedOver { known: false },
        "passed-over-again" => Input::PassedOver { known: true },
        "silenced" => Input::Silenced(error(ErrorKind::Closed)),
        "cut-off" => Input::Silenced(error(ErrorKind::Unavailable)),
        "computed" => Input::Computed(Completion::Value {
            value: Bytes::from("w"),
            ttl: TTL,
        }),
        "unstored" => Input::Computed(Completion::Unstored),
        "failed" => Input::Computed(Completion::Failed("no".to_owned())),
        "panicked" => Input::Computed(Completion::Panicked),
        "triggered" => Input::Triggered(Ok(())),
        "trigger-failed" => Input::Triggered(Err("no".to_owned())),
        "stored" => Input::Fulfilled(Ok(Fulfilled::Stored)),
        "lease-gone" => Input::Fulfilled(Ok(Fulfilled::Lost)),
        "fulfil-lost" => Input::Fulfilled(Err(lost())),
        "fulfil-cut" => Input::Fulfilled(Err(error(ErrorKind::Unavailable))),
        "fulfil-refused" => Input::Fulfilled(Err(refused())),
        "fulfil-full" => Input::Fulfilled(Err(error(ErrorKind::OutOfMemory))),
        "fulfil-unknown" => Input::Fulfilled(Err(unknown())),
        "released" => Input::Released(Ok(true)),
        "not-ours" => Input::Released(Ok(false)),
        "release-lost" => Input::Released(Err(lost())),
        "release-refused" => Input::Released(Err(refused())),
        "release-denied" => Input::Released(Err(error(ErrorKind::Denied))),
        "release-unknown" => Input::Released(Err(unknown())),
        "release-wrong" => Input::Released(Err(wrong())),
        "lease-lost" => Input::LeaseLost,
        "adopted-lost" => Input::Adopted {
            mode: Mode::Compute,
            lost: true,
        },
        "adopted-read" => Input::Adopted {
            mode: Mode::Read,
            lost: false,
        },
        "adopted-compute" => Input::Adopted {
            mode: Mode::Compute,
            lost: false,
        },
        "adopted-external" => Input::Adopted {
            mode: Mode::External,
            lost: false,
        },
        "abandoned" => Input::Abandoned,
        "elapsed" => Input::Elapsed,
        other => panic!("no input is called {other}"),
    }
}
