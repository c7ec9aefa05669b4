//! Notices under a paused clock, against a store that only notes what it is asked.

use memolock_core::{ErrorKind, Keyspace, Layout, Tag};

use super::*;

const AFTER: Duration = Duration::from_millis(100);

/// Notes the keys of each command, and when; or fails.
#[derive(Default)]
struct Noting {
    told: Mutex<Vec<(u128, Vec<String>)>>,
    fails: Mutex<Option<ErrorKind>>,
    takes: Mutex<Duration>,
}

impl Repeater for Noting {
    async fn repeat(&self, keys: &[Key]) -> Repeated {
        let ids = keys.iter().map(|key| key.id().to_owned()).collect();
        self.told.lock().unwrap().push((now(), ids));
        let takes = *self.takes.lock().unwrap();
        tokio::time::sleep(takes).await;
        let mut repeated = Repeated::default();
        match *self.fails.lock().unwrap() {
            Some(kind) => repeated.fail(keys, &Fault::new(kind, "so it was planned")),
            None => repeated.published = keys.len() as u64,
        }
        repeated
    }

    fn part(&self, key: &Key) -> u64 {
        u64::from(key.id().starts_with('b'))
    }
}

impl Noting {
    fn told(&self) -> Vec<(u128, Vec<String>)> {
        std::mem::take(&mut *self.told.lock().unwrap())
    }
}

fn start() -> (Arc<Noting>, Repeats) {
    now();
    let noting = Arc::new(Noting::default());
    let repeats = Repeats::start(AFTER, Arc::downgrade(&noting));
    (noting, repeats)
}

/// Milliseconds since the first call in this runtime.
fn now() -> u128 {
    thread_local!(static ORIGIN: Instant = Instant::now());
    ORIGIN.with(|origin| origin.elapsed().as_millis())
}

fn key(id: &str) -> Key {
    let space = Keyspace::new(Tag::new("likes").unwrap(), Layout::Classic).unwrap();
    space.key(id).unwrap()
}

fn stats(repeats: &Repeats) -> (u64, u64) {
    let mut stats = BackendStats::default();
    repeats.count(&mut stats);
    (stats.repeated_notices, stats.dropped_notices)
}

async fn pass(time: Duration) {
    tokio::time::sleep(time).await;
}

#[tokio::test(start_paused = true)]
async fn a_notice_is_repeated_once_after_the_delay() {
    let (noting, repeats) = start();
    let began = now();
    repeats.stored(&key("a"));
    repeats.idle().await;
    assert_eq!(noting.told(), [(began + 100, vec!["a".to_owned()])]);
    pass(10 * AFTER).await;
    assert_eq!(noting.told(), []);
    assert_eq!(stats(&repeats), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn what_is_stored_again_is_told_once_after_the_last_time() {
    let (noting, repeats) = start();
    let began = now();
    repeats.stored(&key("a"));
    pass(AFTER / 2).await;
    repeats.stored(&key("b"));
    repeats.stored(&key("a"));
    repeats.idle().await;
    let both = vec!["b".to_owned(), "a".to_owned()];
    assert_eq!(noting.told(), [(began + 150, both)]);
}

#[tokio::test(start_paused = true)]
async fn what_is_stored_while_its_notice_is_under_way_is_told_again() {
    let (noting, repeats) = start();
    let began = now();
    *noting.takes.lock().unwrap() = AFTER / 2;
    repeats.stored(&key("a"));
    pass(AFTER + AFTER / 4).await;
    repeats.stored(&key("a"));
    repeats.idle().await;
    let a = || vec!["a".to_owned()];
    assert_eq!(noting.told(), [(began + 100, a()), (began + 225, a())]);
}

/// Also: one command at a time, so that a slow server has no more of them than that.
#[tokio::test(start_paused = true)]
async fn many_keys_travel_together_and_one_after_another() {
    let (noting, repeats) = start();
    let began = now();
    *noting.takes.lock().unwrap() = Duration::from_millis(7);
    for n in 0..250 {
        repeats.stored(&key(&n.to_string()));
    }
    repeats.idle().await;
    let told = noting.told();
    let sizes: Vec<_> = told.iter().map(|(at, ids)| (*at, ids.len())).collect();
    let at = |ms| began + 100 + ms;
    assert_eq!(sizes, [(at(0), 100), (at(7), 100), (at(14), 50)]);
}

#[tokio::test(start_paused = true)]
async fn pending_notices_are_bounded_in_number_and_bytes() {
    let (noting, repeats) = start();
    for n in 0..MOST_KEYS + 5 {
        repeats.stored(&key(&n.to_string()));
    }
    assert_eq!(stats(&repeats), (0, 5));
    // One that is pending is not one more.
    repeats.stored(&key("0"));
    repeats.idle().await;
    assert_eq!(stats(&repeats), (MOST_KEYS as u64, 5));
    noting.told();
    let long = "x".repeat(65_000);
    for n in 0..200 {
        repeats.stored(&key(&format!("{long}{n}")));
    }
    let (_, dropped) = stats(&repeats);
    assert_eq!(dropped, 5 + 200 - (MOST_BYTES / 65_010) as u64);
    repeats.idle().await;
    // Room again.
    repeats.stored(&key(&long));
    assert_eq!(stats(&repeats).1, dropped);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_down_drops_what_is_pending_of_that_part() {
    for kind in [ErrorKind::Unavailable, ErrorKind::Timeout] {
        let (noting, repeats) = start();
        *noting.fails.lock().unwrap() = Some(kind);
        repeats.stored(&key("a0"));
        pass(AFTER / 2).await;
        for id in ["a1", "a2", "b1"] {
            repeats.stored(&key(id));
        }
        pass(AFTER / 2 + AFTER / 4).await;
        assert_eq!(stats(&repeats), (0, 3), "a0, a1 and a2 are dropped");
        *noting.fails.lock().unwrap() = None;
        repeats.idle().await;
        assert_eq!(stats(&repeats), (1, 3), "b1 is at another part");
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_drops_its_own_keys_alone() {
    let (noting, repeats) = start();
    *noting.fails.lock().unwrap() = Some(ErrorKind::Denied);
    repeats.stored(&key("a"));
    pass(AFTER / 2).await;
    repeats.stored(&key("b"));
    pass(AFTER / 2 + AFTER / 4).await;
    *noting.fails.lock().unwrap() = None;
    repeats.idle().await;
    assert_eq!(stats(&repeats), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_close_drops_what_is_pending() {
    let (noting, repeats) = start();
    repeats.stored(&key("a"));
    repeats.close();
    repeats.idle().await;
    repeats.stored(&key("b"));
    pass(10 * AFTER).await;
    assert_eq!(noting.told(), []);
}

#[tokio::test(start_paused = true)]
async fn a_drop_ends_the_task_and_so_does_the_backends() {
    let (noting, repeats) = start();
    repeats.stored(&key("a"));
    drop(repeats);
    pass(10 * AFTER).await;
    assert_eq!(noting.told(), []);
    let (noting, repeats) = start();
    repeats.stored(&key("a"));
    drop(noting);
    repeats.idle().await;
    assert_eq!(stats(&repeats), (0, 0));
}

/// The runtime of the backend is gone: nothing hangs, and nothing piles up.
#[test]
fn the_end_of_the_runtime_is_a_close() {
    let runtime = || {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_time().build().unwrap()
    };
    let (other, runtime) = (runtime(), runtime());
    let (noting, repeats) = runtime.block_on(async { start() });
    drop(runtime);
    other.block_on(async {
        repeats.stored(&key("a"));
        repeats.idle().await;
    });
    assert!(repeats.shared.queue().places.is_empty());
    drop(noting);
}

#[tokio::test(start_paused = true)]
async fn a_command_that_is_dropped_or_lost_is_noted_and_one_that_stored_nothing_is_not() {
    use memolock_core::Operation::Fulfil;
    let (noting, repeats) = start();
    let storing = |id: &'static str| (key(id), Some(&repeats));
    let (dropped, to) = storing("dropped");
    drop(Storing::of(to, &dropped));
    let error = |kind| Err(BackendError::new(kind, Fulfil, ""));
    for (id, answer) in [
        ("stored", Ok(Fulfilled::Stored)),
        ("no reply", error(ErrorKind::Timeout)),
        ("lease lost", Ok(Fulfilled::Lost)),
        ("refused", error(ErrorKind::Refused)),
    ] {
        let (key, to) = storing(id);
        Storing::of(to, &key).fulfilled(&answer);
    }
    for (id, answer) in [
        ("put", Ok(())),
        (
            "put, no reply",
            error(ErrorKind::Unavailable).map(|_: Fulfilled| ()),
        ),
        (
            "put, refused",
            error(ErrorKind::Denied).map(|_: Fulfilled| ()),
        ),
    ] {
        let (key, to) = storing(id);
        Storing::of(to, &key).put(&answer);
    }
    repeats.idle().await;
    let told: Vec<_> = noting.told().into_iter().flat_map(|(_, ids)| ids).collect();
    assert_eq!(
        told,
        ["dropped", "stored", "no reply", "put", "put, no reply"]
    );
}
