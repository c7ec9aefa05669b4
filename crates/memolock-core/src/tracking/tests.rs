//! Tests of the board of trackers, one promise each.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::task::{Context, Wake, Waker};

use futures_util::{FutureExt, StreamExt};

use super::tracker::{MAILBOX_BYTES, MAILBOX_CHANGES};
use super::{Change, Tracker, TrackingBoard, Wish};
use crate::{BackendError, ErrorKind, Keyspace, Layout, Operation, Tag};

fn space(tag: &str) -> Keyspace {
    Keyspace::new(Tag::new(tag).unwrap(), Layout::Classic).unwrap()
}

fn board() -> Arc<TrackingBoard> {
    Arc::new(TrackingBoard::new())
}

fn wish(board: &TrackingBoard) -> Option<Wish> {
    board.wishes().now_or_never()
}

fn also(prefixes: &[&str]) -> Option<Wish> {
    Some(Wish::Also(prefixes.iter().map(|&p| p.into()).collect()))
}

fn only(prefixes: &[&str]) -> Option<Wish> {
    Some(Wish::Only(prefixes.iter().map(|&p| p.into()).collect()))
}

fn value(id: &str) -> Change {
    Change::Value(id.to_owned())
}

fn refusal() -> BackendError {
    BackendError::new(ErrorKind::Denied, Operation::Subscribe, "NOPERM")
}

/// A future, and whether it was woken since it was last polled.
struct Woken<F>(Pin<Box<F>>, Arc<Flag>, bool);

#[derive(Default)]
struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, SeqCst);
    }
}

impl<F: Future> Woken<F> {
    fn new(future: F) -> Self {
        Self(Box::pin(future), Arc::default(), true)
    }

    fn is_woken_and_ready(&mut self) -> bool {
        let first = std::mem::take(&mut self.2);
        let woken = self.1.0.swap(false, SeqCst) || first;
        let waker = Waker::from(Arc::clone(&self.1));
        let mut context = Context::from_waker(&waker);
        woken && self.0.as_mut().poll(&mut context).is_ready()
    }
}

/// What is in the mailbox.
fn heard(tracker: &mut Tracker) -> Vec<Change> {
    let mut changes = Vec::new();
    while let Some(Some(change)) = tracker.next().now_or_never() {
        changes.push(change);
    }
    changes
}

fn is_over(tracker: &mut Tracker) -> bool {
    matches!(tracker.next().now_or_never(), Some(None))
}

/// A tracker that the store has confirmed.
fn live(board: &Arc<TrackingBoard>, tag: &str) -> Tracker {
    let mut tracker = board.track(&space(tag));
    assert!(wish(board).is_some());
    board.confirm();
    assert_eq!(heard(&mut tracker), [Change::Resumed]);
    tracker
}

#[test]
fn a_tracker_is_deaf_until_the_store_has_confirmed() {
    let board = board();
    let mut tracker = board.track(&space("likes"));
    board.deliver(b"likes:early");
    assert_eq!(wish(&board), also(&["likes:"]));
    assert_eq!(wish(&board), None, "one thing at a time");
    board.deliver(b"likes:still early");
    board.all();
    assert_eq!(heard(&mut tracker), []);
    board.confirm();
    for name in ["likes:k", "likes:", "like:k", "likes/lock:k", "likes"] {
        board.deliver(name.as_bytes());
    }
    board.deliver(b"likes:\xff");
    assert_eq!(
        heard(&mut tracker),
        [Change::Resumed, value("k"), value("")]
    );
    assert_eq!(wish(&board), None);
}

#[test]
fn names_of_the_hash_tagged_layout_lose_their_braces() {
    let board = board();
    let tag = Tag::new("likes").unwrap();
    let tagged = Keyspace::new(tag, Layout::HashTagged).unwrap();
    let mut tracker = board.track(&tagged);
    assert_eq!(wish(&board), also(&["likes:{"]));
    board.confirm();
    let name = tagged.key("x}y").unwrap().value_name();
    board.deliver(name.as_bytes());
    for strange in ["likes:{", "likes:{k", "likes:k"] {
        board.deliver(strange.as_bytes());
    }
    assert_eq!(heard(&mut tracker), [Change::Resumed, value("x}y")]);
}

#[test]
fn prefixes_that_overlap_are_asked_for_by_the_shortest_and_told_apart_here() {
    let board = board();
    let mut long = board.track(&space("a:b"));
    let mut short = board.track(&space("a"));
    let mut other = board.track(&space("ab"));
    assert_eq!(wish(&board), also(&["a:", "ab:"]));
    board.confirm();
    board.deliver(b"a:b:c");
    board.deliver(b"a:x");
    assert_eq!(heard(&mut long), [Change::Resumed, value("c")]);
    assert_eq!(
        heard(&mut short),
        [Change::Resumed, value("b:c"), value("x")]
    );
    assert_eq!(heard(&mut other), [Change::Resumed]);
}

#[test]
fn one_who_is_covered_already_hears_at_once_and_asks_for_nothing() {
    let board = board();
    let _short = live(&board, "a");
    let mut long = board.track(&space("a:b"));
    let mut same = board.track(&space("a"));
    assert_eq!(wish(&board), None);
    board.deliver(b"a:b:c");
    assert_eq!(heard(&mut long), [Change::Resumed, value("c")]);
    assert_eq!(heard(&mut same), [Change::Resumed, value("b:c")]);
}

#[test]
fn a_shorter_prefix_that_comes_later_is_a_gap_for_the_longer() {
    let board = board();
    let mut long = live(&board, "a:b");
    let mut other = live(&board, "x");
    let mut short = board.track(&space("a"));
    assert_eq!(wish(&board), only(&["a:", "x:"]));
    board.deliver(b"a:b:unheard");
    assert_eq!(
        (heard(&mut long), heard(&mut other)),
        (vec![Change::Gap], vec![Change::Gap])
    );
    board.confirm();
    for tracker in [&mut long, &mut other, &mut short] {
        assert_eq!(heard(tracker), [Change::Resumed]);
    }
}

#[test]
fn who_comes_while_the_store_is_asked_is_asked_for_next() {
    let board = board();
    let mut first = board.track(&space("a"));
    assert_eq!(wish(&board), also(&["a:"]));
    let mut second = board.track(&space("b"));
    assert_eq!(wish(&board), None);
    board.confirm();
    assert_eq!(
        (heard(&mut first), heard(&mut second)),
        (vec![Change::Resumed], vec![])
    );
    assert_eq!(wish(&board), also(&["b:"]));
    board.confirm();
    assert_eq!(heard(&mut second), [Change::Resumed]);
}

#[test]
fn a_gap_is_told_and_everything_is_asked_for_again() {
    let board = board();
    let mut tracker = live(&board, "a");
    board.deliver(b"a:k");
    board.gap();
    board.deliver(b"a:unheard");
    assert_eq!(heard(&mut tracker), [Change::Gap], "a gap says it all");
    assert_eq!(wish(&board), also(&["a:"]));
    board.gap();
    assert_eq!(
        wish(&board),
        also(&["a:"]),
        "the question was lost with the connection"
    );
    board.confirm();
    board.gap();
    board.confirm();
    assert_eq!(
        heard(&mut tracker),
        [Change::Gap],
        "a confirmation of before means nothing"
    );
}

#[test]
fn the_store_may_refuse_and_is_not_asked_again() {
    let board = board();
    let mut refused = board.track(&space("a"));
    assert_eq!(wish(&board), also(&["a:"]));
    board.refuse(&refusal());
    assert_eq!(heard(&mut refused), [Change::Refused(refusal())]);
    board.gap();
    board.all();
    board.deliver(b"a:k");
    assert_eq!((wish(&board), heard(&mut refused)), (None, vec![]));
    let mut next = board.track(&space("b"));
    assert_eq!(wish(&board), also(&["b:"]));
    board.confirm();
    assert_eq!(heard(&mut next), [Change::Resumed]);
    board.refuse(&refusal());
    assert_eq!(heard(&mut next), [], "nothing was asked");
}

#[test]
fn r9_the_last_to_leave_has_the_store_tell_nothing_more() {
    let board = board();
    let first = live(&board, "a");
    let second = live(&board, "b");
    drop(first);
    assert_eq!(wish(&board), None, "no gap for those who stay");
    drop(second);
    assert_eq!(wish(&board), Some(Wish::Nothing));
    board.confirm();
    assert_eq!((wish(&board), board.len()), (None, 0));
    let again = live(&board, "a");
    drop(again);
    board.gap();
    assert_eq!(
        wish(&board),
        None,
        "the connection is gone, and with it what was told"
    );
}

#[test]
fn a_full_mailbox_becomes_one_change_of_everything() {
    let board = board();
    let mut tracker = board.attach(&space("a"));
    for _ in 0..MAILBOX_CHANGES {
        board.deliver(b"a:k");
    }
    assert_eq!(
        heard(&mut tracker),
        [Change::Resumed],
        "what was never read must be"
    );
    let long = "x".repeat(MAILBOX_BYTES / 4);
    for _ in 0..5 {
        board.deliver(format!("a:{long}").as_bytes());
    }
    board.deliver(b"a:k");
    assert_eq!(heard(&mut tracker), [Change::All, value("k")]);
    board.deliver(b"a:k");
    board.all();
    assert_eq!(heard(&mut tracker), [Change::All]);
}

#[test]
fn r10_close_ends_trackers_now_and_later() {
    let board = board();
    let mut tracker = live(&board, "a");
    board.deliver(b"a:k");
    board.close();
    board.close();
    assert_eq!(tracker.next().now_or_never(), Some(Some(value("k"))));
    assert!(is_over(&mut tracker) && is_over(&mut board.track(&space("a"))));
    assert!(is_over(&mut board.attach(&space("a"))));
    assert_eq!((wish(&board), board.is_empty()), (None, true));
}

#[test]
fn whoever_waits_is_woken() {
    let (board, space) = (board(), space("a"));
    let mut tracker = board.attach(&space);
    assert_eq!(heard(&mut tracker), [Change::Resumed]);
    let mut next = Woken::new(tracker.next());
    assert!(!next.is_woken_and_ready());
    board.changed(&space.key("k").unwrap());
    assert!(next.is_woken_and_ready());
    let board = Arc::new(TrackingBoard::new());
    let mut wishes = Woken::new(board.wishes());
    assert!(!wishes.is_woken_and_ready());
    let tracker = board.track(&space);
    assert!(wishes.is_woken_and_ready());
    board.confirm();
    let mut wishes = Woken::new(board.wishes());
    assert!(!wishes.is_woken_and_ready());
    drop(tracker);
    assert!(wishes.is_woken_and_ready());
}
