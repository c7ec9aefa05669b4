//! What happens to callers of theirs that ask at the moment at which a value of ours is stored.
//!
//! A caller of the C# client whose lock is refused, and whose second look finds the value, is woken by nothing but another
//! notice: it waits for its whole time-out. `repeat_notice` gives it one.

use std::collections::HashMap;
use std::time::Duration;

use futures_util::future::join_all;
use memolock::Source;
use memolock_tests::{Adapter, Case, Crowd, Event, HANG, Language, Ours, SECOND, Style, end_of};
use tokio::task::JoinSet;
use tokio::time::sleep;

in_every_language!(
    a_caller_of_theirs_between_its_two_looks,
    a_caller_of_theirs_before_its_lock_computes_again,
    a_put_and_a_resolve_of_ours_are_told_again,
);

/// After how long notices are repeated: all callers of theirs wait by then, on a busy machine too.
const LATE: Duration = SECOND.saturating_mul(2);

/// Between its lock, which is refused, and its second look our value is stored.
async fn a_caller_of_theirs_between_its_two_looks(case: Case) {
    let missed = async |ours: &Ours, id: &str, wait: Duration| {
        let mut peer = case.peer(60 * SECOND).await;
        let (end, call) = ours.hold(id).await;
        peer.get_halting(id, wait, "refused").await;
        end.send(Ok("ours".to_owned())).unwrap();
        assert_eq!(end_of(call).await.unwrap().source(), Source::Computed);
        // The notice is over for it: it had no waiter.
        peer.heard_until("ours").await;
        peer.go().await;
        peer
    };
    let ours = case.ours().await;
    let mut peer = missed(&ours, "once", SECOND / 2).await;
    match case.style {
        // Its process is gone.
        Style::Go => return peer.says(&Event::Panicked).await,
        Style::Csharp => {
            peer.says(&Event::Waiting).await;
            peer.says(&Event::Timeout).await;
        }
    }
    // The same with a second notice, which comes when it waits. Its time-out is longer than a hang.
    let ours = case.ours_repeating(LATE).await;
    let mut peer = missed(&ours, "twice", 2 * HANG).await;
    peer.says(&Event::Waiting).await;
    peer.has("ours", "awaited").await;
}

/// Between its first look and its lock our value is stored, and our lock is gone: both compute. The last one stays.
async fn a_caller_of_theirs_before_its_lock_computes_again(case: Case) {
    let (mut peer, ours) = (case.peer(60 * SECOND).await, case.ours().await);
    let (end, call) = ours.hold("kristoff").await;
    peer.get_halting("kristoff", HANG, "missed").await;
    end.send(Ok("ours".to_owned())).unwrap();
    assert_eq!(end_of(call).await.unwrap().source(), Source::Computed);
    peer.go().await;
    peer.says(&Event::Computing).await;
    // No tombstone: nobody waits meanwhile, and readers have our value.
    let memo = end_of(ours.get("kristoff", "again")).await.unwrap();
    assert_eq!((memo.as_str(), memo.source()), ("ours", Source::Hit));
    peer.fulfil("theirs").await;
    assert_eq!(case.stored("kristoff").await.as_deref(), Some("theirs"));
}

async fn a_put_and_a_resolve_of_ours_are_told_again(case: Case) {
    if case.style == Style::Go {
        return;
    }
    let ours = case.ours_repeating(LATE).await;
    for id in ["put", "resolved"] {
        let (_end, holder) = ours.hold(id).await;
        let mut peer = case.peer(60 * SECOND).await;
        peer.get_halting(id, 2 * HANG, "refused").await;
        let (entry, value) = (ours.likes.entry(id), "told".to_owned());
        let stored = match id {
            "put" => entry.put(&value).await,
            _ => entry.resolve(&value).await,
        };
        stored.unwrap();
        peer.heard_until("told").await;
        peer.go().await;
        peer.says(&Event::Waiting).await;
        peer.has("told", "awaited").await;
        holder.abort();
    }
}

/// Rounds under way at the same time, with each peer.
const AT_ONCE: usize = 50;

/// Callers of theirs in a round.
const CALLERS: usize = 5;

/// How long each of them dawdles between two of its steps, and we before we store, at most.
const DAWDLE: Duration = Duration::from_millis(4);

#[tokio::test]
async fn no_caller_in_python_waits_for_its_whole_time_out() {
    race(Language::Python).await;
}

#[tokio::test]
async fn no_caller_in_go_waits_for_its_whole_time_out() {
    race(Language::Go).await;
}

/// 2,000 rounds with repeated notices, over all adapters at the same time, and as many as it takes without.
async fn race(language: Language) {
    if language.peer().is_none() {
        return;
    }
    let server = std::sync::Arc::new(memolock_tests::server().await);
    let case = |adapter| Case {
        language,
        style: Style::Csharp,
        adapter,
        tag: memolock_testkit::unique_tag("likes"),
        server: std::sync::Arc::clone(&server),
    };
    let repeating = Adapter::ALL
        .into_iter()
        .enumerate()
        .map(async |(nth, adapter)| {
            let case = case(adapter);
            let ours = case.ours_repeating(LATE).await;
            let rounds = 2_000 / 3 + usize::from(nth < 2_000 % 3);
            let ends = rounds_of(&case, &ours, rounds, 2 * HANG, |_| false).await;
            assert_eq!(ends.get("timeout"), None, "{adapter}: {ends:?}");
            let had_it =
                ["hit", "computed", "awaited"].map(|end| ends.get(end).copied().unwrap_or(0));
            assert_eq!(had_it.iter().sum::<usize>(), rounds * CALLERS, "{ends:?}");
            eprintln!("{language}, {adapter}, with repeated notices: {ends:?}");
        });
    join_all(repeating).await;
    let case = case(Adapter::RedisRs);
    let ours = case.ours().await;
    let timed_out = |ends: &Ends| ends.contains_key("timeout");
    let ends = rounds_of(&case, &ours, 2_000, SECOND / 2, timed_out).await;
    assert!(
        timed_out(&ends),
        "the race does not show the fault: {ends:?}"
    );
    eprintln!("{language}, without: {ends:?}");
}

/// How often callers ended in which way.
type Ends = HashMap<String, usize>;

/// Runs rounds, some at a time, until they are over or `enough`.
async fn rounds_of(
    case: &Case,
    ours: &Ours,
    rounds: usize,
    wait: Duration,
    enough: impl Fn(&Ends) -> bool,
) -> Ends {
    let mut peer = case.peer(60 * SECOND).await;
    let (mut ends, mut computes) = (Ends::new(), JoinSet::new());
    let crowd = Crowd {
        callers: CALLERS,
        wait,
        dawdle: DAWDLE,
    };
    let (mut begun, mut over) = (0, 0);
    while over < rounds && (begun > over || !enough(&ends)) {
        while begun < rounds && begun - over < AT_ONCE && !enough(&ends) {
            let id = begun.to_string();
            let (end, call) = ours.hold(&id).await;
            peer.crowd(&id, "theirs", crowd).await;
            let after = DAWDLE.mul_f64(f64::from(u32::try_from(begun % 17).unwrap()) / 8.0);
            computes.spawn(async move {
                sleep(after).await;
                end.send(Ok("ours".to_owned())).unwrap();
                end_of(call).await.unwrap();
            });
            begun += 1;
        }
        match peer.event().await {
            Event::Crowd { ends: some, .. } => {
                for (end, times) in some {
                    *ends.entry(end).or_insert(0) += times;
                }
                over += 1;
            }
            Event::Waiting => {}
            other => panic!("{other:?} in a race"),
        }
    }
    while let Some(ended) = computes.join_next().await {
        ended.unwrap();
    }
    ends
}
