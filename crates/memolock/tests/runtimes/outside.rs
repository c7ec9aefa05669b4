//! Calls outside of any runtime.

use std::time::Duration;

use futures_util::future::FutureExt;
use futures_util::{pin_mut, task};
use memolock::{Error, Memolock, NearCache, RuntimeError};

use crate::common::{SECOND, Spy, builder, never, value};
use crate::{at_home, nothing_left, one_at_a_time, stuck, threaded};

/// Runs a future on this thread, which has no runtime.
fn run<F: Future>(future: F) -> F::Output {
    assert!(tokio::runtime::Handle::try_current().is_err());
    pin_mut!(future);
    let thread = std::thread::current();
    let waker = std::task::Waker::from(std::sync::Arc::new(Unpark(thread)));
    let mut context = task::Context::from_waker(&waker);
    loop {
        match future.as_mut().poll(&mut context) {
            task::Poll::Ready(done) => return done,
            task::Poll::Pending => std::thread::park_timeout(Duration::from_millis(10)),
        }
    }
}

struct Unpark(std::thread::Thread);

impl std::task::Wake for Unpark {
    fn wake(self: std::sync::Arc<Self>) {
        self.0.unpark();
    }
}

fn refused<R>(got: Result<R, Error>) {
    let Err(error) = got else {
        panic!("it was served");
    };
    assert!(
        matches!(error, Error::Runtime(RuntimeError::Outside)),
        "{error:?}"
    );
}

#[test]
fn every_call_gets_a_typed_error_and_does_not_panic() {
    let (home, spy) = (threaded(), Spy::new());
    let likes = at_home(&home, &spy);
    home.block_on(likes.put("stored", &"x".to_owned())).unwrap();
    for id in ["stored", "missing"] {
        refused(run(likes.get_or_compute(id, |_| never())));
        refused(run(likes.get(id)));
        refused(run(likes.put(id, &String::new())));
        refused(run(likes.invalidate(id)));
        refused(run(likes.inspect(id)));
        refused(run(likes.entry(id).detach().or_compute(|_| never())));
        refused(run(likes
            .entry(id)
            .or_external(|| async { Ok::<_, String>(()) })));
        refused(run(likes.get_many([id])).into_result());
        let many = likes.get_or_compute_many([id], |_| async { Err::<Vec<(String, _)>, _>("no") });
        refused(run(many).into_result());
    }
    assert_eq!(spy.total(), 1, "nothing was sent but the put");
    nothing_left(&home, &spy, &likes);
}

#[test]
fn a_near_hit_needs_no_runtime() {
    let (home, spy) = (threaded(), Spy::new());
    let near = builder(&spy).near_cache(NearCache::entries(10));
    let likes: Memolock<String> = home.block_on(near.build()).unwrap();
    home.block_on(async {
        // Until changes are heard nothing is kept.
        while likes.stats().near.entries == 0 {
            likes.invalidate("a").await.unwrap();
            likes.get_or_compute("a", |_| value("near")).await.unwrap();
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    });
    assert_eq!(*run(likes.get("a")).unwrap().unwrap(), "near");
    assert_eq!(
        *run(likes.get_or_compute("a", |_| never())).unwrap(),
        "near"
    );
    let both = run(likes.get_many(["a", "b"]))
        .into_iter()
        .collect::<Vec<_>>();
    let [(_, near), (_, missing)] = <[_; 2]>::try_from(both).unwrap();
    assert_eq!(near.unwrap().unwrap().as_str(), "near");
    refused(missing);
}

#[test]
fn a_lease_is_not_renewed_outside_of_a_runtime() {
    let (home, spy) = (threaded(), Spy::new());
    let likes = at_home(&home, &spy);
    let compute = |lease: memolock::Lease| async move {
        std::thread::spawn(move || refused(run(lease.renew(SECOND))))
            .join()
            .unwrap();
        value("x").await
    };
    home.block_on(likes.get_or_compute("a", compute)).unwrap();
}

/// The waiting is done at home.
#[test]
fn a_close_waits_without_a_runtime_of_its_own() {
    let (home, spy) = (threaded(), Spy::new());
    let likes = at_home(&home, &spy);
    let led = likes.clone();
    let led = home.spawn(async move { led.get_or_compute("a", |_| stuck()).await });
    while likes.stats().computes == 0 {
        std::thread::yield_now();
    }
    run(likes.close());
    assert_eq!(likes.in_flight().tasks, 0);
    let got = home.block_on(led).unwrap();
    assert!(matches!(got, Err(Error::Closed)), "{got:?}");
    nothing_left(&home, &spy, &likes);
}

/// It is built at home too, and says so where there is none.
#[test]
fn a_memolock_is_built_outside_of_a_runtime_if_it_is_given_one() {
    let home = threaded();
    let likes = run(builder(&Spy::new()).runtime(home.handle().clone()).build()).unwrap();
    one_at_a_time()
        .block_on(likes.get_or_compute("a", |_| value("x")))
        .unwrap();
    let none = builder(&Spy::new()).build().now_or_never().unwrap();
    assert!(matches!(none, Err(Error::Config(_))), "{none:?}");
}
