//! The promises R1 to R8 of the design, and the ancestors' faults, as far as one flight shows them.

use std::time::Duration;

use bytes::Bytes;

use super::fixture::{LEFT, Rig, TTL, error, input, lost, refused, token};
use crate::{
    Acquired, Completion, Deadline, ErrorKind, Held, Input, Message, Mode, Notice, Origin, Outcome,
    Output, Policy, Remaining, Storage, Timestamp,
};

fn waiting() -> Rig {
    let rig = Rig::new(Mode::Compute).play("miss held subscribed held");
    assert_eq!(rig.state(), "waiting");
    rig
}

fn is_acquire(rig: &Rig) -> bool {
    matches!(rig.output(), Output::Acquire { .. })
}

#[test]
fn r1_nothing_is_computed_while_a_rival_holds_the_lease() {
    let mut rig = waiting();
    for _ in 0..100 {
        rig.elapse();
        assert!(is_acquire(&rig));
        rig.feed(input("held"));
        assert_eq!(rig.output(), Output::Listen);
    }
}

#[test]
fn r2_released_failed_invalidated_resumed_and_expired_each_lead_to_a_new_try() {
    for what in ["hear-released", "hear-failed", "hear-invalidated"] {
        let mut rig = waiting();
        rig.feed(input(what));
        let soon = rig.now.after(Policy::default().retry_jitter);
        let deadline = rig.machine.deadline().expect("there is one").at();
        assert!(deadline <= soon, "{what}: within the jitter");
        rig.elapse();
        assert!(is_acquire(&rig), "{what}");
    }
    let mut resumed = waiting();
    resumed.feed(input("hear-gap")).feed(input("hear-resumed"));
    assert!(is_acquire(&resumed));
    let mut expired = waiting();
    let deadline = expired.machine.deadline().expect("there is one").at();
    let latest = expired.now.after(LEFT + Policy::default().takeover_jitter);
    assert!(deadline >= expired.now.after(LEFT) && deadline <= latest);
    expired.elapse();
    assert!(is_acquire(&expired));
}

#[test]
fn r2_a_crashed_holder_is_taken_over_from_without_any_message() {
    let mut rig = waiting();
    rig.feed(input("hear-gap")).elapse().feed(input("granted"));
    assert!(matches!(rig.output(), Output::Compute { lease: Some(_) }));
}

#[test]
fn r2_a_wake_up_before_the_deadline_changes_nothing_and_does_not_lose_it() {
    let mut rig = waiting();
    let before = rig.machine.deadline();
    rig.feed(Input::Elapsed);
    assert_eq!((rig.state(), rig.machine.deadline()), ("waiting", before));
}

#[test]
fn r2_a_notice_never_puts_the_deadline_off() {
    let mut rig = waiting();
    let at = rig.machine.deadline().expect("there is one").at();
    rig.now = Timestamp::from_origin(at.since_origin() - Duration::from_nanos(1));
    rig.feed(input("hear-released"));
    assert_eq!(rig.machine.deadline(), Some(Deadline::Takeover(at)));
}

#[test]
fn r2_there_is_a_check_after_the_subscription_so_that_nothing_falls_between() {
    let rig = Rig::new(Mode::Compute).play("miss held subscribed");
    assert!(
        is_acquire(&rig),
        "the value may have come before we listened"
    );
    let rig = rig.play("found");
    let origin = Origin::Awaited;
    let value = Bytes::from("v");
    assert_eq!(rig.outcome(), Some(&Outcome::Value { value, origin }));
}

#[test]
fn r3_a_computed_value_is_an_outcome_whatever_storing_says() {
    let storage = |inputs: &str| {
        let rig = Rig::new(Mode::Compute)
            .play("miss granted computed")
            .play(inputs);
        match rig.outcome() {
            Some(Outcome::Computed { storage }) => storage.clone(),
            other => panic!("{inputs}: {other:?}"),
        }
    };
    assert_eq!(storage("stored"), Storage::Stored);
    assert_eq!(storage("lease-gone"), Storage::LeaseLost);
    assert_eq!(storage("fulfil-lost"), Storage::Failed(lost()));
    let full = Storage::Failed(error(ErrorKind::OutOfMemory));
    for release in ["released", "not-ours", "release-lost", "release-refused"] {
        assert_eq!(storage(&format!("fulfil-full {release}")), full);
    }
    assert_eq!(storage("fulfil-refused"), Storage::Failed(refused()));
    let degraded = Rig::new(Mode::Compute).play("probe-refused computed");
    let storage = Storage::Degraded(refused());
    assert_eq!(degraded.outcome(), Some(&Outcome::Computed { storage }));
}

#[test]
fn r3_after_a_lost_reply_the_value_does_not_wait_for_the_second_try() {
    let rig = Rig::new(Mode::Compute).play("miss granted computed fulfil-lost");
    assert!(rig.outcome().is_some());
    assert!(matches!(rig.output(), Output::Fulfil { token: t, .. } if t == token(1)));
}

#[test]
fn r4_a_lost_lease_is_found_out_when_storing_and_never_asked_for_again() {
    let rig = Rig::new(Mode::Compute).play("miss granted lease-lost computed lease-gone");
    let storage = Storage::LeaseLost;
    assert_eq!(rig.outcome(), Some(&Outcome::Computed { storage }));
    assert_eq!(rig.output(), Output::Rest);
}

#[test]
fn r5_the_lease_is_given_back_on_success_error_panic_and_cancellation() {
    let ends = [
        ("unstored", Notice::Released),
        ("failed", Notice::failed("no")),
        ("panicked", Notice::failed("panicked")),
        ("abandoned", Notice::Released),
    ];
    for (end, notice) in ends {
        let rig = Rig::new(Mode::Compute).play("miss granted").play(end);
        let token = token(1);
        let notice = Some(notice);
        assert_eq!(rig.output(), Output::Release { token, notice }, "{end}");
    }
    let rig = Rig::new(Mode::Compute).play("miss granted computed");
    assert!(matches!(rig.output(), Output::Fulfil { token: t, .. } if t == token(1)));
}

#[test]
fn r5_a_try_that_nobody_waits_for_any_more_is_taken_back() {
    for inputs in ["miss abandoned", "miss held subscribed abandoned"] {
        let asked = Rig::new(Mode::Compute).play(inputs.trim_end_matches("abandoned"));
        let Output::Acquire { token, .. } = asked.output() else {
            panic!("{inputs}: {:?}", asked.output());
        };
        let notice = Some(Notice::Released);
        let left = asked.play("abandoned");
        assert_eq!(left.output(), Output::Release { token, notice });
    }
}

/// The first caller's try may have been a grant, with a stranger's SET after it.
#[test]
fn r5_a_try_that_was_handed_over_and_then_finds_a_value_is_taken_back() {
    for inputs in ["miss", "miss held subscribed"] {
        let asked = Rig::new(Mode::Compute).play(inputs);
        let Output::Acquire { token, .. } = asked.output() else {
            panic!("{inputs}: {:?}", asked.output());
        };
        let notice = Some(Notice::Released);
        let found = asked.play("adopted-compute found");
        assert!(found.outcome().is_some(), "and nobody waits for that");
        assert_eq!(found.output(), Output::Release { token, notice });
    }
}

#[test]
fn r7_a_lost_reply_is_never_taken_for_a_refusal() {
    for start in ["miss", "miss held subscribed"] {
        let asked = Rig::new(Mode::Compute).play(start);
        let again = asked.clone().play("acquire-lost");
        assert_eq!(again.output(), asked.output(), "the same token once more");
        let granted = again.clone().play("granted");
        assert!(matches!(
            granted.output(),
            Output::Compute { lease: Some(_) }
        ));
        // A rival is waited out, but it may be us who hold the lock: the token is not forgotten.
        let given_up = again.play("acquire-lost");
        let done = match given_up.output() {
            Output::Compute { lease: None } => given_up.play("computed"),
            Output::Listen => {
                let tried = given_up.clone().play("elapsed");
                assert_eq!(tried.output(), asked.output(), "nor is there another");
                given_up.play("hear-value")
            }
            other => panic!("{start}: {other:?}"),
        };
        assert!(done.outcome().is_some());
        let Output::Release { token, .. } = done.output() else {
            panic!("the lease that we may hold is forgotten");
        };
        assert!(matches!(asked.output(), Output::Acquire { token: t, .. } if t == token));
    }
}

#[test]
fn r7_a_value_after_a_lost_grant_does_not_leave_our_lock_behind() {
    let rig = Rig::new(Mode::Compute).play("miss acquire-lost found");
    assert!(matches!(rig.outcome(), Some(Outcome::Value { .. })));
    assert!(matches!(rig.output(), Output::Release { token: t, .. } if t == token(1)));
}

#[test]
fn r7_a_lease_counts_from_the_try_that_was_answered() {
    let mut rig = Rig::new(Mode::Compute).play("miss");
    rig.advance(Duration::from_secs(1))
        .feed(input("acquire-lost"));
    rig.advance(Duration::from_secs(1)).feed(input("granted"));
    let since = Timestamp::from_origin(Duration::from_secs(1));
    let token = token(1);
    let began = since;
    let held = Held {
        token,
        since,
        began,
        max: Policy::default().limits.max_lease,
    };
    assert_eq!(rig.machine.held(), Some(held));
}

#[test]
fn r8_absurd_remaining_times_are_waited_out_and_do_not_overflow() {
    for left in [Duration::ZERO, Duration::MAX] {
        let mut rig = Rig::new(Mode::Compute).play("miss held subscribed");
        rig.advance(Duration::from_secs(1 << 40));
        let held = Acquired::Held(Remaining::Expires(left));
        rig.feed(Input::Acquired(Ok(held)));
        assert_eq!(rig.output(), Output::Listen);
        let at = rig.machine.deadline().expect("there is one").at();
        assert!(at >= rig.now);
        assert!(is_acquire(rig.elapse()));
    }
}

#[test]
fn r8_a_lock_that_never_expires_is_listened_to_and_not_polled() {
    let mut rig = Rig::new(Mode::Compute).play("miss held subscribed held-forever");
    assert_eq!(rig.machine.deadline(), None);
    rig.advance(Duration::MAX).feed(Input::Elapsed);
    assert_eq!((rig.state(), rig.output()), ("waiting", Output::Listen));
    rig.now = Timestamp::ZERO;
    assert!(is_acquire(rig.feed(input("hear-invalidated")).elapse()));
}

#[test]
fn r8_a_key_of_a_wrong_type_is_an_error_and_never_computed_around() {
    for inputs in [
        "probe-wrong",
        "miss acquire-wrong",
        "miss held subscribe-wrong",
    ] {
        let rig = Rig::new(Mode::Compute).play(inputs);
        let Some(Outcome::Backend(error)) = rig.outcome() else {
            panic!("{inputs}: {:?}", rig.outcome());
        };
        assert_eq!(error.kind(), ErrorKind::WrongType);
    }
}

#[test]
fn r10_a_closed_backend_ends_the_flight_in_every_phase() {
    let closed = || error(ErrorKind::Closed);
    let ends: [(&str, Input); 6] = [
        ("", Input::Probed(Err(closed()))),
        ("miss", Input::Acquired(Err(closed()))),
        ("miss held", Input::Subscribed(Err(closed()))),
        ("miss held subscribed", Input::Acquired(Err(closed()))),
        ("miss held subscribed held", Input::Silenced(closed())),
        (
            "miss held subscribe-refused elapsed",
            Input::Acquired(Err(closed())),
        ),
    ];
    for (inputs, end) in ends {
        let mut rig = Rig::new(Mode::Compute).play(inputs);
        rig.feed(end);
        assert_eq!(rig.outcome(), Some(&Outcome::Backend(closed())), "{inputs}");
    }
}

#[test]
fn ancestors_the_empty_string_is_a_value_and_no_miss() {
    let empty = |origin| {
        let value = Bytes::new();
        Some(Outcome::Value { value, origin })
    };
    let mut hit = Rig::new(Mode::Compute);
    hit.feed(Input::Probed(Ok(Some(Bytes::new()))));
    assert_eq!(hit.outcome().cloned(), empty(Origin::Hit));
    let mut found = Rig::new(Mode::Compute).play("miss");
    found.feed(Input::Acquired(Ok(Acquired::Value(Bytes::new()))));
    assert_eq!(found.outcome().cloned(), empty(Origin::Awaited));
    let mut heard = waiting();
    heard.feed(Input::Heard(Message::Value(Bytes::new()).into()));
    assert_eq!(heard.outcome().cloned(), empty(Origin::Awaited));
    let mut computed = Rig::new(Mode::Compute).play("miss granted");
    let (value, ttl) = (Bytes::new(), TTL);
    computed.feed(Input::Computed(Completion::Value { value, ttl }));
    assert!(matches!(computed.output(), Output::Fulfil { value, .. } if value.is_empty()));
}

#[test]
fn ancestors_every_try_has_a_token_of_its_own_so_that_no_foreign_lock_is_deleted() {
    let mut rig = Rig::new(Mode::Compute).play("miss");
    let mut tokens = Vec::new();
    for round in 0..20 {
        let Output::Acquire { token, .. } = rig.output() else {
            panic!("round {round}: {:?}", rig.output());
        };
        assert!(!tokens.contains(&token), "round {round}");
        tokens.push(token);
        rig.feed(input("held"));
        match rig.state() {
            "subscribing" => rig.feed(input("subscribed")),
            _ => rig.elapse(),
        };
    }
}

#[test]
fn a_driver_that_takes_over_is_told_the_same_again() {
    for inputs in [
        "",
        "miss",
        "miss held",
        "miss granted",
        "miss granted computed",
    ] {
        let rig = Rig::new(Mode::Compute).play(inputs);
        let adopted = rig.clone().play("adopted-compute");
        assert_eq!(adopted.output(), rig.output(), "{inputs}");
    }
}
