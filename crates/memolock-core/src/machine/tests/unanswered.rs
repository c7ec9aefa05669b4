//! External promises whose program does not answer: it has its time, and then its lock is left to expire.

use std::time::Duration;

use super::external::{acquires, attending};
use super::fixture::{LEFT, Rig, input, token};
use crate::{Deadline, LeaseLimits, Mode, Notice, Outcome, Output, Policy, Timestamp};

/// R2: the program is dead or slow. Waiting for it ends. R1: it is not started again while its lock stands.
#[test]
fn r1_r2_a_program_that_does_not_answer_has_its_time_and_then_its_lock_is_left_to_expire() {
    let mut rig = attending();
    let at = Timestamp::from_origin(Policy::default().limits.trigger_timeout);
    assert_eq!(rig.machine.deadline(), Some(Deadline::Trigger(at)));
    rig.elapse();
    assert_eq!(rig.machine.held(), None, "it is not renewed any more");
    assert_eq!(acquires(&rig), 2, "nor taken again");
    let mut rig = rig.play("held");
    assert_eq!(rig.output(), Output::Listen);
    let wake = rig.machine.deadline().map(Deadline::at);
    let expires = rig.now.after(LEFT);
    assert!(
        wake.is_some_and(|wake| wake >= expires),
        "not before the lock is over"
    );
    // The next caller triggers again; one that can compute takes over.
    rig.elapse();
    let again = rig.clone().play("granted");
    assert_eq!(again.output(), Output::Trigger);
    assert!(again.machine.triggers_again());
    let again = again.play("triggered");
    let at = again.now.after(Policy::default().limits.trigger_timeout);
    assert_eq!(again.machine.deadline(), Some(Deadline::Trigger(at)));
    assert!(!again.machine.triggers_again(), "its program has its time");
    let computes = rig.play("adopted-compute granted");
    assert!(matches!(
        computes.output(),
        Output::Compute { lease: Some(_) }
    ));
}

#[test]
fn the_time_of_a_program_counts_from_its_trigger_whoever_waits_for_it() {
    let until = |inputs: &str| {
        let mut rig = attending();
        rig.advance(Duration::from_secs(10));
        rig.play(inputs).machine.deadline().map(Deadline::at)
    };
    let told = until("");
    assert!(told.is_some());
    for inputs in [
        "adopted-external",
        "adopted-compute",
        "hear-released",
        "hear-gap",
        "hear-resumed granted",
        "lease-lost granted",
        "lease-lost acquire-lost granted",
    ] {
        assert_eq!(until(inputs), told, "{inputs}");
    }
    // Another caller's limits are for its own triggers.
    let mut rig = attending();
    rig.machine.set_limits(LeaseLimits::default());
    rig.feed(input("adopted-external"));
    assert_eq!(rig.machine.deadline().map(Deadline::at), told);
}

/// The program was only slow. Waiters get its value, and the lock is released: later callers need not wait for its end.
#[test]
fn r5_a_value_that_comes_late_gives_the_lock_back() {
    for inputs in [
        "elapsed found",
        "elapsed held hear-value",
        "elapsed acquire-refused hear-value",
        "elapsed held hear-resumed found",
    ] {
        let rig = attending().play(inputs);
        assert!(
            matches!(rig.outcome(), Some(Outcome::Value { .. })),
            "{inputs}"
        );
        let (token, notice) = (token(1), Some(Notice::Released));
        assert_eq!(rig.output(), Output::Release { token, notice }, "{inputs}");
        assert_eq!(rig.play("released").output(), Output::Rest, "{inputs}");
    }
    let mut over = attending().play("elapsed held elapsed");
    over.feed(input("found"));
    assert_eq!(over.output(), Output::Rest, "it has expired by then");
}

#[test]
fn a_program_that_reports_its_failure_late_frees_the_key() {
    let rig = attending().play("elapsed held hear-failed");
    let (token, notice) = (token(1), Some(Notice::failed("no")));
    assert_eq!(rig.output(), Output::Release { token, notice });
    let rig = rig.play("released");
    assert_eq!(rig.outcome(), Some(&Outcome::Remote("no".to_owned())));
    // What a rival says after that is the rival's.
    for inputs in [
        "elapsed held elapsed held hear-failed",
        "elapsed held hear-invalidated hear-failed",
    ] {
        assert_eq!(attending().play(inputs).state(), "waiting", "{inputs}");
    }
}

/// R1: an outage when the time is over is no reason to start another program over a slow one.
#[test]
fn r1_after_the_time_of_a_program_an_outage_is_waited_out_until_the_lock_has_expired() {
    for inputs in [
        "elapsed acquire-refused",
        "elapsed acquire-lost acquire-lost",
    ] {
        let rig = attending().play(inputs);
        assert_eq!(rig.state(), "waiting", "{inputs}");
        let wake = rig.machine.deadline().map(Deadline::at);
        let lease = Policy::default().lease;
        assert!(
            wake.is_some_and(|at| at <= rig.now.after(lease)),
            "{inputs}"
        );
        let computes = rig.play("adopted-compute cut-off");
        assert_eq!(computes.state(), "pausing", "{inputs}: the lock may stand");
    }
}

#[test]
fn when_all_callers_leave_after_the_time_of_a_program_its_lock_is_left_too() {
    for inputs in ["elapsed held abandoned", "elapsed held adopted-read"] {
        let rig = attending().play(inputs);
        assert_eq!(rig.output(), Output::Rest, "{inputs}");
    }
}

/// R16: a lease that is lost because it may be kept no longer is not taken again.
#[test]
fn r16_an_external_lease_ends_with_max_lease_whatever_happens_to_it() {
    let mut policy = Policy::default();
    policy.limits.trigger_timeout = Duration::MAX;
    let max = policy.limits.max_lease;
    let attends = || {
        let rig = Rig::with(policy.clone(), Mode::External);
        rig.play("miss granted subscribed granted triggered")
    };
    // After a gap there is a look, but not with its token.
    let mut deaf = attends();
    deaf.advance(max).feed(input("hear-resumed"));
    assert_eq!((acquires(&deaf), deaf.machine.held()), (2, None));
    // Taken again in time, it is the same lease, and lasts no longer.
    let mut rig = attends();
    rig.advance(max - Duration::from_secs(2));
    let rig = rig.play("lease-lost");
    let asked = |rig: &Rig| match rig.output() {
        Output::Acquire { lease, .. } => lease,
        other => panic!("{other:?}"),
    };
    assert_eq!((acquires(&rig), asked(&rig)), (1, Duration::from_secs(2)));
    let mut rig = rig.play("granted");
    rig.advance(Duration::from_secs(2));
    for mut rig in [rig, {
        let mut whole = attends();
        whole.advance(max);
        whole
    }] {
        rig.feed(input("lease-lost"));
        assert_eq!((rig.state(), rig.machine.held()), ("waiting", None));
        let (wake, jitter) = (rig.machine.deadline(), policy.takeover_jitter);
        let later = |at: Deadline| at.at() > rig.now.after(jitter);
        assert!(wake.is_some_and(later), "who can compute comes first");
        rig.elapse();
        assert_ne!(acquires(&rig), 1);
        assert_eq!(asked(&rig), policy.lease);
        let rig = rig.play("granted");
        assert_eq!(
            rig.output(),
            Output::Trigger,
            "another program has its turn"
        );
    }
}

#[test]
fn a_waiter_with_a_trigger_comes_after_those_that_can_compute() {
    let wake = |mode| {
        let rig = Rig::new(mode).play("miss held subscribed held");
        rig.machine.deadline().expect("it is told when").at()
    };
    let jitter = Policy::default().takeover_jitter;
    assert_eq!(wake(Mode::External), wake(Mode::Compute).after(jitter));
}
