//! What policies change: sharing failures, failing in an outage, sending again, only reading.

use super::fixture::{Rig, error, input, lost, refused};
use crate::{
    ErrorKind, FailurePolicy, Input, Message, Mode, Notice, OutagePolicy, Outcome, Output, Policy,
};

#[test]
fn shared_failures_end_a_waiter_at_once_with_the_message() {
    let policy = Policy {
        failures: FailurePolicy::Share,
        ..Policy::default()
    };
    let waiting = Rig::with(policy, Mode::Compute).play("miss held subscribed held");
    let failed = waiting.clone().play("hear-failed");
    assert_eq!(failed.outcome(), Some(&Outcome::Remote("no".to_owned())));
    assert_eq!(failed.output(), Output::Rest);
    for other in ["hear-released", "hear-invalidated"] {
        let on = waiting.clone().play(other);
        assert_eq!(
            (on.outcome(), on.output()),
            (None, Output::Listen),
            "{other}"
        );
    }
}

#[test]
fn a_failure_without_a_message_is_shared_too() {
    let policy = Policy {
        failures: FailurePolicy::Share,
        ..Policy::default()
    };
    let mut rig = Rig::with(policy, Mode::Compute).play("miss held subscribed held");
    let silent = Notice::decode(b"failed");
    rig.feed(Input::Heard(Message::Notice(silent).into()));
    assert_eq!(rig.outcome(), Some(&Outcome::Remote(String::new())));
}

#[test]
fn an_outage_computes_here_only_where_that_is_the_policy() {
    let strict = Policy {
        outage: OutagePolicy::Fail,
        ..Policy::default()
    };
    for inputs in [
        "probe-refused",
        "miss acquire-refused",
        "probe-lost probe-lost",
    ] {
        let lenient = Rig::new(Mode::Compute).play(inputs);
        assert_eq!(
            lenient.output(),
            Output::Compute { lease: None },
            "{inputs}"
        );
        let strict = Rig::with(strict.clone(), Mode::Compute).play(inputs);
        assert!(
            matches!(strict.outcome(), Some(Outcome::Backend(_))),
            "{inputs}"
        );
        assert_eq!(strict.output(), Output::Rest, "{inputs}");
    }
    // The lease that may be ours is given back in the background.
    let strict = Rig::with(strict, Mode::Compute).play("miss acquire-lost acquire-lost");
    assert_eq!(strict.outcome(), Some(&Outcome::Backend(lost())));
    assert!(matches!(strict.output(), Output::Release { .. }));
}

#[test]
fn what_is_no_outage_is_an_error_and_not_computed() {
    for kind in [
        ErrorKind::WrongType,
        ErrorKind::Protocol,
        ErrorKind::Config,
        ErrorKind::Unsupported,
        ErrorKind::Closed,
    ] {
        let mut rig = Rig::new(Mode::Compute);
        while rig.output() == Output::Probe {
            rig.feed(Input::Probed(Err(error(kind))));
        }
        assert_eq!(rig.outcome(), Some(&Outcome::Backend(error(kind))));
    }
}

#[test]
fn a_reader_and_a_trigger_are_never_told_to_compute_in_an_outage() {
    for mode in [Mode::Read, Mode::External] {
        let rig = Rig::new(mode).play("probe-refused");
        assert_eq!(
            rig.outcome(),
            Some(&Outcome::Backend(refused())),
            "{mode:?}"
        );
    }
}

#[test]
fn reading_takes_no_lease() {
    let hit = Rig::new(Mode::Read).play("hit");
    assert!(matches!(hit.outcome(), Some(Outcome::Value { .. })));
    let miss = Rig::new(Mode::Read).play("miss");
    assert_eq!(miss.outcome(), Some(&Outcome::Absent));
    assert_eq!(miss.output(), Output::Rest);
}

#[test]
fn lost_replies_are_sent_again_as_often_as_the_policy_says() {
    for (attempts, sends) in [(0, 1), (1, 1), (2, 2), (5, 5), (u8::MAX, 255)] {
        let policy = Policy {
            attempts,
            ..Policy::default()
        };
        let mut rig = Rig::with(policy, Mode::Compute);
        let mut sent = 0;
        while rig.output() == Output::Probe {
            sent += 1;
            rig.feed(input("probe-lost"));
        }
        assert_eq!(sent, sends);
    }
}

#[test]
fn an_error_that_is_no_lost_reply_is_not_sent_again() {
    let rig = Rig::new(Mode::Compute).play("miss acquire-refused");
    assert_eq!(rig.output(), Output::Compute { lease: None });
    // Nothing took effect, so there is nothing to give back.
    assert_eq!(rig.play("computed").output(), Output::Rest);
}
