//! A flight: one try, by this process, to get one value, and everybody who shares it.
//!
//! One caller at a time has the seat and drives; the others have joined and sleep. States of a seat
//! and what moves between them, all under one lock:
//!
//! ```text
//! Taken --leader dropped, joiners > 0--> Vacant(engine) --a joiner wakes--> Taken
//!   |  '--leader dropped, no joiners---> Over   (the engine goes to clean-up)
//!   |                    Vacant --last joiner leaves--> Over (the same)
//!   '--settled---------------------------------------> Over (outcome is there)
//! ```
//!
//! The joiner that is woken for a vacant seat may be dropped before it runs. `Notify` hands its
//! wake-up to the next one then, and the last one to leave finds the seat vacant in `leave`. It may also be on a
//! runtime that has stopped, so that it neither runs nor is dropped: then `offer_to_all` wakes the others.

use std::future::poll_fn;
use std::sync::PoisonError;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::task::Poll;

use memolock_core::Key;

use crate::engine::Engine;
use crate::settled::Settled;
use crate::sync::{AtomicBool, AtomicWaker, Mutex, MutexGuard, Notify, OnceLock};

/// One flight, shared by its callers.
pub(crate) struct Flight<T> {
    key: Key,
    outcome: OnceLock<Settled<T>>,
    seat: Mutex<Seat<T>>,
    /// Whether the seat is worth locking: it is vacant. Written under its lock.
    vacant: AtomicBool,
    /// The watch has been called.
    watched: AtomicBool,
    /// Whether everybody who waits needs a timer: the watch is over.
    late: AtomicBool,
    /// `notify_one`: the seat is vacant. `notify_waiters`: the outcome is there, the watch is over, or the seat is still
    /// vacant.
    notify: Notify,
    /// Who sits in the seat. There is at most one, so that a list of sleepers would cost every hit for nothing.
    pilot: AtomicWaker,
}

struct Seat<T> {
    joiners: usize,
    /// Those too who have left.
    ever: usize,
    state: SeatState<T>,
}

enum SeatState<T> {
    Taken,
    Vacant(Box<Engine<T>>),
    Over,
}

/// What becomes of an engine whose driver left.
pub(crate) enum Left<T> {
    /// A joiner has it, or will.
    Handed,
    /// Nobody is left: it needs cleaning up, and the flight must leave the table.
    Orphaned(Box<Engine<T>>),
}

impl<T> Flight<T> {
    /// A flight whose seat is taken by its maker.
    pub(crate) fn new(key: Key) -> Self {
        Self {
            key,
            outcome: OnceLock::new(),
            seat: Mutex::new(Seat {
                joiners: 0,
                ever: 0,
                state: SeatState::Taken,
            }),
            vacant: AtomicBool::new(false),
            watched: AtomicBool::new(false),
            late: AtomicBool::new(false),
            notify: Notify::new(),
            pilot: AtomicWaker::new(),
        }
    }

    pub(crate) fn key(&self) -> &Key {
        &self.key
    }

    pub(crate) fn outcome(&self) -> Option<&Settled<T>> {
        self.outcome.get()
    }

    pub(crate) fn notify(&self) -> &Notify {
        &self.notify
    }

    /// How it ends for the one in the seat, if it does: it is over, or a close sends this caller away, as `leaves` says.
    pub(crate) fn end(&self, leaves: impl FnOnce() -> bool) -> Option<Settled<T>> {
        match self.outcome.get() {
            Some(outcome) => Some(outcome.clone()),
            None => leaves().then_some(Settled::Closed),
        }
    }

    /// Waits for that: the leader's cue that the client is closed. For the one in the seat.
    pub(crate) async fn ended(&self, leaves: impl Fn() -> bool) -> Settled<T> {
        poll_fn(|cx| {
            // Registered before looking, so that nothing between the look and the sleep is missed. Who had
            // the seat before is gone.
            self.pilot.register(cx.waker());
            match self.end(&leaves) {
                Some(end) => Poll::Ready(end),
                None => Poll::Pending,
            }
        })
        .await
    }

    /// Has the one in the seat look again.
    pub(crate) fn tell_leader(&self) {
        self.pilot.wake();
    }

    /// Whether this is the first who asks for the watch.
    pub(crate) fn calls_watch(&self) -> bool {
        // A load first: a crowd asks, one by one.
        !self.watched.load(Relaxed) && !self.watched.swap(true, Relaxed)
    }

    /// Whether the leader is gone, and nobody has taken its place yet.
    pub(crate) fn is_vacant(&self) -> bool {
        self.vacant.load(Acquire)
    }

    /// Has everybody who waits look for a vacant seat: the one that was woken for it may be on a runtime that has stopped.
    pub(crate) fn offer_to_all(&self) {
        if self.is_vacant() {
            self.notify.notify_waiters();
        }
    }

    /// Counts one more joiner, and says the how-many-th it is, unless the flight was abandoned.
    pub(crate) fn join(&self) -> Option<usize> {
        let mut seat = self.lock();
        if matches!(seat.state, SeatState::Over) && self.outcome.get().is_none() {
            return None;
        }
        seat.joiners += 1;
        seat.ever += 1;
        Some(seat.ever)
    }

    /// Whether everybody who waits needs a timer.
    pub(crate) fn is_late(&self) -> bool {
        self.late.load(Acquire)
    }

    /// From now on everybody who waits needs a timer.
    pub(crate) fn end_watch(&self) {
        self.late.store(true, Release);
        self.notify.notify_waiters();
    }

    /// What the one in the seat needs to go on, unless the flight is over by now: a close that ended it first has told
    /// him, and one that comes after finds what `made` did.
    pub(crate) fn unless_over<R>(&self, made: impl FnOnce() -> R) -> Option<R> {
        let _seat = self.lock();
        self.outcome.get().is_none().then(made)
    }

    /// Takes a vacant seat; the joiner becomes the leader. Who asks has registered for notifications: if the seat
    /// is vacated after the look, somebody is woken.
    pub(crate) fn take_seat<R>(&self, made: impl FnOnce() -> R) -> Option<(Box<Engine<T>>, R)> {
        if !self.is_vacant() {
            return None;
        }
        let mut seat = self.lock();
        match std::mem::replace(&mut seat.state, SeatState::Taken) {
            SeatState::Vacant(engine) => {
                self.vacant.store(false, Release);
                seat.joiners -= 1;
                // Under the lock, as in `unless_over`.
                Some((engine, made()))
            }
            other => {
                seat.state = other;
                None
            }
        }
    }

    /// The leader is gone before the end.
    pub(crate) fn vacate(&self, engine: Box<Engine<T>>) -> Left<T> {
        let mut seat = self.lock();
        if seat.joiners == 0 || self.outcome.get().is_some() {
            seat.state = SeatState::Over;
            return Left::Orphaned(engine);
        }
        seat.state = SeatState::Vacant(engine);
        self.vacant.store(true, Release);
        drop(seat);
        self.notify.notify_one();
        Left::Handed
    }

    /// A joiner is gone before the end.
    pub(crate) fn leave(&self) -> Left<T> {
        let mut seat = self.lock();
        seat.joiners -= 1;
        if seat.joiners > 0 {
            // This one may have been woken for the seat, and not want it.
            if matches!(seat.state, SeatState::Vacant(_)) {
                drop(seat);
                self.notify.notify_one();
            }
            return Left::Handed;
        }
        match std::mem::replace(&mut seat.state, SeatState::Over) {
            SeatState::Vacant(engine) => Left::Orphaned(engine),
            other => {
                seat.state = other;
                Left::Handed
            }
        }
    }

    /// Ends the flight for everybody. The first outcome counts; a later one changes nothing.
    /// Returns an engine that was waiting for a joiner.
    pub(crate) fn settle(&self, outcome: Settled<T>) -> Left<T> {
        let mut seat = self.lock();
        // Ignored if there is one already: the flight was closed while its leader was landing.
        let _ = self.outcome.set(outcome);
        let state = std::mem::replace(&mut seat.state, SeatState::Over);
        drop(seat);
        self.notify.notify_waiters();
        self.pilot.wake();
        match state {
            SeatState::Vacant(engine) => Left::Orphaned(engine),
            SeatState::Taken | SeatState::Over => Left::Handed,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Seat<T>> {
        // No code that can panic runs under the lock.
        self.seat.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
