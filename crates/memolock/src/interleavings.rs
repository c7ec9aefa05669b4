//! The table, the seats and the crews under random interleavings of threads: `cargo xtask shuttle`.
//!
//! It is the code that ships, from `get_or_compute` down, over the embedded backend. Callers are tasks
//! of shuttle's; a janitor thread turns the tokio runtime on which clean-ups and the heartbeat run, and
//! its clock with it. A schedule in which a wake-up is lost is a deadlock, which shuttle reports.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};

use memolock_codec::Text;
use memolock_core::{Backend, Key, Timestamp};
use memolock_memory::MemoryBackend;
use shuttle::future::{JoinHandle, block_on, spawn, yield_now};
use shuttle::scheduler::{PctScheduler, RandomScheduler, Scheduler};
use shuttle::sync::atomic::AtomicBool;
use shuttle::{Config, Runner, thread};

use crate::{Error, InFlight, Memolock};

type Likes = Memolock<String, Text>;
type Got = Result<Arc<String>, Error>;

/// The most turns of a janitor: without a bound, a deadlock would be a loop.
const TURNS: usize = 2_000;
/// What passes with each: jitters end, while no caller's time and no lease is over after all of them.
const TURN: Duration = Duration::from_millis(1);

/// Bytes of stack of each thread. Shuttle's own 60 KiB are too few for a whole call without optimization, and what
/// overflows them is a segmentation fault.
const STACK: usize = 256 << 10;

/// How many schedules are tried by each of the two schedulers.
fn schedules() -> usize {
    let set = std::env::var("MEMOLOCK_SHUTTLE_SCHEDULES").ok();
    set.and_then(|n| n.parse().ok()).unwrap_or(500)
}

/// Plays it under schedules that switch anywhere, and under some that switch seldom but at bad moments.
/// A failure prints the schedule, for `shuttle::replay`.
fn tried(name: &str, play: fn(&Scene)) {
    fn run(scheduler: impl Scheduler + 'static, play: fn(&Scene)) -> usize {
        let mut config = Config::new();
        config.stack_size = STACK;
        Runner::new(scheduler, config).run(move || scene(play))
    }
    let began = Instant::now();
    let n = schedules();
    let ran = run(RandomScheduler::new(n), play) + run(PctScheduler::new(3, n), play);
    println!(
        "{name}: {ran} schedules in {:.1} s",
        began.elapsed().as_secs_f64()
    );
}

struct Scene {
    likes: Likes,
    backend: MemoryBackend,
    computes: Arc<AtomicUsize>,
}

/// One execution, from its first thread to the look at what is left.
fn scene(play: fn(&Scene)) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build();
    let runtime = Arc::new(runtime.expect("a runtime needs no more than memory"));
    let entered = runtime.enter();
    let backend = MemoryBackend::builder().clock(|| Timestamp::ZERO).build();
    let builder = Memolock::<String>::builder("likes", backend.clone()).codec(Text);
    let likes = block_on(builder.build()).expect("the settings are sound");
    let scene = Scene {
        likes,
        backend,
        computes: Arc::default(),
    };
    let done = Arc::new(AtomicBool::new(false));
    let janitor = {
        let (runtime, done) = (Arc::clone(&runtime), Arc::clone(&done));
        thread::spawn(move || {
            for _ in 0..TURNS {
                if done.load(SeqCst) {
                    break;
                }
                runtime.block_on(tokio::time::advance(TURN));
                thread::yield_now();
            }
        })
    };
    play(&scene);
    done.store(true, SeqCst);
    janitor.join().expect("the janitor does not panic");
    runtime.block_on(async {
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
    });
    scene.nothing_left();
    drop(scene);
    drop(entered);
    drop(runtime);
}

impl Scene {
    fn key(&self) -> Key {
        self.likes.key("a").expect("it is an ordinary id")
    }

    /// A caller whose compute gives way to others a few times.
    fn caller(&self, text: &'static str) -> JoinHandle<Got> {
        self.computing(move || Ok(text.to_owned()))
    }

    fn computing(
        &self,
        compute: impl FnOnce() -> Result<String, String> + Send + 'static,
    ) -> JoinHandle<Got> {
        let (likes, computes) = (self.likes.clone(), Arc::clone(&self.computes));
        spawn(async move {
            let compute = |_| async move {
                computes.fetch_add(1, SeqCst);
                let computed = compute();
                yield_now().await;
                yield_now().await;
                computed
            };
            likes.get_or_compute("a", compute).await
        })
    }

    fn nothing_left(&self) {
        assert_eq!(self.likes.in_flight(), InFlight::default(), "R9");
        assert_eq!(self.backend.stats().subscriptions, 0, "R9");
        let found = block_on(self.backend.inspect(&self.key())).expect("it is open");
        assert!(found.lock.is_none(), "R5: {found:?}");
    }
}

/// Drops some of the callers, at whatever point they are.
fn dropping(callers: &[JoinHandle<Got>], which: std::ops::Range<usize>) -> thread::JoinHandle<()> {
    let handles: Vec<_> = callers[which]
        .iter()
        .map(JoinHandle::abort_handle)
        .collect();
    thread::spawn(move || handles.iter().for_each(shuttle::future::AbortHandle::abort))
}

/// `None` for a caller that was dropped.
fn ended(caller: JoinHandle<Got>) -> Option<Got> {
    block_on(caller).ok()
}

fn text(got: Got) -> String {
    got.unwrap_or_else(|error| panic!("{error}")).to_string()
}

#[test]
fn r1_callers_that_meet_share_one_compute() {
    tried("callers that meet", |scene| {
        let callers: Vec<_> = (0..4).map(|_| scene.caller("x")).collect();
        for caller in callers {
            assert_eq!(ended(caller).map(text).as_deref(), Some("x"));
        }
        assert_eq!(scene.computes.load(SeqCst), 1);
    });
}

#[test]
fn r2_r5_r9_some_callers_are_dropped_and_the_others_get_the_value() {
    tried("some are dropped", |scene| {
        let mut callers: Vec<_> = (0..4).map(|_| scene.caller("x")).collect();
        let dropper = dropping(&callers, 0..2);
        let survivors = callers.split_off(2);
        for caller in survivors {
            assert_eq!(ended(caller).map(text).as_deref(), Some("x"));
        }
        dropper.join().expect("it does not panic");
        for caller in callers {
            assert!(ended(caller).is_none_or(|got| text(got) == "x"));
        }
    });
}

#[test]
fn r5_r9_all_callers_are_dropped_and_a_later_one_finds_the_key_free() {
    tried("all are dropped", |scene| {
        let callers: Vec<_> = (0..3).map(|_| scene.caller("x")).collect();
        let dropper = dropping(&callers, 0..3);
        // While they are being dropped, or after.
        assert_eq!(ended(scene.caller("x")).map(text).as_deref(), Some("x"));
        dropper.join().expect("it does not panic");
        for caller in callers {
            assert!(ended(caller).is_none_or(|got| text(got) == "x"));
        }
    });
}

#[test]
fn r9_every_caller_is_dropped_and_nobody_comes() {
    tried("nobody is left", |scene| {
        let callers: Vec<_> = (0..3).map(|_| scene.caller("x")).collect();
        dropping(&callers, 0..3).join().expect("it does not panic");
        callers.into_iter().for_each(|caller| drop(ended(caller)));
    });
}

#[test]
fn r10_a_close_ends_every_call_and_releases_what_was_held() {
    tried("closed", |scene| {
        let callers: Vec<_> = (0..3).map(|_| scene.caller("x")).collect();
        let dropper = dropping(&callers, 0..1);
        block_on(scene.likes.close());
        dropper.join().expect("it does not panic");
        for caller in callers {
            match ended(caller) {
                None | Some(Err(Error::Closed)) => {}
                Some(got) => assert_eq!(text(got), "x"),
            }
        }
        let late = ended(scene.caller("late"));
        assert!(matches!(late, Some(Err(Error::Closed))), "{late:?}");
    });
}

#[test]
fn r4_a_call_after_an_invalidation_joins_no_flight_from_before() {
    tried("invalidated", |scene| {
        let source = Arc::new(AtomicUsize::new(0));
        let look = |source: &Arc<AtomicUsize>| {
            let source = Arc::clone(source);
            move || Ok(source.load(SeqCst).to_string())
        };
        let before: Vec<_> = (0..2).map(|_| scene.computing(look(&source))).collect();
        let (likes, changed) = (scene.likes.clone(), Arc::clone(&source));
        let changer = spawn(async move {
            changed.store(1, SeqCst);
            likes.invalidate("a").await
        });
        block_on(changer)
            .expect("it is not dropped")
            .expect("the store works");
        let after = ended(scene.computing(look(&source))).map(text);
        assert_eq!(after.as_deref(), Some("1"));
        before.into_iter().for_each(|caller| drop(ended(caller)));
        let last = ended(scene.computing(look(&source))).map(text);
        assert_eq!(
            last.as_deref(),
            Some("1"),
            "an older compute stored its value"
        );
    });
}

#[test]
fn r4_a_put_is_found_by_every_later_call() {
    tried("put", |scene| {
        let before: Vec<_> = (0..2).map(|_| scene.caller("computed")).collect();
        let dropper = dropping(&before, 0..1);
        let put = scene.likes.clone();
        let put = spawn(async move { put.put("a", &"put".to_owned()).await });
        block_on(put)
            .expect("it is not dropped")
            .expect("the store works");
        let after = ended(scene.caller("computed")).map(text);
        assert_eq!(after.as_deref(), Some("put"));
        dropper.join().expect("it does not panic");
        before.into_iter().for_each(|caller| drop(ended(caller)));
    });
}

#[test]
fn r5_a_failure_or_a_panic_ends_one_flight_and_leaves_nothing() {
    tried("failed", |scene| {
        let failing = scene.computing(|| Err("no luck".to_owned()));
        let others: Vec<_> = (0..2).map(|_| scene.caller("x")).collect();
        let looks = scene.likes.clone();
        let looks = spawn(async move { looks.get("a").await });
        for caller in others.into_iter().chain([failing]) {
            match ended(caller) {
                Some(Err(Error::Compute(error))) => assert_eq!(error.to_string(), "no luck"),
                got => assert_eq!(got.map(text).as_deref(), Some("x")),
            }
        }
        let found = block_on(looks)
            .expect("it is not dropped")
            .expect("the store works");
        assert!(found.is_none_or(|value| *value == "x"));
    });
}
