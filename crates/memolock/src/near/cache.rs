//! The copies, and the rules by which they come and go.

use std::hash::BuildHasher;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{
    AtomicU64,
    Ordering::{AcqRel, Acquire, Relaxed},
};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hashbrown::DefaultHashBuilder;
use memolock_core::Remaining;
use tokio::time::Instant;

use super::Claim;
use super::copies::{Copies, Evicted, Kept, Out, Phase, copies};
use super::due::{Due, Queue};
use super::settings::{NearCache, Weigher};
use super::tally::{Coherence, NearStats, Tally, add};
use super::ticket::{FLUSH, STATE, State, Stripe, Ticket, keeps};

/// Ids share a pair of counts: enough of them that they rarely get into each other's way.
const STRIPES: usize = 1024;

/// How long a copy of our own value is served without its echo: messages that are late by this are lost.
const UNCONFIRMED: Duration = Duration::from_secs(5);

/// The same for one whose remaining time is not known.
const UNTIMED: Duration = Duration::from_secs(1);

/// The near cache of a memolock.
pub(crate) struct Near<T> {
    word: AtomicU64,
    copies: Copies<T>,
    stripes: Box<[Mutex<Stripe>]>,
    hasher: DefaultHashBuilder,
    origin: Instant,
    max_age: Duration,
    weigher: Option<Weigher<T>>,
    due: Queue<T>,
    tally: Tally,
    evicted: Arc<AtomicU64>,
}

impl<T> Near<T> {
    pub(crate) fn new(settings: NearCache<T>) -> Self {
        let hasher = DefaultHashBuilder::default();
        let evicted = Arc::new(AtomicU64::new(0));
        Self {
            word: AtomicU64::new(State::Deaf as u64),
            copies: copies(&settings, &hasher, &evicted),
            stripes: (0..STRIPES).map(|_| Mutex::default()).collect(),
            hasher,
            origin: Instant::now(),
            max_age: settings.max_age,
            weigher: settings.weigher,
            due: Queue::default(),
            tally: Tally::default(),
            evicted,
        }
    }

    /// The value, if there is a copy that is good now.
    pub(crate) fn get(&self, id: &str) -> Option<Arc<T>> {
        let word = self.word.load(Acquire);
        if !keeps(word) {
            return None;
        }
        let copy = self.copies.get(id)?;
        if copy.word != word {
            return None;
        }
        if copy.expires <= self.now() {
            self.tidy(id, &copy);
            return None;
        }
        self.tally.hits.add();
        Some(copy.value)
    }

    /// To be taken before a command is sent; nothing if nothing would be kept.
    pub(crate) fn ticket(&self, id: &str) -> Option<Ticket> {
        let word = self.word.load(Acquire);
        keeps(word).then(|| Ticket {
            word,
            at: self.now(),
            stripe: *self.stripe(id),
        })
    }

    /// A flight has its value.
    pub(crate) fn keep(&self, id: &str, value: &Arc<T>, claim: Claim) {
        let (ticket, remaining, phase) = match claim {
            Claim::Found(ticket, Some(remaining)) => (ticket, remaining, Phase::Sure),
            Claim::Found(ticket, None) => (ticket, expires(UNTIMED), Phase::Reading),
            Claim::Heard(ticket) => (ticket, expires(UNTIMED), Phase::Echo),
            Claim::Stored(ticket, ttl) => (ticket, expires(ttl), Phase::Echo),
        };
        let Some(copy) = self.copy(value, id, &ticket, remaining, phase) else {
            return;
        };
        let mut evicted = Evicted::default();
        let mut old = None;
        let mut stripe = self.stripe(id);
        // Changes that were heard since spoil what was read, and not what was stored here: that is read back.
        let stands = ticket.word == self.word.load(Acquire)
            && ticket.stripe.writes == stripe.writes
            && (phase == Phase::Echo || ticket.stripe.changes == stripe.changes);
        let refused = match stands {
            true => {
                old = self.copies.remove(id);
                self.put_in(id, copy, &ticket, *stripe, &mut evicted);
                None
            }
            false => Some(copy),
        };
        if matches!(claim, Claim::Stored(..)) {
            // What was read before it was stored comes too late from here on.
            stripe.writes += 1;
        }
        drop(stripe);
        let out: Out<T> = (old, refused, evicted);
        drop(out);
    }

    /// A local put or invalidate has ended, one way or another: copies of before are gone, and what was read
    /// before is not inserted any more. What was put is there at once, unless another write came between.
    pub(crate) fn wrote(&self, id: &str, put: Option<(Ticket, Arc<T>, Duration)>) {
        let weighed = put.and_then(|(ticket, value, ttl)| {
            let copy = self.copy(&value, id, &ticket, expires(ttl), Phase::Echo)?;
            Some((ticket, copy))
        });
        let mut stripe = self.stripe(id);
        let old = self.copies.remove(id);
        let mut evicted = Evicted::default();
        let mut refused = None;
        if let Some((ticket, copy)) = weighed {
            match ticket.stripe.writes == stripe.writes {
                true => self.put_in(id, copy, &ticket, *stripe, &mut evicted),
                false => refused = Some(copy),
            }
        }
        // An end of a local write.
        stripe.writes += 1;
        drop(stripe);
        let out: Out<T> = (old, refused, evicted);
        if out.0.is_some() {
            add(&self.tally.invalidations);
        }
    }

    /// The store says that a value has changed.
    pub(crate) fn changed(&self, id: &str) {
        let mut stripe = self.stripe(id);
        stripe.changes += 1;
        let word = self.word.load(Acquire);
        let found = self.copies.peek(id);
        let echo = found
            .as_ref()
            .filter(|copy| copy.phase == Phase::Echo && copy.word == word);
        let out: Out<T> = match echo {
            Some(copy) if self.due.push(id, &copy.value) => {
                let copy = Kept {
                    phase: Phase::Reading,
                    ..copy.clone()
                };
                let mut evicted = Evicted::default();
                let old = self.copies.remove(id);
                self.copies
                    .insert_with_lifecycle(id.into(), copy, &mut evicted);
                drop(stripe);
                (old, found, evicted)
            }
            _ => {
                let old = self.copies.remove(id);
                drop(stripe);
                if old.is_some() {
                    add(&self.tally.invalidations);
                }
                (old, found, Evicted::default())
            }
        };
        drop(out);
    }

    /// Forgets all, and goes on in `state`.
    pub(crate) fn flush(&self, state: State) {
        self.turn(|word| (word & !STATE) + FLUSH + state as u64);
    }

    /// Forgets all, and goes on as before.
    pub(crate) fn forget(&self) {
        self.turn(|word| word + FLUSH);
    }

    /// Turns the word; that of a closed one stays.
    fn turn(&self, next: impl Fn(u64) -> u64) {
        let next = |word| (word & STATE != State::Closed as u64).then(|| next(word));
        if self.word.fetch_update(AcqRel, Acquire, next).is_err() {
            return;
        }
        add(&self.tally.flushes);
        // They are no good any more; this gives back their memory. One by one, since what drops is the user's.
        let word = self.word.load(Acquire);
        for (id, copy) in self.copies.iter().filter(|(_, copy)| copy.word != word) {
            self.tidy(&id, &copy);
        }
    }

    /// What is to be read back, when there is something: so many at most. Cancel-safe.
    pub(crate) async fn due(&self, most: usize) -> Vec<Due<T>> {
        self.due.take(most).await
    }

    /// The time, for tickets of read-backs.
    pub(crate) fn now(&self) -> u64 {
        u64::try_from(self.origin.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// What a read-back that was sent `at` has found: nothing if there is none, or it failed. It is inserted if the
    /// copy is still there that it was for: a change or a write meanwhile has taken that out.
    pub(crate) fn read_back(&self, due: Due<T>, found: Option<(Arc<T>, Remaining)>, at: u64) {
        let Due { id, value } = due;
        add(&self.tally.read_backs);
        let word = self.word.load(Acquire);
        let ticket = |stripe| Ticket { word, stripe, at };
        let fresh = found.and_then(|(value, remaining)| {
            self.copy(
                &value,
                &id,
                &ticket(Stripe::default()),
                remaining,
                Phase::Sure,
            )
        });
        let stripe = self.stripe(&id);
        let is_it = |copy: &Kept<T>| {
            copy.phase == Phase::Reading && Arc::ptr_eq(&copy.value, &value) && copy.word == word
        };
        let old = self.copies.remove_if(&*id, is_it);
        let mut evicted = Evicted::default();
        let mut refused = None;
        match (&old, fresh) {
            (Some(_), Some(copy)) => self.copies.insert_with_lifecycle(id, copy, &mut evicted),
            (_, fresh) => refused = fresh,
        }
        drop(stripe);
        if old.is_some() && refused.is_none() {
            add(&self.tally.inserts);
        }
        let out: Out<T> = (old, refused, evicted);
        drop(out);
    }

    /// Its numbers.
    pub(crate) fn stats(&self) -> NearStats {
        let Tally {
            hits,
            inserts,
            invalidations,
            flushes,
            read_backs,
        } = &self.tally;
        NearStats {
            coherence: match self.word.load(Acquire) & STATE {
                0 => Coherence::Deaf,
                1 => Coherence::Live,
                2 => Coherence::Aged,
                _ => Coherence::Off,
            },
            entries: self.copies.len() as u64,
            weight: self.copies.weight(),
            hits: hits.get(),
            inserts: inserts.load(Relaxed),
            evictions: self.evicted.load(Relaxed),
            invalidations: invalidations.load(Relaxed),
            flushes: flushes.load(Relaxed),
            read_backs: read_backs.load(Relaxed),
        }
    }

    /// Puts a copy in, under the lock of its stripe.
    fn put_in(
        &self,
        id: &str,
        mut copy: Kept<T>,
        ticket: &Ticket,
        stripe: Stripe,
        evicted: &mut Evicted<T>,
    ) {
        if copy.phase == Phase::Echo {
            copy.phase = match copy.word & STATE == State::Live as u64 {
                // Nobody will tell of it.
                false => Phase::Sure,
                // It may have been the echo that was heard, or else something newer.
                true if ticket.stripe.changes != stripe.changes => Phase::Reading,
                true => Phase::Echo,
            };
        }
        if copy.phase == Phase::Reading && !self.due.push(id, &copy.value) {
            evicted.0.push((id.into(), copy));
            return;
        }
        add(&self.tally.inserts);
        self.copies.insert_with_lifecycle(id.into(), copy, evicted);
    }

    /// A copy, weighed; nothing if the weigher panics, which is the user's code.
    fn copy(
        &self,
        value: &Arc<T>,
        id: &str,
        ticket: &Ticket,
        remaining: Remaining,
        phase: Phase,
    ) -> Option<Kept<T>> {
        let weight = match &self.weigher {
            None => 1,
            Some(weigher) => catch_unwind(AssertUnwindSafe(|| weigher(id, value)))
                .ok()?
                .max(1),
        };
        let mut lasts = match remaining {
            Remaining::Expires(after) => after.min(self.max_age),
            Remaining::Forever => self.max_age,
        };
        if phase == Phase::Echo && ticket.word & STATE == State::Live as u64 {
            lasts = lasts.min(UNCONFIRMED);
        }
        let lasts = u64::try_from(lasts.as_nanos()).unwrap_or(u64::MAX);
        Some(Kept {
            value: Arc::clone(value),
            word: ticket.word,
            expires: ticket.at.saturating_add(lasts),
            weight,
            phase,
        })
    }

    /// Gives back the memory of a copy that is no good any more.
    #[cold]
    fn tidy(&self, id: &str, copy: &Kept<T>) {
        let same = |found: &Kept<T>| Arc::ptr_eq(&found.value, &copy.value);
        let gone = self.copies.remove_if(id, same);
        drop(gone);
    }

    fn stripe(&self, id: &str) -> MutexGuard<'_, Stripe> {
        #[allow(clippy::cast_possible_truncation)] // Any bits will do.
        let at = self.hasher.hash_one(id) as usize % STRIPES;
        // No code that can panic runs under the lock.
        self.stripes[at]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

fn expires(after: Duration) -> Remaining {
    Remaining::Expires(after)
}
