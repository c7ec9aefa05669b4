//! Tests of the near cache alone: the interleavings of the table at the head of `near`, one by one.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Duration;

use futures_util::FutureExt;
use memolock_core::Remaining;
use tokio::time::advance;

use super::cache::Near;
use super::due::Due;
use super::{Claim, Coherence, NearCache, State, Ticket};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Remaining = Remaining::Expires(Duration::from_secs(60));

fn near(state: State) -> Near<u32> {
    let near = Near::new(NearCache::entries(1000).max_age(20 * SECOND));
    near.flush(state);
    near
}

fn live() -> Near<u32> {
    near(State::Live)
}

fn ticket(near: &Near<u32>) -> Ticket {
    near.ticket("k").expect("it keeps")
}

/// A read that began with this ticket found a value.
fn reads(near: &Near<u32>, ticket: Ticket, value: u32) {
    near.keep("k", &Arc::new(value), Claim::Found(ticket, Some(MINUTE)));
}

/// A compute's value was stored.
fn stores(near: &Near<u32>, ticket: Ticket, value: u32) {
    near.keep("k", &Arc::new(value), Claim::Stored(ticket, 60 * SECOND));
}

fn puts(near: &Near<u32>, ticket: Ticket, value: u32) {
    near.wrote("k", Some((ticket, Arc::new(value), 60 * SECOND)));
}

fn has(near: &Near<u32>) -> Option<u32> {
    near.get("k").map(|value| *value)
}

/// What is to be read back, if anything is.
fn due(near: &Near<u32>) -> Option<Due<u32>> {
    let due = near.due(10).now_or_never()?;
    assert_eq!(due.len(), 1);
    due.into_iter().next()
}

fn answers(near: &Near<u32>, due: Due<u32>, found: Option<u32>) {
    let found = found.map(|value| (Arc::new(value), MINUTE));
    near.read_back(due, found, near.now());
}

#[tokio::test(start_paused = true)]
async fn what_was_read_is_there_until_it_changes() {
    let near = live();
    reads(&near, ticket(&near), 1);
    assert_eq!(has(&near), Some(1));
    near.changed("other");
    assert_eq!(has(&near), Some(1));
    near.changed("k");
    assert_eq!((has(&near), due(&near).is_none()), (None, true));
    let stats = near.stats();
    assert_eq!((stats.hits, stats.inserts, stats.invalidations), (2, 1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_fill_that_was_invalidated_while_in_flight_is_never_inserted() {
    let near = live();
    let began = ticket(&near);
    near.changed("k");
    reads(&near, began, 1);
    assert_eq!(has(&near), None);
}

#[tokio::test(start_paused = true)]
async fn a_fill_that_everything_or_a_gap_overtook_is_never_inserted() {
    let overtakes: [fn(&Near<u32>); 3] = [
        Near::forget,
        |near| near.flush(State::Live),
        |near| {
            near.flush(State::Deaf);
            near.flush(State::Live);
        },
    ];
    for overtake in overtakes {
        let near = live();
        let began = ticket(&near);
        overtake(&near);
        for claim in [
            Claim::Found(began, Some(MINUTE)),
            Claim::Found(began, None),
            Claim::Heard(began),
            Claim::Stored(began, SECOND),
        ] {
            near.keep("k", &Arc::new(1), claim);
        }
        puts(&near, began, 1);
        assert_eq!(has(&near), None);
    }
}

#[tokio::test(start_paused = true)]
async fn r4_what_began_before_a_local_write_ended_is_never_inserted() {
    let near = live();
    let began = ticket(&near);
    near.wrote("k", None);
    reads(&near, began, 1);
    stores(&near, began, 2);
    near.keep("k", &Arc::new(3), Claim::Heard(began));
    near.keep("k", &Arc::new(3), Claim::Found(began, None));
    assert_eq!(has(&near), None);
    // Two writes at once: who of them was first, nobody knows here.
    let (one, two) = (ticket(&near), ticket(&near));
    puts(&near, one, 4);
    assert_eq!(has(&near), Some(4));
    puts(&near, two, 5);
    assert_eq!(has(&near), None);
}

#[tokio::test(start_paused = true)]
async fn a_read_from_before_does_not_replace_what_was_stored_since() {
    let near = live();
    let began = ticket(&near);
    stores(&near, ticket(&near), 2);
    reads(&near, began, 1);
    assert_eq!(has(&near), Some(2));
}

#[tokio::test(start_paused = true)]
async fn own_writes_are_there_at_once_and_their_echo_costs_no_miss() {
    for write in [stores, puts] {
        let near = live();
        write(&near, ticket(&near), 1);
        assert_eq!((has(&near), due(&near).is_none()), (Some(1), true));
        near.changed("k");
        assert_eq!(has(&near), Some(1), "its own echo");
        let asked = due(&near).expect("it is read back");
        assert_eq!(has(&near), Some(1));
        answers(&near, asked, Some(1));
        assert_eq!((has(&near), due(&near).is_none()), (Some(1), true));
        advance(15 * SECOND).await;
        assert_eq!(has(&near), Some(1), "good for as long as any other");
        near.changed("k");
        assert_eq!(has(&near), None);
    }
}

#[tokio::test(start_paused = true)]
async fn a_foreign_write_that_the_echo_hides_is_found_by_the_read_back() {
    let near = live();
    stores(&near, ticket(&near), 1);
    near.changed("k");
    answers(&near, due(&near).unwrap(), Some(2));
    assert_eq!(has(&near), Some(2));
    stores(&near, ticket(&near), 3);
    near.changed("k");
    answers(&near, due(&near).unwrap(), None);
    assert_eq!(has(&near), None, "deleted, or the read failed");
}

#[tokio::test(start_paused = true)]
async fn an_echo_that_comes_before_the_answer_has_the_value_read_back_at_once() {
    for write in [stores, puts] {
        let near = live();
        let began = ticket(&near);
        near.changed("k");
        write(&near, began, 1);
        assert_eq!(has(&near), Some(1));
        answers(&near, due(&near).expect("it is read back"), Some(2));
        assert_eq!(has(&near), Some(2));
    }
}

#[tokio::test(start_paused = true)]
async fn a_change_or_a_write_during_the_read_back_leaves_it_nothing_to_replace() {
    let near = live();
    stores(&near, ticket(&near), 1);
    near.changed("k");
    let asked = due(&near).unwrap();
    near.changed("k");
    assert_eq!(has(&near), None, "a second change is another's");
    answers(&near, asked, Some(2));
    assert_eq!(has(&near), None);

    stores(&near, ticket(&near), 3);
    near.changed("k");
    let asked = due(&near).unwrap();
    puts(&near, ticket(&near), 4);
    answers(&near, asked, Some(3));
    assert_eq!(has(&near), Some(4), "the put is newer than what was read");

    near.changed("k");
    let asked = due(&near).unwrap();
    near.flush(State::Live);
    answers(&near, asked, Some(4));
    assert_eq!(has(&near), None);
}

#[tokio::test(start_paused = true)]
async fn what_was_awaited_is_read_back_for_its_time() {
    let near = live();
    near.keep("k", &Arc::new(1), Claim::Heard(ticket(&near)));
    assert_eq!((has(&near), due(&near).is_none()), (Some(1), true));
    near.changed("k");
    assert_eq!(has(&near), Some(1));
    answers(&near, due(&near).unwrap(), Some(1));
    advance(2 * SECOND).await;
    assert_eq!(has(&near), Some(1));
    // What the lease's acquire found: as a read, but for how long nobody said.
    let near = live();
    near.keep("k", &Arc::new(1), Claim::Found(ticket(&near), None));
    assert_eq!(has(&near), Some(1));
    answers(&near, due(&near).unwrap(), Some(1));
    let began = ticket(&near);
    near.changed("k");
    near.keep("k", &Arc::new(2), Claim::Found(began, None));
    assert_eq!(has(&near), None);
}

#[tokio::test(start_paused = true)]
async fn copies_expire_with_the_value_with_age_and_unconfirmed() {
    let near = live();
    let lasts = |claim: fn(Ticket) -> Claim, remaining: u64| {
        let near = &near;
        async move {
            near.keep("k", &Arc::new(1), claim(ticket(near)));
            advance(Duration::from_millis(remaining - 1)).await;
            assert_eq!(has(near), Some(1));
            advance(Duration::from_millis(1)).await;
            assert_eq!((has(near), near.stats().entries), (None, 0));
        }
    };
    lasts(
        |t| Claim::Found(t, Some(Remaining::Expires(3 * SECOND))),
        3000,
    )
    .await;
    lasts(|t| Claim::Found(t, Some(MINUTE)), 20_000).await;
    lasts(|t| Claim::Found(t, Some(Remaining::Forever)), 20_000).await;
    lasts(|t| Claim::Stored(t, 2 * SECOND), 2000).await;
    lasts(|t| Claim::Stored(t, 60 * SECOND), 5000).await;
    lasts(Claim::Heard, 1000).await;
    lasts(|t| Claim::Found(t, None), 1000).await;
    // Time on the way counts.
    let began = ticket(&near);
    advance(19 * SECOND).await;
    reads(&near, began, 1);
    advance(SECOND).await;
    assert_eq!(has(&near), None);
}

#[tokio::test(start_paused = true)]
async fn a_deaf_or_closed_one_keeps_nothing_and_an_aged_one_reads_nothing_back() {
    let near = near(State::Aged);
    stores(&near, ticket(&near), 1);
    assert_eq!((has(&near), due(&near).is_none()), (Some(1), true));
    advance(19 * SECOND).await;
    assert_eq!(has(&near), Some(1), "as long as its age allows");
    assert_eq!(near.stats().coherence, Coherence::Aged);
    near.flush(State::Deaf);
    assert_eq!((has(&near), near.ticket("k")), (None, None));
    assert_eq!(
        (near.stats().entries, near.stats().coherence),
        (0, Coherence::Deaf)
    );
    near.flush(State::Closed);
    near.flush(State::Live);
    near.forget();
    assert_eq!((has(&near), near.ticket("k")), (None, None));
    assert_eq!(near.stats().coherence, Coherence::Off);
}

#[tokio::test(start_paused = true)]
async fn the_number_and_the_weight_of_copies_are_bounded() {
    let fill = |near: &Near<u32>, id: u32| {
        let id = id.to_string();
        let ticket = near.ticket(&id).unwrap();
        near.keep(&id, &Arc::new(100), Claim::Found(ticket, Some(MINUTE)));
    };
    let near = Near::new(NearCache::entries(100));
    near.flush(State::Live);
    (0..10_000).for_each(|id| fill(&near, id));
    let stats = near.stats();
    assert!((90..=100).contains(&stats.entries), "{stats:?}");
    assert_eq!(stats.entries + stats.evictions, 10_000);
    let near = Near::new(NearCache::weight(100_000, |id, value| {
        id.len() as u64 + u64::from(*value)
    }));
    near.flush(State::Live);
    (0..10_000).for_each(|id| fill(&near, id));
    let stats = near.stats();
    assert!(stats.weight <= 100_000 && stats.entries > 800, "{stats:?}");
    for weigher in [
        |_: &str, _: &u32| u64::MAX,
        |_: &str, _: &u32| panic!("a weigher"),
    ] {
        let near = Near::new(NearCache::weight(100_000, weigher));
        near.flush(State::Live);
        fill(&near, 1);
        assert_eq!((near.stats().entries, near.stats().weight), (0, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn what_waits_to_be_read_back_is_bounded() {
    let near = live();
    for id in 0..10_000 {
        let id = id.to_string();
        let ticket = near.ticket(&id).unwrap();
        near.keep(&id, &Arc::new(1), Claim::Found(ticket, None));
    }
    let due = near.due(usize::MAX).await;
    assert_eq!(due.len(), 4096);
    assert!(near.due(1).now_or_never().is_none());
}

/// Its drop is a caller's code: it may ask the very cache that lets go of it.
struct Asks(Arc<Near<Asks>>, Arc<AtomicBool>);

impl Drop for Asks {
    fn drop(&mut self) {
        for id in 0..100 {
            let id = id.to_string();
            self.0.get(&id);
            self.0.wrote(&id, None);
        }
        self.1.store(true, SeqCst);
    }
}

#[tokio::test]
async fn nothing_of_a_callers_is_dropped_under_a_lock() {
    let near = Arc::new(Near::new(NearCache::entries(1)));
    near.flush(State::Live);
    let dropped = Arc::new(AtomicBool::new(false));
    let fill = |id: &str| {
        let value = Arc::new(Asks(Arc::clone(&near), Arc::clone(&dropped)));
        let ticket = near.ticket(id).unwrap();
        near.keep(id, &value, Claim::Found(ticket, Some(MINUTE)));
        dropped.store(false, SeqCst);
    };
    let ways: [&dyn Fn(); 6] = [
        &|| fill("2"),
        &|| near.changed("1"),
        &|| near.wrote("1", None),
        &|| near.forget(),
        &|| near.flush(State::Live),
        &|| {
            let value = Arc::new(Asks(Arc::clone(&near), Arc::clone(&dropped)));
            near.wrote("1", near.ticket("1").map(|t| (t, value, SECOND)));
        },
    ];
    for (nth, way) in ways.into_iter().enumerate() {
        fill("1");
        way();
        near.wrote("1", None);
        assert!(dropped.load(SeqCst), "{nth}");
    }
}
