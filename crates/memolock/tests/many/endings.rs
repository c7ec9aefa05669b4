//! How ids of a batch end: by value, by everybody's error, or each by its own.
#![allow(clippy::unwrap_used)]

use memolock::core::{ErrorKind, Operation};
use memolock::{Error, Memo};

use crate::batches::{Batches, each};
use crate::common::{Fault, SECOND, Spy, builder, locked, nothing_left, process, settle, value};

#[tokio::test(start_paused = true)]
async fn an_error_is_that_of_every_id_and_of_who_joined() {
    let spy = Spy::new();
    let likes = process(&spy).await;
    let many = likes.get_or_compute_many(["a", "b"], async |_| {
        settle("somebody joined", || likes.stats().joins == 1).await;
        Err::<Vec<(String, String)>, _>("the database is down".to_owned())
    });
    let joiner = async {
        settle("the batch has begun", || likes.stats().computes == 2).await;
        likes.get_or_compute("b", |_| value("never")).await
    };
    let (all, joined) = tokio::join!(many, joiner);
    for (_, answer) in all.iter() {
        let error = answer.as_ref().unwrap_err();
        assert_eq!(error.to_string(), "the database is down");
    }
    assert_eq!(joined.unwrap_err().to_string(), "the database is down");
    for id in ["a", "b"] {
        assert!(!locked(&spy, &likes, id).await, "R5: {id}");
    }
    assert_eq!(likes.stats().failures, 2);
    nothing_left(&spy, &[&likes]).await;
}

#[tokio::test(start_paused = true)]
async fn a_panic_is_caught_and_is_that_of_every_id() {
    let spy = Spy::new();
    let likes = process(&spy).await;
    let all = likes
        .get_or_compute_many(["a", "b"], async |ids: Vec<String>| {
            assert!(ids.len() > 2, "only {}", ids.len());
            Ok::<_, String>(Vec::<(String, String)>::new())
        })
        .await;
    for (_, answer) in all.iter() {
        let error = answer.as_ref().unwrap_err();
        assert!(
            matches!(error, Error::Panicked { message, .. } if message == "only 2"),
            "{error}"
        );
    }
    assert!(!locked(&spy, &likes, "a").await && !locked(&spy, &likes, "b").await);
    nothing_left(&spy, &[&likes]).await;
}

#[tokio::test(start_paused = true)]
async fn an_id_without_a_value_has_an_error_of_its_own_and_what_is_too_much_is_ignored() {
    let spy = Spy::new();
    let likes = process(&spy).await;
    let all = likes
        .get_or_compute_many(["a", "b"], async |_: Vec<String>| {
            Ok::<_, String>([
                ("a", "first".to_owned()),
                ("a", "last".to_owned()),
                ("z", "?".to_owned()),
            ])
        })
        .await;
    let a: &Memo<String> = all.get("a").unwrap().as_ref().unwrap();
    assert_eq!(**a, "last");
    let b = all.get("b").unwrap().as_ref().unwrap_err();
    assert!(matches!(b, Error::Missing { .. }), "{b}");
    assert!(b.to_string().contains("likes:b"), "{b}");
    assert!(likes.get("z").await.unwrap().is_none());
    assert!(!locked(&spy, &likes, "b").await, "R5");
    nothing_left(&spy, &[&likes]).await;
}

#[tokio::test(start_paused = true)]
async fn what_is_held_beyond_the_wait_time_out_times_out_alone() {
    let spy = Spy::new();
    let (one, other) = (process(&spy).await, process(&spy).await);
    let slow = one.get_or_compute("b", async |_| {
        tokio::time::sleep(10 * SECOND).await;
        value("late").await
    });
    let many = async {
        settle("b is held", || one.in_flight().leases == 1).await;
        let entries = other.entries(["a", "b"]).wait_timeout(2 * SECOND);
        entries.or_compute(each).await
    };
    let (late, all) = tokio::join!(slow, many);
    assert_eq!(*late.unwrap(), "late");
    assert_eq!(all.get("a").unwrap().as_ref().unwrap().as_str(), "v-a");
    assert!(
        matches!(all.get("b"), Some(Err(Error::Timeout { .. }))),
        "{all:?}"
    );
    assert_eq!(other.stats().timeouts, 1);
    nothing_left(&spy, &[&one, &other]).await;
}

#[tokio::test(start_paused = true)]
async fn r10_a_close_ends_a_call_and_later_ones() {
    let spy = Spy::new();
    let likes = process(&spy).await;
    let closing = likes.clone();
    let all = likes.get_or_compute_many(["a", "b"], async |ids| {
        // From within, in a task: the close waits for this very call.
        let closing = closing.clone();
        tokio::spawn(async move { closing.close().await });
        tokio::time::sleep(60 * SECOND).await;
        each(ids).await
    });
    let all = all.await;
    assert!(
        all.iter()
            .all(|(_, answer)| matches!(answer, Err(Error::Closed))),
        "{all:?}"
    );
    let later = likes.get_or_compute_many(["a"], each).await;
    assert!(
        matches!(later.get("a"), Some(Err(Error::Closed))),
        "{later:?}"
    );
    let read = likes.get_many(["a"]).await;
    assert!(
        matches!(read.get("a"), Some(Err(Error::Closed))),
        "{read:?}"
    );
    nothing_left(&spy, &[&likes]).await;
    assert!(!locked(&spy, &likes, "a").await && !locked(&spy, &likes, "b").await);
}

#[tokio::test(start_paused = true)]
async fn a_value_that_cannot_be_stored_is_its_callers_all_the_same() {
    let spy = Spy::new();
    let likes = process(&spy).await;
    spy.tamper(Operation::Fulfil, Fault::Fails(ErrorKind::OutOfMemory));
    let all = likes.get_or_compute_many(["a", "b"], each).await;
    assert_eq!(all.into_result().unwrap().len(), 2, "R3");
    assert_eq!(likes.stats().unstored, 2);
    nothing_left(&spy, &[&likes]).await;
    assert!(!locked(&spy, &likes, "a").await);
}

/// Each of many is stored later by itself.
#[tokio::test(start_paused = true)]
async fn r2_values_of_many_that_are_refused_for_now_are_stored_later() {
    let spy = Spy::new();
    let likes = process(&spy).await;
    spy.tamper(Operation::Fulfil, Fault::Fails(ErrorKind::Refused));
    let all = likes.get_or_compute_many(["a", "b"], each).await;
    assert_eq!(all.into_result().unwrap().len(), 2, "R3");
    tokio::time::sleep(SECOND).await;
    nothing_left(&spy, &[&likes]).await;
    for id in ["a", "b"] {
        assert!(likes.get(id).await.unwrap().is_some(), "{id}");
        assert!(!locked(&spy, &likes, id).await, "{id}");
    }
}

#[tokio::test(start_paused = true)]
async fn r7_lost_replies_are_asked_again_together() {
    for operation in [Operation::Get, Operation::Acquire, Operation::Fulfil] {
        let spy = Spy::new();
        let likes = process(&spy).await;
        let batches = Batches::default();
        spy.tamper(operation, Fault::LosesReply(ErrorKind::Unavailable));
        let ids = ["a", "b", "c"];
        let all = likes.get_or_compute_many(ids, |ids| batches.run(ids)).await;
        assert_eq!(all.into_result().unwrap().len(), 3, "{operation}");
        assert_eq!(batches.seen(), [ids], "{operation}");
        assert_eq!(spy.count(operation), 2, "{operation}");
        assert_eq!(spy.total(), 4, "{operation}: {:?}", likes.stats());
        nothing_left(&spy, &[&likes]).await;
    }
}

#[tokio::test(start_paused = true)]
async fn failures_are_shared_where_the_memolock_says_so() {
    let spy = Spy::new();
    let one = process(&spy).await;
    let share = builder(&spy).on_remote_failure(memolock::FailurePolicy::Share);
    let other = share.build().await.unwrap();
    let fails = one.get_or_compute("b", async |_| {
        settle("it is awaited", || spy.count(Operation::Subscribe) == 1).await;
        tokio::time::sleep(SECOND).await;
        Err::<String, _>("no luck".to_owned())
    });
    let many = async {
        settle("b is held", || one.in_flight().leases == 1).await;
        other.get_or_compute_many(["a", "b"], each).await
    };
    let (_, all) = tokio::join!(fails, many);
    assert!(all.get("a").unwrap().is_ok());
    let error = all.get("b").unwrap().as_ref().unwrap_err();
    assert!(
        matches!(error, Error::Remote { message, .. } if message == "no luck"),
        "{error}"
    );
    nothing_left(&spy, &[&one, &other]).await;
}
