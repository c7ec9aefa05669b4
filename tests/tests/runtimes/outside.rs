//! Threads without a runtime: the same typed error over every backend, and no panic.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;

use memolock::{Error, RuntimeError};

use crate::stores::Servers;
use crate::{alone, never, threaded};

/// Runs a future on this thread, which has no runtime.
fn run<F: Future>(future: F) -> F::Output {
    assert!(tokio::runtime::Handle::try_current().is_err());
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let (mut future, mut context) = (pin!(future), Context::from_waker(&waker));
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(done) => return done,
            Poll::Pending => std::thread::park(),
        }
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

#[test]
fn calls_without_a_runtime_get_the_same_error_over_every_backend() {
    let servers = Servers::start();
    for store in servers.stores() {
        let home = threaded();
        let likes = alone(&home, &store);
        home.block_on(likes.put("stored", &"x".to_owned())).unwrap();
        for id in ["stored", "missing"] {
            let ended = [
                run(likes.get_or_compute(id, |_| never())).map(drop),
                run(likes.entry(id).detach().or_compute(|_| never())).map(drop),
                run(likes.get(id)).map(drop),
                run(likes.put(id, &String::new())),
                run(likes.invalidate(id)),
                run(likes.inspect(id)).map(drop),
                run(likes.get_many([id])).into_result().map(drop),
            ];
            for (nth, ended) in ended.into_iter().enumerate() {
                let refused = matches!(&ended, Err(Error::Runtime(RuntimeError::Outside)));
                assert!(
                    refused,
                    "{}, the call {nth} of {id}: {ended:?}",
                    store.name()
                );
            }
        }
        run(likes.close());
        assert_eq!(likes.in_flight().tasks, 0, "{}", store.name());
    }
}

/// With homes that are given nothing else is needed, from connecting on.
#[test]
fn a_backend_connects_and_a_memolock_is_built_without_a_runtime_of_the_caller() {
    let servers = Servers::start();
    for store in servers.stores() {
        let home = threaded();
        let backend = run(store.connect_on(home.handle().clone()));
        let builder = memolock::Memolock::<String>::builder("outside", backend);
        let likes = run(builder.runtime(home.handle().clone()).build()).unwrap();
        assert!(
            home.block_on(likes.get("nothing")).unwrap().is_none(),
            "{}",
            store.name()
        );
        run(likes.close());
    }
}
