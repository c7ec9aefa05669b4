//! Promises that another program keeps: what it stores and we cannot decode is an error, and no reason to start it again
//! and again.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use bytes::Bytes;
use memolock::{Error, Memo, Memolock, Source};
use tokio::time::{Instant, sleep};

use super::{GARBAGE, OTHER_GARBAGE, SECOND, is_codec, scribble};
use crate::common::{Spy, locked, nothing_left, process};

/// Asks for a report, and counts triggers. The program stores these bytes a second later.
async fn ask(
    spy: &Spy,
    likes: &Memolock<String>,
    fired: &Arc<AtomicUsize>,
    stores: Bytes,
) -> Result<Memo<String>, Error> {
    let trigger = || async {
        fired.fetch_add(1, SeqCst);
        let (spy, likes, stores) = (spy.clone(), likes.clone(), stores.clone());
        tokio::spawn(async move {
            sleep(SECOND).await;
            scribble(&spy, &likes, "report", stores).await;
        });
        Ok::<_, String>(())
    };
    likes.entry("report").or_external(trigger).await
}

fn made() -> Bytes {
    Bytes::from_static(b"\"made\"")
}

#[tokio::test(start_paused = true)]
async fn a_program_is_triggered_once_over_undecodable_bytes() {
    let spy = Spy::new();
    let (likes, fired) = (process(&spy).await, Arc::default());
    scribble(&spy, &likes, "report", GARBAGE).await;
    let got = ask(&spy, &likes, &fired, made()).await.unwrap();
    assert_eq!((got.as_str(), got.source()), ("made", Source::Awaited));
    assert_eq!(fired.load(SeqCst), 1);
    nothing_left(&spy, &[&likes]).await;
}

#[tokio::test(start_paused = true)]
async fn what_a_program_stores_and_nobody_can_decode_is_the_error_of_the_call_at_once() {
    // With nothing there before, with the same bytes there before, and with others.
    for before in [None, Some(GARBAGE), Some(OTHER_GARBAGE)] {
        let spy = Spy::new();
        let (likes, fired) = (process(&spy).await, Arc::default());
        if let Some(bytes) = before {
            scribble(&spy, &likes, "report", bytes).await;
        }
        let began = Instant::now();
        let got = ask(&spy, &likes, &fired, GARBAGE).await;
        assert!(is_codec(&got), "{got:?}");
        assert_eq!((fired.load(SeqCst), began.elapsed()), (1, SECOND));
        nothing_left(&spy, &[&likes]).await;
        assert!(!locked(&spy, &likes, "report").await, "given back at once");
        // The next call triggers once more: it may be a better program by then.
        let got = ask(&spy, &likes, &fired, made()).await.unwrap();
        assert_eq!((got.as_str(), fired.load(SeqCst)), ("made", 2));
    }
}

/// The connection breaks while the program answers: the look after the gap finds its bytes.
#[tokio::test(start_paused = true)]
async fn bytes_that_are_found_after_a_gap_are_the_error_too() {
    let spy = Spy::new();
    let (likes, fired) = (process(&spy).await, Arc::default());
    scribble(&spy, &likes, "report", OTHER_GARBAGE).await;
    let cuts = async {
        sleep(SECOND / 2).await;
        spy.cut(true);
        sleep(SECOND).await;
        spy.cut(false);
    };
    let (got, ()) = tokio::join!(ask(&spy, &likes, &fired, GARBAGE), cuts);
    assert!(is_codec(&got), "{got:?}");
    assert_eq!(fired.load(SeqCst), 1);
}

/// A look after a gap finds what was there before the trigger: that is no answer.
#[tokio::test(start_paused = true)]
async fn bytes_from_before_the_trigger_are_not_taken_for_its_answer() {
    let spy = Spy::new();
    let (likes, fired) = (process(&spy).await, Arc::default());
    scribble(&spy, &likes, "report", GARBAGE).await;
    let cuts = async {
        sleep(SECOND / 4).await;
        spy.cut(true);
        sleep(SECOND / 4).await;
        spy.cut(false);
    };
    let (got, ()) = tokio::join!(ask(&spy, &likes, &fired, made()), cuts);
    assert_eq!((got.unwrap().as_str(), fired.load(SeqCst)), ("made", 1));
}

#[tokio::test(start_paused = true)]
async fn waiting_processes_start_a_program_once_each_and_no_more() {
    const FLEET: usize = 4;
    let spy = Spy::new();
    let fired = Arc::new(AtomicUsize::new(0));
    let mut tasks = Vec::new();
    for _ in 0..FLEET {
        let (spy, fired) = (spy.clone(), Arc::clone(&fired));
        let likes = process(&spy).await;
        tasks.push(tokio::spawn(async move {
            ask(&spy, &likes, &fired, GARBAGE).await
        }));
    }
    for task in tasks {
        assert!(is_codec(&task.await.unwrap()));
    }
    let fired = fired.load(SeqCst);
    assert!((1..=FLEET).contains(&fired), "{fired} triggers");
}
