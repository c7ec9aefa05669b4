//! The store refuses for now or for good, or answers with an error that is not known (R2, R3, R5).

use std::time::Duration;

use super::fixture::{Rig, draw, input, token};
use crate::{ErrorKind, Mode, Notice, Outcome, Output, Policy, Storage, Timestamp};

fn computed() -> Rig {
    Rig::new(Mode::Compute).play("miss granted computed")
}

/// What a store that answers `reply` to every try is sent until clean-up gives up, and when.
fn tries(mut rig: Rig, reply: &str) -> Vec<(Duration, Output)> {
    let mut sent = Vec::new();
    loop {
        match rig.output() {
            Output::Rest => return sent,
            Output::Pause => rig.elapse(),
            output => {
                sent.push((rig.now.since_origin(), output));
                assert!(sent.len() < 100, "there is no end of it");
                rig.feed(input(reply))
            }
        };
    }
}

fn stored(rig: &Rig) -> Option<ErrorKind> {
    match rig.outcome() {
        Some(Outcome::Computed {
            storage: Storage::Failed(error),
        }) => Some(error.kind()),
        _ => None,
    }
}

#[test]
fn r3_a_value_that_is_refused_is_its_callers_at_once() {
    for (reply, kind) in [
        ("fulfil-refused", ErrorKind::Refused),
        ("fulfil-full", ErrorKind::OutOfMemory),
        ("fulfil-unknown", ErrorKind::Unrecognized),
        ("fulfil-lost", ErrorKind::Timeout),
    ] {
        let rig = computed().play(reply);
        assert_eq!(stored(&rig), Some(kind), "{reply}");
        assert_eq!(rig.machine.held(), None, "{reply}: nothing renews it");
    }
}

#[test]
fn r2_a_fulfil_that_is_refused_for_now_is_sent_again_until_it_is_stored() {
    for again in 1..6 {
        let mut rig = computed();
        for _ in 0..again {
            rig.feed(input("fulfil-refused"));
            assert_eq!(rig.output(), Output::Pause, "after a pause");
            assert!(rig.machine.is_refused());
            rig.elapse();
            assert!(matches!(rig.output(), Output::Fulfil { token: t, .. } if t == token(1)));
        }
        rig.feed(input("stored"));
        assert_eq!(rig.output(), Output::Rest);
    }
}

#[test]
fn r2_the_pauses_double_and_the_last_try_comes_shortly_before_the_lease_is_over() {
    let lease = Policy::default().lease;
    for (rig, reply) in [
        (computed(), "fulfil-refused"),
        (
            Rig::new(Mode::Compute).play("miss granted failed"),
            "release-refused",
        ),
        (
            Rig::new(Mode::Compute).play("miss granted failed"),
            "release-denied",
        ),
    ] {
        let sent = tries(rig, reply);
        let at: Vec<Duration> = sent.iter().map(|(at, _)| *at).collect();
        assert!((6..=12).contains(&at.len()), "{reply}: {at:?}");
        let first = at[1] - at[0];
        assert!(first >= Policy::default().outage_pause, "{reply}: {at:?}");
        assert!(at[2] - at[1] >= 2 * first - first / 8, "{reply}: {at:?}");
        let last = *at.last().unwrap();
        assert!(last < lease && last > lease * 9 / 10, "{reply}: {at:?}");
    }
}

#[test]
fn r2_a_short_lease_has_its_tries_too() {
    let policy = Policy {
        lease: Duration::from_millis(200),
        ..Policy::default()
    };
    let rig = Rig::with(policy, Mode::Compute).play("miss granted computed");
    let sent = tries(rig, "fulfil-refused");
    assert!(sent.len() >= 4, "{sent:?}");
    assert!(sent.last().unwrap().0 < Duration::from_millis(200));
}

/// A waiter waits for a store that is full no longer than for one that has room.
#[test]
fn r5_without_memory_or_rights_the_lease_is_released_at_once() {
    let denied = || crate::Input::Fulfilled(Err(super::fixture::error(ErrorKind::Denied)));
    for reply in [input("fulfil-full"), denied()] {
        for before in ["", "fulfil-refused elapsed", "fulfil-lost"] {
            let mut rig = computed().play(before);
            rig.feed(reply.clone());
            let (token, notice) = (token(1), Some(Notice::Released));
            assert_eq!(rig.output(), Output::Release { token, notice }, "{before}");
            assert!(rig.outcome().is_some());
        }
    }
}

#[test]
fn r5_a_release_that_is_refused_is_sent_again_with_its_notice() {
    for (work, told) in [
        ("failed", Some(Notice::failed("no"))),
        ("unstored", Some(Notice::Released)),
        ("panicked", Some(Notice::failed("panicked"))),
    ] {
        for reply in ["release-refused", "release-denied", "release-unknown"] {
            let mut rig = Rig::new(Mode::Compute).play("miss granted").play(work);
            rig.feed(input(reply));
            assert!(rig.outcome().is_some(), "{work}: R3");
            assert_eq!(rig.output(), Output::Pause, "{work} {reply}");
            rig.elapse();
            let token = token(1);
            let notice = told.clone();
            assert_eq!(rig.output(), Output::Release { token, notice }, "{work}");
            rig.feed(input("released"));
            assert_eq!(rig.output(), Output::Rest);
        }
    }
    let wrong = Rig::new(Mode::Compute).play("miss granted failed release-wrong");
    assert_eq!(wrong.output(), Output::Rest, "it would be the same again");
}

/// The same for the lease of an external promise.
#[test]
fn r5_an_external_lease_whose_release_is_refused_is_released_later() {
    for ends in ["hear-value", "hear-failed"] {
        let attending = "miss granted subscribed granted triggered";
        let mut rig = Rig::new(Mode::External).play(attending).play(ends);
        rig.feed(input("release-refused")).elapse();
        assert!(
            matches!(rig.output(), Output::Release { .. }),
            "{ends}: {:?}",
            rig.output()
        );
    }
    let failed = "miss granted subscribed granted trigger-failed release-refused elapsed";
    let rig = Rig::new(Mode::External).play(failed);
    assert!(matches!(rig.output(), Output::Release { .. }));
}

/// A server over its quota must not be asked more than it must: today's 20 releases in one lease.
#[test]
fn r11_an_error_that_is_not_known_is_asked_again_no_sooner_than_the_breaker_would() {
    let pause = Policy::default().unrecognized_pause;
    for (inputs, most) in [
        ("miss granted computed", 6),
        ("miss granted failed", 6),
        ("miss acquire-unknown computed", 6),
    ] {
        let rig = Rig::new(Mode::Compute).play(inputs);
        let sent = match rig.output() {
            Output::Fulfil { .. } => tries(rig, "fulfil-unknown"),
            _ => tries(rig, "release-unknown"),
        };
        assert!(sent.len() <= most, "{inputs}: {sent:?}");
        for two in sent.windows(2) {
            assert!(two[1].0 - two[0].0 >= pause, "{inputs}: {sent:?}");
        }
    }
    for inputs in [
        "miss held subscribed acquire-unknown",
        "miss held subscribe-refused elapsed acquire-unknown",
    ] {
        let rig = Rig::new(Mode::Compute).play(inputs);
        let at = rig.machine.deadline().unwrap().at();
        assert!(at >= rig.now.after(pause), "{inputs}");
    }
    let probed = Rig::new(Mode::Compute).play("probe-unknown");
    assert_eq!(probed.output(), Output::Compute { lease: None }, "once");
}

/// A proxy may have sent the command on before it failed.
#[test]
fn r7_a_try_that_met_an_error_that_is_not_known_may_hold_the_lease() {
    let rig = Rig::new(Mode::Compute).play("miss acquire-unknown computed");
    let (token, notice) = (token(1), Some(Notice::Released));
    assert_eq!(rig.output(), Output::Release { token, notice });
    assert!(matches!(
        rig.outcome(),
        Some(Outcome::Computed {
            storage: Storage::Degraded(_)
        })
    ));
}

#[test]
fn r1_an_error_that_is_not_known_is_no_reason_to_compute_beside_a_holder() {
    let mut rig = Rig::new(Mode::Compute).play("miss held subscribed");
    let mut sent = 0;
    while let Output::Acquire { .. } = rig.output() {
        sent += 1;
        rig.feed(input("acquire-unknown"));
        if rig.machine.deadline().is_some() {
            rig.elapse();
        }
    }
    assert_eq!(rig.output(), Output::Compute { lease: None });
    assert!(rig.now >= Timestamp::ZERO.after(super::fixture::LEFT));
    assert!(sent <= 10, "{sent}");
    assert_eq!(draw(token(2)), 2);
}
