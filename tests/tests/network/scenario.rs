//! A holder and a waiter; a fault while both are at it; traffic; the end of it, and what came of it.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use futures_util::future::join_all;
use memolock::Memo;
use memolock::core::ErrorKind;
use memolock_testkit::TestServer;
use memolock_tests::{Adapter, HANG, cli, eventually};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

use crate::cases::{Case, Whom};
use crate::side::{LEASE, Side};

/// Values that are stored before the fault, of all sizes: each names its key.
const STORED: usize = 16;
const LARGEST: usize = 40_000;

type Call = JoinHandle<Result<Memo<String>, memolock::Error>>;

/// What callers saw.
pub(crate) struct Row {
    adapter: Adapter,
    case: Case,
    answered: usize,
    failed: usize,
    slowest: u128,
    waiter: &'static str,
    recovery: u128,
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whom = format!("{:?}", self.case.whom);
        write!(
            f,
            "{:<15} {:<30} {whom:<6} ",
            self.adapter.to_string(),
            self.case.name
        )?;
        write!(
            f,
            "read {:>2}, failed {:>2}, slowest {:>5} ms; ",
            self.answered, self.failed, self.slowest
        )?;
        write!(
            f,
            "waiter {:<8}; recovered in {:>5} ms",
            self.waiter, self.recovery
        )
    }
}

/// One case, from the first connection to the last.
pub(crate) async fn run(adapter: Adapter, server: &TestServer, case: Case) -> Row {
    let tag = format!("n{}", case.nth);
    let holder = Side::start(adapter, server, &tag, case.nth).await;
    let waiter = Side::start(adapter, server, &tag, !case.nth).await;
    for n in 0..STORED {
        let (name, value) = (format!("{tag}:k{n}"), stored(n));
        cli(server, &["SET", &name, &value, "PX", "600000"]).await;
    }
    let promise = promised(server, &tag, &holder, &waiter).await;
    for side in struck(&case, &holder, &waiter) {
        side.strike(&case).await;
    }
    let (one, two) = tokio::join!(traffic(&case, &holder), traffic(&case, &waiter));
    let ended = Instant::now();
    promise.end.send(()).unwrap();
    let held = answer(promise.holding).await;
    assert_eq!(held, "holder", "R3, {case:?}");
    let got = answer(promise.waiting).await;
    assert!(got == "holder" || got == "waiter", "{got}, {case:?}");
    if let Some(computed) = *promise.computed.lock().unwrap() {
        let free = ended.min(promise.began + LEASE);
        assert!(
            computed >= free,
            "R1: computed under another's lease, {case:?}"
        );
    }
    let recovery = Instant::now();
    for side in struck(&case, &holder, &waiter) {
        side.heal().await;
    }
    recovered(server, &tag, &holder, &waiter).await;
    recovered(server, &tag, &waiter, &holder).await;
    let recovery = recovery.elapsed().as_millis();
    for side in [&holder, &waiter] {
        timeout(HANG, side.likes.close()).await.expect("a hang");
        timeout(HANG, side.backend.close()).await.expect("a hang");
    }
    Row {
        adapter,
        case,
        answered: one.0 + two.0,
        failed: one.1 + two.1,
        slowest: one.2.max(two.2),
        waiter: if got == "holder" {
            "was told"
        } else {
            "computed"
        },
        recovery,
    }
}

fn struck<'a>(case: &Case, holder: &'a Side, waiter: &'a Side) -> Vec<&'a Side> {
    match case.whom {
        Whom::Holder => vec![holder],
        Whom::Waiter => vec![waiter],
        Whom::Both => vec![holder, waiter],
    }
}

fn stored(n: usize) -> String {
    format!("k{n}:{}", "x".repeat(LARGEST * n / STORED))
}

struct Promise {
    began: Instant,
    end: oneshot::Sender<()>,
    holding: Call,
    waiting: Call,
    computed: Arc<Mutex<Option<Instant>>>,
}

/// The holder has the lock, and the waiter listens.
async fn promised(server: &TestServer, tag: &str, holder: &Side, waiter: &Side) -> Promise {
    let began = Instant::now();
    for round in 0.. {
        assert!(began.elapsed() < HANG, "no promise was made");
        let id = format!("promise{round}");
        let (end, ended) = oneshot::channel();
        let (begin, begun) = oneshot::channel();
        let (likes, name) = (holder.likes.clone(), id.clone());
        let began = Instant::now();
        let holding = tokio::spawn(async move {
            let compute = |_| async {
                let _ = begin.send(());
                let _ = ended.await;
                Ok::<_, String>("holder".to_owned())
            };
            likes.entry(&name).or_compute(compute).await
        });
        timeout(HANG, begun).await.expect("a hang").unwrap();
        let lock = format!("{tag}/lock:{id}");
        if cli(server, &["EXISTS", &lock]).await.as_int() != Some(1) {
            // A busy machine: its bounds were over first, and it computes without a lease.
            continue;
        }
        let computed = Arc::new(Mutex::new(None));
        let (likes, name, when) = (waiter.likes.clone(), id.clone(), Arc::clone(&computed));
        let waiting = tokio::spawn(async move {
            let compute = |_| async move {
                *when.lock().unwrap() = Some(Instant::now());
                Ok::<_, String>("waiter".to_owned())
            };
            likes.entry(&name).or_compute(compute).await
        });
        let channel = format!("{tag}/notif:{id}");
        eventually("a listener, or an answer", || async {
            waiting.is_finished()
                || cli(server, &["PUBSUB", "NUMSUB", &channel]).await.items()[1].as_int() > Some(0)
        })
        .await;
        if !waiting.is_finished() {
            return Promise {
                began,
                end,
                holding,
                waiting,
                computed,
            };
        }
    }
    unreachable!("the loop has no end")
}

/// Many reads at once: each answer must be that of its key, and none may be missing.
async fn traffic(case: &Case, side: &Side) -> (usize, usize, u128) {
    let (mut answered, mut failed, mut slowest) = (0, 0, 0);
    for _ in 0..2 {
        let reads = (0..STORED).map(|n| async move {
            let key = side.likes.keyspace().key(&format!("k{n}")).unwrap();
            let began = Instant::now();
            let read = timeout(HANG, side.backend.get(&key)).await;
            let read = read.expect("a hang").map(|value| value.map(|v| v.to_vec()));
            (n, read, began.elapsed().as_millis())
        });
        for (n, read, took) in join_all(reads).await {
            slowest = slowest.max(took);
            match read {
                Ok(value) => {
                    let right = value.as_deref() == Some(stored(n).as_bytes());
                    assert!(
                        right,
                        "k{n} answered with {:?}, {case:?}",
                        value.map(|v| v.len())
                    );
                    answered += 1;
                }
                Err(error) => {
                    let line = matches!(
                        error.kind(),
                        ErrorKind::Unavailable | ErrorKind::Timeout | ErrorKind::Refused
                    );
                    assert!(line && error.is_retryable(), "{error}, {case:?}");
                    failed += 1;
                }
            }
        }
        let calls = (0..STORED).map(|n| async move {
            let id = format!("k{n}");
            let compute = |_| async { Ok::<_, String>(stored(n)) };
            let call = side.likes.entry(&id).or_compute(compute);
            let value = timeout(HANG, call).await.expect("a hang").unwrap();
            assert!(**value == *stored(n), "a wrong value for k{n}, {case:?}");
        });
        join_all(calls).await;
    }
    (answered, failed, slowest)
}

async fn answer(call: Call) -> String {
    let value = timeout(HANG, call).await.expect("a hang").unwrap();
    (**value.unwrap()).to_owned()
}

/// Until a promise made on one side wakes the other, which computes nothing.
async fn recovered(server: &TestServer, tag: &str, one: &Side, other: &Side) {
    let began = Instant::now();
    loop {
        let told = other.likes.stats().computes;
        // An id that nobody has had, in the other direction neither: a stored value would be found for ever.
        static ROUNDS: AtomicUsize = AtomicUsize::new(0);
        let id = format!("after{}", ROUNDS.fetch_add(1, Relaxed));
        let (likes, name) = (one.likes.clone(), id.clone());
        let (go, gate) = oneshot::channel::<()>();
        let (begin, begun) = oneshot::channel();
        let holding = tokio::spawn(async move {
            let compute = |_| async {
                let _ = begin.send(());
                let _ = gate.await;
                Ok::<_, String>("holder".to_owned())
            };
            likes.entry(&name).or_compute(compute).await
        });
        let _ = timeout(HANG, begun).await.expect("a hang");
        let (likes, name) = (other.likes.clone(), id.clone());
        let waiting: Call = tokio::spawn(async move {
            let compute = |_| async { Ok::<_, String>("waiter".to_owned()) };
            likes.entry(&name).or_compute(compute).await
        });
        let channel = format!("{tag}/notif:{id}");
        eventually("a listener, or an answer", || async {
            waiting.is_finished()
                || cli(server, &["PUBSUB", "NUMSUB", &channel]).await.items()[1].as_int() > Some(0)
        })
        .await;
        let _ = go.send(());
        answer(holding).await;
        let got = answer(waiting).await;
        if got == "holder" && other.likes.stats().computes == told {
            return;
        }
        assert!(began.elapsed() < HANG, "it did not recover");
    }
}
