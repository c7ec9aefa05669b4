//! What flights are locked and woken with: std's and tokio's. Under `cargo xtask shuttle` the same with
//! points between, at which a scheduler of threads may switch, so that their interleavings can be tried.

#[cfg(not(all(test, memolock_shuttle)))]
pub(crate) use futures_util::task::AtomicWaker;
#[cfg(not(all(test, memolock_shuttle)))]
pub(crate) use std::sync::atomic::AtomicBool;
#[cfg(not(all(test, memolock_shuttle)))]
pub(crate) use std::sync::{Mutex, MutexGuard, OnceLock};
#[cfg(not(all(test, memolock_shuttle)))]
pub(crate) use tokio::sync::Notify;

#[cfg(all(test, memolock_shuttle))]
pub(crate) use points::{AtomicWaker, Notify, OnceLock};
#[cfg(all(test, memolock_shuttle))]
pub(crate) use shuttle::sync::atomic::AtomicBool;
#[cfg(all(test, memolock_shuttle))]
pub(crate) use shuttle::sync::{Mutex, MutexGuard};

#[cfg(all(test, memolock_shuttle))]
mod points {
    use std::sync::atomic::Ordering::SeqCst;
    use std::task::Waker;

    use shuttle::sync::atomic::AtomicBool;
    use tokio::sync::futures::Notified;

    /// Shuttle runs all on one thread and switches at accesses to its own types alone.
    #[derive(Debug)]
    struct Point(AtomicBool);

    impl Point {
        fn new() -> Self {
            Self(AtomicBool::new(false))
        }

        fn pass(&self) {
            self.0.load(SeqCst);
        }
    }

    /// tokio's own, whose wakers shuttle's executor takes as they are.
    #[derive(Debug)]
    pub(crate) struct Notify(tokio::sync::Notify, Point);

    impl Notify {
        pub(crate) fn new() -> Self {
            Self(tokio::sync::Notify::new(), Point::new())
        }

        pub(crate) fn notified(&self) -> Notified<'_> {
            self.1.pass();
            self.0.notified()
        }

        pub(crate) fn notify_one(&self) {
            self.1.pass();
            self.0.notify_one();
            self.1.pass();
        }

        pub(crate) fn notify_waiters(&self) {
            self.1.pass();
            self.0.notify_waiters();
            self.1.pass();
        }
    }

    /// futures' own.
    #[derive(Debug)]
    pub(crate) struct AtomicWaker(futures_util::task::AtomicWaker, Point);

    impl AtomicWaker {
        pub(crate) fn new() -> Self {
            Self(futures_util::task::AtomicWaker::new(), Point::new())
        }

        pub(crate) fn register(&self, waker: &Waker) {
            self.1.pass();
            self.0.register(waker);
            self.1.pass();
        }

        pub(crate) fn wake(&self) {
            self.1.pass();
            self.0.wake();
            self.1.pass();
        }
    }

    /// std's own.
    #[derive(Debug)]
    pub(crate) struct OnceLock<T>(std::sync::OnceLock<T>, Point);

    impl<T> OnceLock<T> {
        pub(crate) fn new() -> Self {
            Self(std::sync::OnceLock::new(), Point::new())
        }

        pub(crate) fn get(&self) -> Option<&T> {
            self.1.pass();
            let value = self.0.get();
            self.1.pass();
            value
        }

        pub(crate) fn set(&self, value: T) -> Result<(), T> {
            self.1.pass();
            self.0.set(value)
        }
    }
}
