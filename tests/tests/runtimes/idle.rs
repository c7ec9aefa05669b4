//! One `current_thread` runtime a thread, a `block_on` for each call, and the memolock built elsewhere.

use std::time::Duration;

use memolock::Source;
use memolock_testkit::unique_tag;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};

use crate::stores::Servers;
use crate::{
    HANG, Likes, alone, at_home, never, nothing_left, one_at_a_time, stuck, threaded, value, wait,
};

const MILLI: Duration = Duration::from_millis(1);

/// Each call on a runtime of its own, which is kept and runs no more: what was left there is never done.
struct Stopped(Vec<Runtime>);

impl Stopped {
    fn call<R>(&mut self, call: impl Future<Output = R>) -> R {
        let here = one_at_a_time();
        let done = here.block_on(async { timeout(HANG, call).await.expect("a hang") });
        self.0.push(here);
        done
    }
}

#[test]
fn work_goes_on_over_every_backend_although_callers_runtimes_stop() {
    let servers = Servers::start();
    for store in servers.stores() {
        let home = threaded();
        let likes = alone(&home, &store);
        let mut stopped = Stopped(Vec::new());
        for round in 0..3 {
            gives_back(&likes, &mut stopped, &format!("left {round}"));
            goes_on(&likes, &mut stopped, &format!("detached {round}"));
            commands(&likes, &mut stopped, &format!("commands {round}"));
        }
        stopped.call(likes.close());
        assert_eq!(likes.in_flight().tasks, 0, "{}", store.name());
        nothing_left(&likes);
    }
}

/// A caller that gives up leaves its key to the next one at once.
fn gives_back(likes: &Likes, stopped: &mut Stopped, id: &str) {
    let before = likes.stats().computes;
    stopped.call(async {
        tokio::select! {
            _ = likes.get_or_compute(id, |_| stuck()) => panic!("it ended"),
            () = until(|| likes.stats().computes > before) => {}
        }
    });
    let next = stopped.call(likes.get_or_compute(id, |_| value("next")));
    assert_eq!(*next.unwrap(), "next");
}

/// Detached work ends without its caller.
fn goes_on(likes: &Likes, stopped: &mut Stopped, id: &str) {
    let before = likes.stats().computes;
    let (end, ended) = oneshot::channel::<()>();
    stopped.call(async {
        let compute = |_| async move {
            ended.await.map_err(|e| e.to_string())?;
            sleep(MILLI).await;
            value("detached").await
        };
        tokio::select! {
            _ = likes.entry(id).detach().or_compute(compute) => panic!("it ended"),
            () = until(|| likes.stats().computes > before) => {}
        }
    });
    end.send(()).unwrap();
    let memo = stopped
        .call(likes.entry(id).or_compute(|_| never()))
        .unwrap();
    assert_eq!(memo.as_str(), "detached");
}

/// Whatever else there is, each from a runtime that stops.
fn commands(likes: &Likes, stopped: &mut Stopped, id: &str) {
    stopped.call(likes.put(id, &"put".to_owned())).unwrap();
    assert_eq!(*stopped.call(likes.get(id)).unwrap().unwrap(), "put");
    assert!(stopped.call(likes.inspect(id)).unwrap().value.is_some());
    stopped.call(likes.invalidate(id)).unwrap();
    let compute = |ids: Vec<String>| async {
        Ok::<_, String>(
            ids.into_iter()
                .map(|id| (id.clone(), id))
                .collect::<Vec<_>>(),
        )
    };
    let all = stopped.call(likes.get_or_compute_many([id, "another"], compute));
    assert_eq!(*all.into_result().unwrap()[0], id);
}

/// A holder in one process, waiters in another: each woken by push, on a runtime that nobody else drives.
#[test]
fn waiters_are_woken_over_every_backend_on_runtimes_of_their_own() {
    let servers = Servers::start();
    for store in servers.stores() {
        let (home, tag) = (threaded(), unique_tag("runtimes"));
        let [here, there] = [(), ()].map(|()| at_home(&home, &store, &tag));
        let (end, ended) = oneshot::channel::<()>();
        std::thread::scope(|scope| {
            let holds = scope.spawn(|| {
                let compute = |_| async move {
                    ended.await.map_err(|e| e.to_string())?;
                    value("made").await
                };
                one_at_a_time().block_on(here.get_or_compute("a", compute))
            });
            wait(|| here.stats().computes == 1);
            // The first one leads there, and leaves in the middle; those who joined it take over.
            let left = one_at_a_time();
            let mut leads = Box::pin(there.get_or_compute("a", |_| never()));
            left.block_on(async {
                tokio::select! {
                    _ = &mut leads => panic!("it ended"),
                    () = until(|| there.stats().backend.subscriptions == 1) => {}
                }
            });
            let joins: Vec<_> = (1..=4)
                .map(|nth| {
                    let call =
                        || one_at_a_time().block_on(there.entry("a").or_compute(|_| never()));
                    let joined = scope.spawn(call);
                    wait(|| there.stats().joins == nth);
                    joined
                })
                .collect();
            drop(leads);
            wait(|| there.stats().handovers == 1);
            end.send(()).unwrap();
            for join in joins {
                let memo = join.join().unwrap().unwrap();
                assert_eq!((memo.as_str(), memo.source()), ("made", Source::Awaited));
            }
            assert_eq!(*holds.join().unwrap().unwrap(), "made", "{}", store.name());
        });
        nothing_left(&here);
        nothing_left(&there);
    }
}

/// A caller that is neither polled nor dropped keeps nothing that others need, wherever in its command it stopped.
#[test]
fn commands_of_callers_whose_runtime_stopped_hold_up_nobody_over_every_backend() {
    let servers = Servers::start();
    for store in servers.stores() {
        let home = threaded();
        let likes = alone(&home, &store);
        let mut stopped = Stopped(Vec::new());
        for polls in 0..20 {
            let here = one_at_a_time();
            for id in ["a", "b", "a"] {
                let likes = likes.clone();
                drop(here.spawn(async move { likes.put(id, &"stopped".to_owned()).await }));
            }
            here.block_on(async {
                for _ in 0..polls {
                    tokio::task::yield_now().await;
                }
            });
            stopped.0.push(here);
            let text = format!("live {polls}");
            stopped.call(likes.put("a", &text)).unwrap();
            assert_eq!(*stopped.call(likes.get("a")).unwrap().unwrap(), text);
        }
        drop(stopped);
        nothing_left(&likes);
    }
}

/// Connections are driven at the home that their builder was given, wherever they are made.
#[test]
fn backends_have_a_home_of_their_own() {
    let servers = Servers::start();
    for store in servers.stores() {
        let home = threaded();
        let connects = one_at_a_time();
        let backend = connects.block_on(store.connect_on(home.handle().clone()));
        let builder = memolock::Memolock::<String>::builder(unique_tag("runtimes"), backend);
        let builder = builder
            .codec(memolock::codec::Text)
            .lease(crate::LEASE)
            .wait_timeout(HANG);
        let builder = builder.runtime(home.handle().clone());
        let likes = connects.block_on(builder.build()).unwrap();
        let mut stopped = Stopped(vec![connects]);
        gives_back(&likes, &mut stopped, "a");
        goes_on(&likes, &mut stopped, "b");
        commands(&likes, &mut stopped, "c");
        stopped.call(likes.close());
    }
}

async fn until(done: impl Fn() -> bool) {
    while !done() {
        sleep(MILLI).await;
    }
}
