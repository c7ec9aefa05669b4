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
//! A seat may be reserved for joiners that can compute. A joiner that cannot compute takes it only when no joiner that
//! can is left.
//!
//! A flight is overdue when its work has held the key for as long as `max_lease` allows. This does not depend
//! on the leader, which may not even be polled. From then on no caller joins, and the joined callers leave and begin
//! again. The leader goes on alone, and its caller gets the result. If the leader takes the lease once more, the flight
//! is in time again. Work without a lease is not begun in an overdue flight: nothing would keep it apart from that of
//! the joiners, so the leader begins again, too.
//!
//! The joiner that is woken for a vacant seat may be dropped before it runs. `Notify` hands its
//! wake-up to the next one then, and the last one to leave finds the seat vacant in `leave`. It may also be on a
//! runtime that has stopped, so that it neither runs nor is dropped: then `offer_to_all` wakes the others.

use std::future::poll_fn;
use std::sync::PoisonError;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::task::Poll;
use std::time::Duration;

use memolock_core::{Acquired, Key, Remaining};

use crate::engine::Engine;
use crate::holding::Overdue;
use crate::settled::Settled;
use crate::sync::{AtomicBool, AtomicWaker, Mutex, MutexGuard, Notify, OnceLock};

/// No odd lock is known.
const NOT_ODD: u64 = 0;

/// A lock that never expires.
const FOREVER: u64 = u64::MAX;

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
    /// Whether others may go on without it.
    overdue: AtomicBool,
    /// `notify_one`: the seat is vacant. `notify_waiters`: the outcome is there, the watch is over, the flight is
    /// overdue, or the seat is still vacant, or is so for those who can compute.
    notify: Notify,
    /// For how long a rival's lock stood when it was last seen, in milliseconds, if that is odd. It orders nothing.
    odd_lock: AtomicU64,
    /// Who sits in the seat. There is at most one, so that a list of sleepers would cost every hit for nothing.
    pilot: AtomicWaker,
}

struct Seat<T> {
    joiners: usize,
    /// Those of them who can compute.
    computing: usize,
    /// Those too who have left.
    ever: usize,
    state: SeatState<T>,
}

enum SeatState<T> {
    Taken,
    /// Only for those who can compute, as long as there are any.
    Vacant {
        engine: Box<Engine<T>>,
        reserved: bool,
    },
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
                computing: 0,
                ever: 0,
                state: SeatState::Taken,
            }),
            vacant: AtomicBool::new(false),
            watched: AtomicBool::new(false),
            late: AtomicBool::new(false),
            overdue: AtomicBool::new(false),
            notify: Notify::new(),
            odd_lock: AtomicU64::new(NOT_ODD),
            pilot: AtomicWaker::new(),
        }
    }

    pub(crate) fn key(&self) -> &Key {
        &self.key
    }

    pub(crate) fn outcome(&self) -> Option<&Settled<T>> {
        self.outcome.get()
    }

    /// A try for the lease was answered.
    pub(crate) fn tried(&self, acquired: &Acquired) {
        let odd = match acquired {
            Acquired::Held(remaining) if remaining.odd_for_a_lock().is_some() => match remaining {
                Remaining::Forever => FOREVER,
                // Not as durations are sent, which are at most a century.
                Remaining::Expires(left) => {
                    u64::try_from(left.as_millis()).map_or(FOREVER - 1, |ms| ms.min(FOREVER - 1))
                }
            },
            _ => NOT_ODD,
        };
        self.odd_lock.store(odd, Relaxed);
    }

    /// For how long the lock stands that is waited for, if that is odd.
    pub(crate) fn odd_lock(&self) -> Option<Remaining> {
        match self.odd_lock.load(Relaxed) {
            NOT_ODD => None,
            FOREVER => Some(Remaining::Forever),
            left => Some(Remaining::Expires(Duration::from_millis(left))),
        }
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
    /// Whether there is one.
    pub(crate) fn offer_to_all(&self) -> bool {
        if !self.is_vacant() {
            return false;
        }
        // Those for whom it is reserved have had their time.
        if let SeatState::Vacant { reserved, .. } = &mut self.lock().state {
            *reserved = false;
        }
        self.notify.notify_waiters();
        true
    }

    /// Leaves another engine in a vacant seat; returns the one that was there.
    pub(crate) fn replace_vacant(
        &self,
        make: impl FnOnce(&Engine<T>) -> Box<Engine<T>>,
    ) -> Option<Box<Engine<T>>> {
        match &mut self.lock().state {
            SeatState::Vacant { engine, .. } => {
                let new = make(engine);
                Some(std::mem::replace(engine, new))
            }
            SeatState::Taken | SeatState::Over => None,
        }
    }

    /// Counts one more joiner, and says the how-many-th it is, unless the flight was abandoned or is overdue.
    pub(crate) fn join(&self, computes: bool) -> Option<usize> {
        let mut seat = self.lock();
        let abandoned = matches!(seat.state, SeatState::Over) && self.outcome.get().is_none();
        if abandoned || self.is_overdue() {
            return None;
        }
        seat.joiners += 1;
        seat.computing += usize::from(computes);
        seat.ever += 1;
        Some(seat.ever)
    }

    /// Whether everybody who waits needs a timer.
    pub(crate) fn is_late(&self) -> bool {
        self.late.load(Acquire)
    }

    /// Whether others may go on without it.
    pub(crate) fn is_overdue(&self) -> bool {
        self.overdue.load(Acquire)
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
    pub(crate) fn take_seat<R>(
        &self,
        computes: bool,
        made: impl FnOnce() -> R,
    ) -> Option<(Box<Engine<T>>, R)> {
        if !self.is_vacant() {
            return None;
        }
        let mut seat = self.lock();
        match std::mem::replace(&mut seat.state, SeatState::Taken) {
            SeatState::Vacant { engine, reserved } if computes || !reserved => {
                self.vacant.store(false, Release);
                seat.joiners -= 1;
                seat.computing -= usize::from(computes);
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
        let reserved = false;
        seat.state = SeatState::Vacant { engine, reserved };
        self.vacant.store(true, Release);
        drop(seat);
        self.notify.notify_one();
        Left::Handed
    }

    /// The leader makes way for a joiner that can compute. It keeps its engine if there is none.
    pub(crate) fn make_way(&self, engine: Box<Engine<T>>) -> Result<(), Box<Engine<T>>> {
        let mut seat = self.lock();
        if seat.computing == 0 || self.outcome.get().is_some() {
            return Err(engine);
        }
        let reserved = true;
        seat.state = SeatState::Vacant { engine, reserved };
        self.vacant.store(true, Release);
        drop(seat);
        // Nobody knows where in the queue of sleepers one of them is.
        self.notify.notify_waiters();
        Ok(())
    }

    /// A joiner is gone before the end.
    pub(crate) fn leave(&self, computes: bool) -> Left<T> {
        let mut seat = self.lock();
        seat.joiners -= 1;
        seat.computing -= usize::from(computes);
        if seat.joiners > 0 {
            let last = seat.computing == 0;
            let SeatState::Vacant { reserved, .. } = &mut seat.state else {
                return Left::Handed;
            };
            let lifted = last && std::mem::take(reserved);
            let free = !*reserved;
            drop(seat);
            if lifted {
                // Those who may take it from now on were woken in vain before.
                self.notify.notify_waiters();
            } else if free {
                // This one may have been woken for the seat, and not want it.
                self.notify.notify_one();
            }
            return Left::Handed;
        }
        match std::mem::replace(&mut seat.state, SeatState::Over) {
            SeatState::Vacant { engine, .. } => Left::Orphaned(engine),
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
            SeatState::Vacant { engine, .. } => Left::Orphaned(engine),
            SeatState::Taken | SeatState::Over => Left::Handed,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Seat<T>> {
        // No code that can panic runs under the lock.
        self.seat.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: Send + Sync> Overdue for Flight<T> {
    fn overdue(&self) {
        self.overdue.store(true, Release);
        self.notify.notify_waiters();
    }

    fn in_time(&self) {
        // Read first: nearly always there is nothing to write.
        if self.is_overdue() {
            self.overdue.store(false, Release);
        }
    }
}
