//! A program that does not answer: callers wait for it until the trigger time-out, and then others have their turn.
#![allow(clippy::unwrap_used)]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use common::{SECOND, Spy, builder, locked, nothing_left, process, value};
use memolock::core::{ErrorKind, Operation};
use memolock::{Error, Memo, Memolock, Source};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until};

type Likes = Memolock<String>;
type Got = Result<Memo<String>, Error>;

/// What a trigger starts: the first programs die without a word, and the others store after a time.
#[derive(Clone)]
struct Programs {
    store: Likes,
    die: usize,
    takes: Duration,
    fired: Arc<AtomicUsize>,
}

impl Programs {
    fn new(store: &Likes, die: usize, takes: Duration) -> Self {
        let (store, fired) = (store.clone(), Arc::default());
        Self {
            store,
            die,
            takes,
            fired,
        }
    }

    fn fired(&self) -> usize {
        self.fired.load(SeqCst)
    }

    async fn trigger(self) -> Result<(), String> {
        if self.fired.fetch_add(1, SeqCst) >= self.die {
            tokio::spawn(async move {
                sleep(self.takes).await;
                let made = "made".to_owned();
                self.store.entry("report").resolve(&made).await.unwrap();
            });
        }
        Ok(())
    }

    fn call(&self, likes: &Likes) -> JoinHandle<Got> {
        let (likes, programs) = (likes.clone(), self.clone());
        tokio::spawn(async move {
            let trigger = || programs.clone().trigger();
            likes.entry("report").or_external(trigger).await
        })
    }
}

/// A caller that computes at once.
fn computing(likes: &Likes) -> JoinHandle<Got> {
    let likes = likes.clone();
    tokio::spawn(async move {
        let entry = likes.entry("report");
        entry.or_compute(|_| value("computed")).await
    })
}

async fn waiting_for(spy: &Spy, wait: Duration) -> Likes {
    builder(spy).wait_timeout(wait).build().await.unwrap()
}

/// Each caller with the moment at which it came.
async fn served(callers: Vec<(Duration, JoinHandle<Got>)>) -> Vec<(Duration, bool)> {
    let mut served = Vec::new();
    for (came, caller) in callers {
        let got = caller.await.unwrap();
        assert!(matches!(got, Ok(_) | Err(Error::Timeout { .. })), "{got:?}");
        served.push((came, got.is_ok()));
    }
    served
}

/// The trace that showed the fault: one caller a second, each waits 4 s, and the first program is dead.
#[tokio::test(start_paused = true)]
async fn with_steady_traffic_a_dead_program_does_not_keep_its_lease() {
    let spy = Spy::new();
    let likes = waiting_for(&spy, 4 * SECOND).await;
    let programs = Programs::new(&process(&spy).await, 1, SECOND);
    let began = Instant::now();
    let mut callers = Vec::new();
    for n in 0..24 {
        let came = SECOND * n;
        sleep_until(began + came).await;
        callers.push((came, programs.call(&likes)));
    }
    // The trigger had its 4 s, the lock was renewed last before that, and lasts 5 s; then the second program.
    let latest = 4 * SECOND + 5 * SECOND + SECOND + Duration::from_millis(100);
    for (came, served) in served(callers).await {
        assert!(served || came + 4 * SECOND < latest, "{came:?}");
    }
    assert_eq!(programs.fired(), 2);
    assert_eq!(
        spy.count(Operation::Release),
        1,
        "of the second, with the value"
    );
    nothing_left(&spy, &[&likes]).await;
}

/// All programs die: each trigger has its time, and each lock its lease.
#[tokio::test(start_paused = true)]
async fn a_program_is_started_again_only_when_its_time_and_its_lock_are_over() {
    let spy = Spy::new();
    let likes = waiting_for(&spy, 4 * SECOND).await;
    let programs = Programs::new(&process(&spy).await, usize::MAX, SECOND);
    let began = Instant::now();
    let mut callers = Vec::new();
    let mut fired = Vec::new();
    for tick in 0..300_u32 {
        sleep_until(began + tick * SECOND / 10).await;
        if tick.is_multiple_of(10) {
            callers.push((SECOND * tick / 10, programs.call(&likes)));
        }
        if programs.fired() > fired.len() {
            fired.push(began.elapsed());
        }
    }
    served(callers).await;
    for two in fired.windows(2) {
        let apart = two[1] - two[0];
        assert!(apart > 4 * SECOND, "{fired:?}: started over a slow one");
        assert!(
            apart < 4 * SECOND + 5 * SECOND + SECOND / 5,
            "{fired:?}: too late"
        );
    }
    assert!(fired.len() >= 4, "{fired:?}");
    sleep(6 * SECOND).await;
    nothing_left(&spy, &[&likes]).await;
    assert!(!locked(&spy, &likes, "report").await);
}

/// Whoever brings a compute does not wait for a dead program longer than for its time and its lock: here, in the
/// same process, and elsewhere.
#[tokio::test(start_paused = true)]
async fn callers_that_can_compute_are_served_behind_a_dead_program() {
    for elsewhere in [false, true] {
        let spy = Spy::new();
        let here = waiting_for(&spy, 4 * SECOND).await;
        let other = match elsewhere {
            true => waiting_for(&spy, 4 * SECOND).await,
            false => here.clone(),
        };
        let programs = Programs::new(&process(&spy).await, usize::MAX, SECOND);
        let began = Instant::now();
        let mut triggering = Vec::new();
        let mut computing_ones = Vec::new();
        for n in 0..16 {
            let came = SECOND * n;
            sleep_until(began + came).await;
            triggering.push((came, programs.call(&here)));
            sleep_until(began + came + SECOND / 2).await;
            computing_ones.push((came + SECOND / 2, computing(&other)));
        }
        let latest = 4 * SECOND + 5 * SECOND + SECOND / 10;
        let all = [triggering, computing_ones].map(served);
        for (came, served) in futures_util::future::join_all(all).await.concat() {
            assert!(served || came + 4 * SECOND < latest, "{elsewhere} {came:?}");
        }
        assert_eq!(
            programs.fired(),
            1,
            "{elsewhere}: who can compute goes first"
        );
        nothing_left(&spy, &[&here, &other]).await;
    }
}

#[tokio::test(start_paused = true)]
async fn without_anybody_who_can_compute_the_next_caller_triggers() {
    let spy = Spy::new();
    let likes = waiting_for(&spy, 4 * SECOND).await;
    let programs = Programs::new(&process(&spy).await, 1, SECOND);
    let first = programs.call(&likes);
    sleep(SECOND).await;
    let leaves = computing(&likes);
    let mut callers = vec![(Duration::ZERO, first)];
    for n in 2..8 {
        sleep(SECOND).await;
        callers.push((n * SECOND, programs.call(&likes)));
    }
    leaves.abort();
    let served = served(callers).await;
    assert_eq!(programs.fired(), 2);
    assert!(
        served.last().is_some_and(|(_, served)| *served),
        "{served:?}"
    );
    nothing_left(&spy, &[&likes]).await;
}

/// A program that is only slow is not started a second time: its value comes after its time, and is everybody's.
#[tokio::test(start_paused = true)]
async fn a_slow_program_answers_after_its_time_and_its_lock_is_given_back() {
    let spy = Spy::new();
    let likes = builder(&spy)
        .trigger_timeout(3 * SECOND)
        .build()
        .await
        .unwrap();
    let programs = Programs::new(&process(&spy).await, 0, 5 * SECOND);
    let callers = [
        programs.call(&likes),
        programs.call(&likes),
        computing(&likes),
    ];
    for caller in callers {
        let memo = caller.await.unwrap().unwrap();
        assert_eq!((memo.as_str(), memo.source()), ("made", Source::Awaited));
    }
    assert_eq!(programs.fired(), 1);
    nothing_left(&spy, &[&likes]).await;
    assert!(
        !locked(&spy, &likes, "report").await,
        "not left to those who come later"
    );
}

#[tokio::test(start_paused = true)]
async fn after_its_time_the_lease_is_neither_renewed_nor_released() {
    let spy = Spy::new();
    let likes = process(&spy).await;
    let entry = likes
        .entry("report")
        .trigger_timeout(2 * SECOND)
        .wait_timeout(4 * SECOND);
    let call = entry.or_external(|| async { Ok::<_, String>(()) });
    let look = async {
        sleep(2 * SECOND + SECOND / 10).await;
        let renewed = spy.count(Operation::Renew);
        sleep(SECOND + SECOND / 2).await;
        assert!(locked(&spy, &likes, "report").await);
        renewed
    };
    let (ended, renewed) = tokio::join!(call, look);
    assert!(matches!(ended, Err(Error::Timeout { .. })));
    sleep(5 * SECOND).await;
    assert_eq!(spy.count(Operation::Renew), renewed);
    assert_eq!(spy.count(Operation::Release), 0);
    assert!(!locked(&spy, &likes, "report").await);
    nothing_left(&spy, &[&likes]).await;
}

#[tokio::test(start_paused = true)]
async fn a_trigger_timeout_of_zero_is_one_lease() {
    let spy = Spy::new();
    let likes = builder(&spy)
        .trigger_timeout(Duration::ZERO)
        .build()
        .await
        .unwrap();
    let programs = Programs::new(&process(&spy).await, 1, SECOND);
    let began = Instant::now();
    assert_eq!(
        programs.call(&likes).await.unwrap().unwrap().as_str(),
        "made"
    );
    assert_eq!((programs.fired(), spy.count(Operation::Renew)), (2, 0));
    assert!(
        began.elapsed() < 6 * SECOND + SECOND / 10,
        "{:?}",
        began.elapsed()
    );
    nothing_left(&spy, &[&likes]).await;
}

#[tokio::test(start_paused = true)]
async fn a_detached_trigger_has_its_time_too() {
    let spy = Spy::new();
    let likes = builder(&spy)
        .trigger_timeout(3 * SECOND)
        .build()
        .await
        .unwrap();
    let programs = Programs::new(&process(&spy).await, 1, SECOND);
    let detached = {
        let (likes, programs) = (likes.clone(), programs.clone());
        tokio::spawn(async move {
            let trigger = move || programs.clone().trigger();
            likes.entry("report").detach().or_external(trigger).await
        })
    };
    sleep(SECOND).await;
    detached.abort();
    sleep(10 * SECOND).await;
    assert_eq!(programs.fired(), 2, "it goes on without its caller");
    assert_eq!(*likes.get("report").await.unwrap().unwrap(), "made");
    nothing_left(&spy, &[&likes]).await;
}

/// The value and the end of its time come together; whichever is seen first, the caller has the value.
#[tokio::test(start_paused = true)]
async fn a_value_at_the_very_end_of_its_time_is_found() {
    for takes in [2999, 3000, 3001] {
        let spy = Spy::new();
        let likes = builder(&spy)
            .trigger_timeout(3 * SECOND)
            .build()
            .await
            .unwrap();
        let takes = Duration::from_millis(takes);
        let programs = Programs::new(&process(&spy).await, 0, takes);
        let began = Instant::now();
        let memo = programs.call(&likes).await.unwrap().unwrap();
        assert_eq!((memo.as_str(), programs.fired()), ("made", 1));
        assert_eq!(began.elapsed(), takes);
        nothing_left(&spy, &[&likes]).await;
        assert!(!locked(&spy, &likes, "report").await);
    }
}

/// An outage at that moment: nobody starts another program, nor computes, while the lock may stand.
#[tokio::test(start_paused = true)]
async fn an_outage_at_the_end_of_its_time_is_waited_out() {
    let spy = Spy::new();
    let likes = builder(&spy)
        .trigger_timeout(3 * SECOND)
        .build()
        .await
        .unwrap();
    let programs = Programs::new(&process(&spy).await, 1, SECOND);
    let caller = programs.call(&likes);
    sleep(2 * SECOND + SECOND / 2).await;
    spy.break_with(Some(ErrorKind::Unavailable));
    sleep(SECOND).await;
    spy.break_with(None);
    assert_eq!(caller.await.unwrap().unwrap().as_str(), "made");
    assert_eq!(programs.fired(), 2);
    nothing_left(&spy, &[&likes]).await;
}

/// A lease that is lost while its program has its time is taken again; its time goes on.
#[tokio::test(start_paused = true)]
async fn a_lost_lease_does_not_begin_the_time_again() {
    let spy = Spy::new();
    let likes = builder(&spy)
        .trigger_timeout(8 * SECOND)
        .build()
        .await
        .unwrap();
    let programs = Programs::new(&process(&spy).await, 1, SECOND);
    let began = Instant::now();
    let caller = programs.call(&likes);
    for at in [1, 2, 6] {
        sleep_until(began + at * SECOND).await;
        // A failover that forgets the lock: the next renewal says so.
        forget_lock(&spy, &likes).await;
    }
    assert_eq!(caller.await.unwrap().unwrap().as_str(), "made");
    assert_eq!(programs.fired(), 2);
    let latest = 8 * SECOND + 5 * SECOND + SECOND + SECOND / 10;
    assert!(began.elapsed() < latest, "{:?}", began.elapsed());
    nothing_left(&spy, &[&likes]).await;
}

async fn forget_lock(spy: &Spy, likes: &Likes) {
    use memolock::core::{Backend, Token};
    let key = common::key(likes, "report");
    let lock = spy.store().inspect(&key).await.unwrap().lock.unwrap();
    let hex = String::from_utf8(lock.holder.to_vec()).unwrap();
    let token = Token::from_bits(u128::from_str_radix(&hex, 16).unwrap());
    assert!(spy.store().release(&key, token, None).await.unwrap());
}

/// The next holder here computes, and its failure is its own.
#[tokio::test(start_paused = true)]
async fn a_trigger_that_fails_the_second_time_is_told_to_all() {
    let spy = Spy::new();
    let likes = builder(&spy).trigger_timeout(SECOND).build().await.unwrap();
    let fired = AtomicUsize::new(0);
    let trigger = || async {
        match fired.fetch_add(1, SeqCst) {
            0 => Ok(()),
            _ => Err("no program".to_owned()),
        }
    };
    let failed = likes.entry("report").or_external(trigger).await;
    assert!(matches!(failed, Err(Error::Compute(e)) if e.to_string() == "no program"));
    assert!(!locked(&spy, &likes, "report").await);
    let joined = likes
        .get_or_compute("report", |_| value("x"))
        .await
        .unwrap();
    assert_eq!(*joined, "x");
    nothing_left(&spy, &[&likes]).await;
}
