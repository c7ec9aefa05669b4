//! The store fails while a rival is known to be at it (R1, R2), and tokens whose fate is open (R5, R7).

use std::time::Duration;

use super::fixture::{LEFT, Rig, TTL, draw, input, lost, token};
use crate::{
    Deadline, FailurePolicy, Input, Mode, Notice, OutagePolicy, Outcome, Output, Policy, Storage,
    Timestamp,
};

/// Every way into an outage beside a rival.
const OUTAGES: [&str; 6] = [
    "miss held subscribe-refused",
    "miss held subscribe-lost subscribe-lost",
    "miss held subscribed acquire-refused",
    "miss held subscribed acquire-lost acquire-lost",
    "miss held subscribed held hear-resumed acquire-refused",
    "miss held subscribed held cut-off",
];

/// A waiter whose try for the lease was lost, so that it may hold it.
fn in_doubt() -> Rig {
    let rig = Rig::new(Mode::Compute).play("miss held subscribed acquire-lost acquire-lost");
    assert_eq!(rig.state(), "waiting");
    rig
}

/// The same without a subscription.
fn in_doubt_pausing() -> Rig {
    let inputs = "miss held subscribe-refused elapsed acquire-lost acquire-lost";
    let rig = Rig::new(Mode::Compute).play(inputs);
    assert_eq!(rig.state(), "pausing");
    rig
}

/// Everything fails from now on, until something other than a try comes of it. Says how many there were.
fn fail_on(rig: &mut Rig) -> usize {
    let mut tries = 0;
    loop {
        match rig.output() {
            Output::Acquire { .. } => rig.feed(input("acquire-refused")),
            Output::Subscribe => rig.feed(input("subscribe-refused")),
            Output::Listen | Output::Pause => {
                tries += 1;
                assert!(tries < 1000, "there is no end of it");
                rig.elapse()
            }
            _ => return tries,
        };
    }
}

fn acquires(rig: &Rig) -> u128 {
    match rig.output() {
        Output::Acquire { token, .. } => draw(token),
        other => panic!("{other:?}"),
    }
}

fn released(rig: &Rig) -> u128 {
    match rig.output() {
        Output::Release { token, .. } => draw(token),
        other => panic!("{other:?}"),
    }
}

#[test]
fn r1_an_outage_is_no_reason_to_compute_while_a_rivals_lease_lasts() {
    for inputs in OUTAGES {
        let mut rig = Rig::new(Mode::Compute).play(inputs);
        assert!(rig.machine.deadline().is_some(), "{inputs}");
        let tries = fail_on(&mut rig);
        let over = Timestamp::ZERO.after(LEFT);
        assert_eq!(rig.output(), Output::Compute { lease: None }, "{inputs}");
        assert_eq!(rig.now, over, "{inputs}: neither before nor long after");
        assert_eq!(tries, 16, "{inputs}: one a pause");
    }
}

#[test]
fn r1_a_blip_beside_a_rival_ends_with_its_value() {
    for inputs in OUTAGES {
        let mut rig = Rig::new(Mode::Compute).play(inputs);
        rig.elapse();
        let tried = rig.clone().play("found");
        assert!(matches!(tried.outcome(), Some(Outcome::Value { .. })));
        let rig = rig.play("held");
        let rig = match rig.output() {
            Output::Subscribe => rig.play("subscribed held"),
            _ => rig,
        };
        assert_eq!(rig.output(), Output::Listen, "{inputs}");
        let rig = rig.play("hear-value");
        assert!(
            matches!(rig.outcome(), Some(Outcome::Value { .. })),
            "{inputs}"
        );
    }
}

#[test]
fn r1_without_a_rival_that_is_known_to_be_at_it_an_outage_is_computed_around_at_once() {
    for inputs in [
        "probe-refused",
        "miss acquire-refused",
        "miss held-forever subscribe-refused",
        "miss held subscribed held-forever hear-resumed acquire-refused",
        "miss held subscribed held hear-released elapsed acquire-refused",
        "miss held subscribed held hear-failed elapsed acquire-refused",
        "miss held subscribed held hear-invalidated cut-off",
        "miss held subscribed held elapsed acquire-refused",
    ] {
        let rig = Rig::new(Mode::Compute).play(inputs);
        assert_eq!(rig.output(), Output::Compute { lease: None }, "{inputs}");
    }
}

#[test]
fn r2_a_waiter_is_late_by_no_more_than_the_pause_when_an_outage_ends() {
    let pause = Policy::default().outage_pause;
    for inputs in OUTAGES {
        let mut rig = Rig::new(Mode::Compute).play(inputs);
        let at = rig.machine.deadline().expect("there is one");
        assert_eq!(at.at(), rig.now.after(pause), "{inputs}");
        rig.advance(pause - Duration::from_nanos(1))
            .feed(Input::Elapsed);
        assert!(matches!(rig.output(), Output::Listen | Output::Pause));
        rig.advance(Duration::from_nanos(1)).feed(Input::Elapsed);
        acquires(&rig);
        rig.feed(input("granted"));
        assert!(matches!(rig.output(), Output::Compute { lease: Some(_) }));
    }
}

#[test]
fn r2_a_pause_is_over_when_the_rivals_lease_is() {
    let policy = Policy {
        outage_pause: LEFT * 2,
        ..Policy::default()
    };
    for inputs in OUTAGES {
        let rig = Rig::with(policy.clone(), Mode::Compute).play(inputs);
        let at = rig.machine.deadline().map(Deadline::at);
        assert_eq!(at, Some(Timestamp::ZERO.after(LEFT)), "{inputs}");
    }
}

#[test]
fn r2_a_waiter_in_an_outage_still_hears_what_there_is_to_hear() {
    let waiting = || Rig::new(Mode::Compute).play("miss held subscribed acquire-refused");
    assert!(waiting().play("hear-value").outcome().is_some());
    let resumed = waiting().play("hear-resumed");
    acquires(&resumed);
    let told = waiting().play("hear-released");
    let soon = told.now.after(Policy::default().retry_jitter);
    assert!(told.machine.deadline().is_some_and(|d| d.at() <= soon));
}

#[test]
fn r2_a_subscription_is_asked_for_as_often_as_the_policy_says() {
    for (attempts, sends) in [(0, 1), (1, 1), (2, 2), (5, 5)] {
        for (mode, start) in [
            (Mode::Compute, "miss held"),
            (Mode::External, "miss granted"),
        ] {
            let policy = Policy {
                attempts,
                ..Policy::default()
            };
            let mut rig = Rig::with(policy, mode).play(start);
            let mut sent = 0;
            while rig.output() == Output::Subscribe && sent < 10 {
                sent += 1;
                rig.feed(input("subscribe-lost"));
            }
            assert_eq!(sent, sends, "{mode:?}");
        }
    }
    let again = Rig::new(Mode::Compute).play("miss held subscribe-lost subscribed");
    acquires(&again);
    let refused = Rig::new(Mode::Compute).play("miss held subscribe-refused");
    assert_eq!(
        refused.output(),
        Output::Pause,
        "no lost reply: not at once again"
    );
}

#[test]
fn r11_only_what_can_pass_is_waited_out() {
    for inputs in [
        "miss held subscribe-wrong",
        "miss held subscribed acquire-wrong",
        "miss held subscribe-refused elapsed acquire-wrong",
        "miss held subscribed held silenced",
    ] {
        let rig = Rig::new(Mode::Compute).play(inputs);
        assert!(
            matches!(rig.outcome(), Some(Outcome::Backend(_))),
            "{inputs}"
        );
    }
}

#[test]
fn r11_who_must_not_compute_waits_a_rival_out_too_and_then_has_the_error() {
    let strict = Policy {
        outage: OutagePolicy::Fail,
        ..Policy::default()
    };
    for (policy, mode) in [(strict, Mode::Compute), (Policy::default(), Mode::External)] {
        for inputs in OUTAGES {
            let mut rig = Rig::with(policy.clone(), mode).play(inputs);
            assert!(fail_on(&mut rig) > 1, "{inputs}");
            assert!(matches!(rig.outcome(), Some(Outcome::Backend(_))));
        }
    }
}

#[test]
fn r7_a_token_in_doubt_is_the_one_to_try_with_again() {
    for mut rig in [in_doubt(), in_doubt_pausing()] {
        for _ in 0..3 {
            assert_eq!(acquires(rig.elapse()), 2);
            rig.feed(input("acquire-refused"));
        }
        rig.elapse().feed(input("granted"));
        assert_eq!(rig.machine.held().map(|h| h.token), Some(token(2)));
    }
    let resumed = in_doubt().play("hear-gap hear-resumed");
    assert_eq!(acquires(&resumed), 2);
    let told = in_doubt().play("hear-released elapsed");
    assert_eq!(acquires(&told), 2);
    let cut_off = in_doubt().play("cut-off elapsed");
    assert_eq!(acquires(&cut_off), 2);
}

#[test]
fn r5_a_token_in_doubt_is_given_back_however_the_flight_ends() {
    let ends = [
        "hear-value",
        "silenced",
        "adopted-read",
        "abandoned",
        "hear-gap abandoned",
        "hear-released abandoned",
        "cut-off abandoned",
        "elapsed found",
        "elapsed acquire-wrong",
        "elapsed abandoned",
    ];
    for end in ends {
        assert_eq!(released(&in_doubt().play(end)), 2, "{end}");
    }
    for end in [
        "adopted-read",
        "abandoned",
        "elapsed found",
        "elapsed acquire-wrong",
        "elapsed abandoned",
    ] {
        assert_eq!(released(&in_doubt_pausing().play(end)), 2, "{end}");
    }
    let policy = Policy {
        failures: FailurePolicy::Share,
        ..Policy::default()
    };
    let told = "miss held subscribed acquire-lost acquire-lost hear-failed";
    let rig = Rig::with(policy, Mode::Compute).play(told);
    assert_eq!(rig.outcome(), Some(&Outcome::Remote("no".to_owned())));
    assert_eq!(released(&rig), 2);
}

#[test]
fn r5_a_token_in_doubt_is_given_back_after_an_outage_that_was_computed_around() {
    let mut rig = in_doubt();
    fail_on(&mut rig);
    let rig = rig.play("computed");
    assert!(matches!(
        rig.outcome(),
        Some(Outcome::Computed {
            storage: Storage::Degraded(_)
        })
    ));
    let (token, notice) = (token(2), Some(Notice::Released));
    assert_eq!(rig.output(), Output::Release { token, notice });
}

#[test]
fn r5_a_lease_that_another_holds_settles_a_doubt() {
    for rig in [in_doubt(), in_doubt_pausing()] {
        let rig = rig.play("elapsed held");
        let rig = match rig.output() {
            Output::Subscribe => rig.play("subscribed held"),
            _ => rig,
        };
        let next = rig.clone().play("elapsed");
        assert!(acquires(&next) > 2, "a token of its own again");
        assert_eq!(rig.play("abandoned").output(), Output::Rest);
    }
}

#[test]
fn r4_a_compute_under_a_token_that_was_in_doubt_begins_after_the_grant() {
    let mut rig = in_doubt();
    rig.elapse();
    let since = rig.now;
    rig.advance(Duration::from_secs(1)).feed(input("granted"));
    assert_eq!(rig.machine.held().map(|h| h.since), Some(since));
    rig.feed(input("computed"));
    assert!(matches!(rig.output(), Output::Fulfil { token: t, ttl: TTL, .. } if t == token(2)));
}

#[test]
fn a_driver_that_takes_over_in_an_outage_is_told_the_same_again() {
    for rig in [in_doubt(), in_doubt_pausing()] {
        for adopt in ["adopted-compute", "adopted-external"] {
            let adopted = rig.clone().play(adopt);
            assert_eq!(adopted.output(), rig.output(), "{adopt}");
            assert_eq!(adopted.machine.deadline(), rig.machine.deadline());
            assert_eq!(released(&adopted.play("abandoned")), 2, "{adopt}");
        }
    }
    // Which work is brought is asked when there is a lease to do it under.
    let granted = in_doubt_pausing().play("adopted-external elapsed granted");
    assert_eq!(granted.output(), Output::Subscribe);
}

#[test]
fn the_error_of_an_outage_is_the_last_one() {
    let strict = Policy {
        outage: OutagePolicy::Fail,
        ..Policy::default()
    };
    let inputs = "miss held subscribe-refused";
    let mut rig = Rig::with(strict, Mode::Compute).play(inputs);
    rig.elapse().advance(LEFT);
    rig.feed(input("acquire-lost")).feed(input("acquire-lost"));
    assert_eq!(rig.outcome(), Some(&Outcome::Backend(lost())));
}

/// The same bytes of another version, heard again, may be a repeated notice: the holder is still known to be at work.
#[test]
fn a_value_that_is_passed_over_again_does_not_end_the_holder() {
    let waiting = "miss held subscribed held";
    for (heard, then) in [
        ("passed-over-again", "waiting"),
        ("passed-over", "degraded"),
    ] {
        let mut rig = Rig::new(Mode::Compute).play(waiting);
        rig.feed(input(heard));
        // It asks at once, also where the bytes are the same.
        let soon = rig.machine.deadline().map(|at| at.at().since(rig.now));
        assert!(
            soon.is_some_and(|soon| soon <= Policy::default().retry_jitter),
            "{soon:?}"
        );
        rig.elapse();
        assert_eq!(rig.state(), "rechecking", "{heard}");
        let mut freed = rig.clone();
        assert_eq!(freed.feed(input("granted")).state(), "computing", "{heard}");
        assert_eq!(rig.feed(input("acquire-refused")).state(), then, "{heard}");
    }
}
