//! External promises: we hold the lease and run a trigger, another program stores the value.

use std::time::Duration;

use super::fixture::{Rig, draw, input, token};
use crate::{Mode, Notice, Origin, Outcome, Output, Policy};

pub(super) fn attending() -> Rig {
    let rig = Rig::new(Mode::External).play("miss granted subscribed granted triggered");
    assert_eq!(rig.state(), "attending");
    rig
}

pub(super) fn acquires(rig: &Rig) -> u128 {
    match rig.output() {
        Output::Acquire { token, .. } => draw(token),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_subscription_is_there_before_the_trigger_so_that_no_answer_is_missed() {
    let rig = Rig::new(Mode::External).play("miss granted");
    assert_eq!(rig.output(), Output::Subscribe);
    let rig = rig.play("subscribed");
    assert_eq!(acquires(&rig), 1, "and one more look");
    assert_eq!(rig.play("granted").output(), Output::Trigger);
}

/// A slow program of an earlier holder may store between our grant and our subscription.
#[test]
fn r2_what_was_stored_before_the_subscription_was_there_is_found_and_nothing_triggered() {
    let rig = Rig::new(Mode::External).play("miss granted subscribed found");
    let origin = Origin::Awaited;
    let value = bytes::Bytes::from("v");
    assert_eq!(rig.outcome(), Some(&Outcome::Value { value, origin }));
    let (token, notice) = (token(1), Some(Notice::Released));
    assert_eq!(rig.output(), Output::Release { token, notice });
}

/// Who subscribed after the value was told was not told it. If the value is gone again by then, it waits
/// for this lease.
#[test]
fn r2_the_value_arrives_and_the_lock_goes_with_a_word_to_late_comers() {
    let rig = attending().play("hear-value");
    let (token, notice) = (token(1), Some(Notice::Released));
    assert_eq!(rig.output(), Output::Release { token, notice });
    let rig = rig.play("released");
    let origin = Origin::Awaited;
    let value = bytes::Bytes::from("v");
    assert_eq!(rig.outcome(), Some(&Outcome::Value { value, origin }));
}

#[test]
fn r1_a_wait_that_ends_leaves_the_lock_so_that_no_second_trigger_starts() {
    for inputs in ["abandoned", "hear-resumed abandoned"] {
        let rig = attending().play(inputs);
        assert_eq!(rig.output(), Output::Rest, "{inputs}");
        assert_eq!(rig.outcome(), Some(&Outcome::Abandoned));
    }
}

#[test]
fn r5_a_trigger_that_fails_or_is_dropped_gives_the_lease_back() {
    let triggering = Rig::new(Mode::External).play("miss granted subscribed granted");
    let failed = triggering.clone().play("trigger-failed");
    let (token, notice) = (token(1), Some(Notice::failed("no")));
    assert_eq!(failed.output(), Output::Release { token, notice });
    assert_eq!(failed.play("released").outcome(), Some(&Outcome::Failed));
    let dropped = triggering.play("abandoned");
    let notice = Some(Notice::Released);
    assert_eq!(dropped.output(), Output::Release { token, notice });
}

#[test]
fn a_failure_that_the_program_reports_frees_the_key_and_is_told_on() {
    let rig = attending().play("hear-failed");
    let (token, notice) = (token(1), Some(Notice::failed("no")));
    assert_eq!(rig.output(), Output::Release { token, notice });
    let rig = rig.play("released");
    assert_eq!(rig.outcome(), Some(&Outcome::Remote("no".to_owned())));
}

#[test]
fn r2_after_a_gap_we_look_with_the_token_that_we_hold() {
    let rig = attending().play("hear-gap");
    assert_eq!(rig.output(), Output::Listen);
    let rig = rig.play("hear-resumed");
    assert_eq!(acquires(&rig), 1);
    let nothing_came = rig.clone().play("granted");
    assert_eq!(nothing_came.state(), "attending");
    let it_came = rig.clone().play("found");
    assert_eq!(it_came.state(), "releasing");
    let somebody_took_over = rig.play("held");
    assert_eq!(somebody_took_over.state(), "waiting");
    assert!(somebody_took_over.machine.deadline().is_some());
}

#[test]
fn r1_a_lost_lease_is_taken_again_with_its_token_and_nothing_is_triggered_twice() {
    let mut rig = attending();
    rig.advance(Duration::from_secs(5))
        .feed(input("lease-lost"));
    assert_eq!(acquires(&rig), 1);
    let since = Some(rig.now);
    let since_of = |rig: &Rig| rig.machine.held().map(|h| h.since);
    assert_eq!(since_of(&rig), since, "what was lost is another lease");
    let free = rig.clone().play("granted");
    assert_eq!((free.state(), since_of(&free)), ("attending", since));
    assert_eq!(free.play("hear-value").state(), "releasing");
    let came = rig.clone().play("found");
    assert_eq!(came.state(), "releasing");
    // Whoever took it meanwhile has its own program: its value is as good.
    let taken = rig.play("held");
    assert_eq!((taken.state(), taken.machine.held()), ("waiting", None));
    assert!(taken.machine.deadline().is_some());
    assert_eq!(taken.play("abandoned").output(), Output::Rest);
}

#[test]
fn r4_an_invalidation_starts_over_for_what_is_being_made_is_stale() {
    let rig = attending().play("hear-invalidated");
    assert_eq!(rig.machine.held(), None);
    assert_eq!(rig.play("granted").output(), Output::Trigger);
}

/// The heartbeat may find the lease gone before the notice of the invalidation is read; the lease is
/// taken again then, and it must not be taken for a rival's.
#[test]
fn r2_an_invalidation_that_is_heard_late_does_not_make_us_wait_for_ourselves() {
    let rig = attending().play("lease-lost granted hear-invalidated");
    assert_eq!(acquires(&rig), 1, "the lock may hold it");
    let free = rig.clone().play("granted");
    assert_eq!(free.output(), Output::Trigger);
    assert_eq!(free.machine.held().map(|h| h.token), Some(token(1)));
    for end in [
        "abandoned",
        "adopted-read",
        "found",
        "acquire-refused",
        "acquire-wrong",
    ] {
        let ended = rig.clone().play(end).output();
        assert!(
            matches!(ended, Output::Release { token: t, .. } if t == token(1)),
            "{end}"
        );
    }
    let taken = rig.play("held");
    assert_eq!(taken.state(), "waiting");
    assert_eq!(taken.play("abandoned").output(), Output::Rest);
}

#[test]
fn r1_a_backend_that_fails_leaves_the_lock_so_that_no_second_program_starts() {
    for inputs in [
        "silenced",
        "cut-off",
        "hear-resumed acquire-refused",
        "hear-resumed acquire-wrong",
        "hear-resumed acquire-lost acquire-lost",
        "hear-resumed acquire-lost acquire-refused",
        "lease-lost acquire-refused",
        "lease-lost acquire-lost acquire-lost",
    ] {
        let rig = attending().play(inputs);
        assert_eq!(rig.output(), Output::Rest, "{inputs}");
        assert!(
            matches!(rig.outcome(), Some(Outcome::Backend(_))),
            "{inputs}"
        );
        assert_eq!(rig.machine.held(), None, "{inputs}: nor kept for ever");
    }
}

#[test]
fn what_a_holder_before_us_said_does_not_concern_us() {
    let rig = attending();
    let after = rig.clone().play("hear-released");
    assert_eq!(after.machine.state, rig.machine.state);
}

#[test]
fn the_lease_is_kept_alive_from_the_grant_to_the_value() {
    for inputs in [
        "miss granted",
        "miss granted subscribed granted",
        "miss granted subscribed granted triggered",
        "miss granted subscribed granted triggered hear-resumed",
    ] {
        let held = Rig::new(Mode::External).play(inputs).machine.held();
        assert_eq!(held.map(|h| h.token), Some(token(1)), "{inputs}");
    }
    assert_eq!(attending().play("hear-value").machine.held(), None);
}

#[test]
fn a_waiter_for_an_external_promise_triggers_when_it_takes_over() {
    let mut rig = Rig::new(Mode::External).play("miss held subscribed held");
    rig.elapse().feed(input("granted"));
    assert_eq!(rig.output(), Output::Trigger, "it listens already");
}

#[test]
fn a_caller_who_takes_over_brings_its_own_kind_of_work() {
    let compute = |inputs: &str| {
        let rig = Rig::new(Mode::External)
            .play(inputs)
            .play("adopted-compute");
        matches!(rig.output(), Output::Compute { lease: Some(held) } if held.token == token(1))
    };
    assert!(compute("miss granted"), "not triggered yet");
    assert!(
        compute("miss granted subscribed granted"),
        "half-way through the trigger"
    );
    let rig = attending().play("adopted-compute");
    assert_eq!(rig.output(), Output::Listen, "the program is at it");
    let lost = rig.clone().play("lease-lost granted");
    assert_eq!(lost.output(), Output::Listen, "it still is");
    let rig = rig.play("hear-invalidated granted");
    assert!(matches!(rig.output(), Output::Compute { lease: Some(_) }));
    let rig = Rig::new(Mode::Compute).play("miss granted adopted-external");
    assert_eq!(rig.output(), Output::Subscribe);
    assert_eq!(rig.play("subscribed granted").output(), Output::Trigger);
}

#[test]
fn a_reader_who_takes_over_is_never_asked_for_work() {
    for (mode, inputs) in [
        (Mode::Compute, "miss"),
        (Mode::Compute, "miss held"),
        (Mode::Compute, "miss held subscribed held"),
        (Mode::Compute, "miss granted"),
        (Mode::External, "miss granted subscribed granted"),
        (Mode::External, "miss granted subscribed granted triggered"),
    ] {
        let rig = Rig::new(mode).play(inputs).play("adopted-read");
        assert_eq!(rig.outcome(), Some(&Outcome::Absent), "{inputs}");
    }
    let probing = Rig::new(Mode::Compute).play("adopted-read miss");
    assert_eq!(probing.outcome(), Some(&Outcome::Absent));
}

#[test]
fn without_a_subscription_nothing_is_triggered() {
    for inputs in ["subscribe-lost subscribe-lost", "subscribe-refused"] {
        let rig = Rig::new(Mode::External).play("miss granted").play(inputs);
        let (token, notice) = (token(1), Some(Notice::Released));
        assert_eq!(rig.output(), Output::Release { token, notice });
        let rig = rig.play("released");
        assert!(matches!(rig.outcome(), Some(Outcome::Backend(_))));
    }
    let again = Rig::new(Mode::External).play("miss granted subscribe-lost");
    assert_eq!(again.machine.held().map(|h| h.token), Some(token(1)));
    assert_eq!(again.play("subscribed granted").output(), Output::Trigger);
}

#[test]
fn looking_after_a_gap_is_bounded_too() {
    let policy = Policy {
        attempts: 3,
        ..Policy::default()
    };
    let rig = Rig::with(policy, Mode::External);
    let mut rig = rig.play("miss granted subscribed granted triggered hear-resumed");
    for _ in 0..2 {
        assert_eq!(acquires(rig.feed(input("acquire-lost"))), 1);
    }
    rig.feed(input("acquire-lost"));
    assert!(matches!(rig.outcome(), Some(Outcome::Backend(_))));
}
