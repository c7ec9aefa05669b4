//! Tests of the switchboard: by hand, one promise each, and by random schedules in `schedules`.

#[cfg(memolock_shuttle)]
mod interleavings;
mod schedules;
mod trouble;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use bytes::Bytes;
use futures_util::{FutureExt, StreamExt};

use super::{Changes, Listener, Switchboard};
use crate::{
    BackendError, ErrorKind, Event, Key, Keyspace, Layout, Message, Notice, Operation, Tag,
};

fn key(id: &str) -> Key {
    let tag = Tag::new("likes").unwrap();
    let space = Keyspace::new(tag, Layout::Classic).unwrap();
    space.key(id).unwrap()
}

fn board() -> Arc<Switchboard> {
    Arc::new(Switchboard::new())
}

fn value(text: &'static str) -> Message {
    Message::Value(Bytes::from_static(text.as_bytes()))
}

fn refusal() -> BackendError {
    BackendError::new(ErrorKind::Denied, Operation::Subscribe, "NOPERM")
}

/// What is to be asked of the store: `+` subscribes, `-` unsubscribes; empty if nothing is.
fn asks(board: &Switchboard) -> String {
    let Changes {
        subscribe,
        unsubscribe,
    } = board.changes().now_or_never().unwrap_or_default();
    let plus = subscribe.iter().map(|k| format!("+{}", k.id()));
    let minus = unsubscribe.iter().map(|k| format!("-{}", k.id()));
    plus.chain(minus).collect::<Vec<_>>().join(" ")
}

fn is_confirmed(listener: &mut Listener) -> bool {
    listener
        .confirmed()
        .now_or_never()
        .is_some_and(|r| r.is_ok())
}

/// What the listener has heard; `None` at the end if the stream is over.
fn heard(listener: &mut Listener) -> Vec<Option<Event>> {
    let mut events = Vec::new();
    while let Some(next) = listener.next().now_or_never() {
        let over = next.is_none();
        events.push(next);
        if over {
            break;
        }
    }
    events
}

fn some(message: Message) -> Option<Event> {
    Some(message.into())
}

/// A listener that the store has confirmed.
fn live(board: &Arc<Switchboard>, id: &str) -> Listener {
    let mut listener = board.listen(&key(id));
    assert_eq!(asks(board), format!("+{id}"));
    board.confirm(&key(id));
    assert!(is_confirmed(&mut listener));
    listener
}

#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl Count {
    fn get(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

/// Polls a future that is pending now; the counter counts how often it is woken after that.
macro_rules! pending {
    ($future:expr) => {{
        let count = Arc::new(Count::default());
        let waker = Waker::from(Arc::clone(&count));
        let mut future = std::pin::pin!($future);
        let polled = future.as_mut().poll_unpin(&mut Context::from_waker(&waker));
        assert!(matches!(polled, Poll::Pending));
        count
    }};
}

#[test]
fn a_listener_is_deaf_until_the_store_has_confirmed() {
    let board = board();
    let mut listener = board.listen(&key("k"));
    board.deliver(&key("k"), &value("early"));
    assert_eq!(asks(&board), "+k");
    board.deliver(&key("k"), &value("still early"));
    assert!(!is_confirmed(&mut listener));
    board.confirm(&key("k"));
    assert!(is_confirmed(&mut listener));
    board.deliver(&key("k"), &value("v"));
    board.deliver(&key("other"), &value("o"));
    let notice = Message::Notice(Notice::Released);
    board.deliver(&key("k"), &notice);
    assert_eq!(heard(&mut listener), [some(value("v")), some(notice)]);
}

#[test]
fn answers_to_others_show_that_the_store_is_at_work() {
    let board = board();
    let _first = board.listen(&key("a"));
    let _second = board.listen(&key("b"));
    assert_eq!((asks(&board).as_str(), board.answered()), ("+a +b", 0));
    board.confirm(&key("a"));
    assert_eq!(board.answered(), 1);
    board.refuse(&key("b"), &refusal());
    assert_eq!(board.answered(), 2, "a refusal is an answer");
    board.gap();
    assert_eq!(board.answered(), 2, "the loss of a connection is none");
}

#[test]
fn a_second_listener_is_fenced_by_a_confirmation_of_its_own() {
    let board = board();
    let mut first = live(&board, "k");
    let mut second = board.listen(&key("k"));
    board.deliver(&key("k"), &value("before it was asked"));
    assert_eq!(asks(&board), "+k", "the store is asked again");
    board.deliver(&key("k"), &value("before it was confirmed"));
    assert!(!is_confirmed(&mut second));
    assert_eq!(heard(&mut first).len(), 2);
    board.confirm(&key("k"));
    board.deliver(&key("k"), &value("v"));
    assert!(is_confirmed(&mut second));
    assert_eq!(heard(&mut second), [some(value("v"))]);
}

#[test]
fn a_confirmation_counts_for_those_who_listened_before_its_request() {
    let board = board();
    let mut first = board.listen(&key("k"));
    let mut also = board.listen(&key("k"));
    assert_eq!(asks(&board), "+k", "once for both");
    let mut second = board.listen(&key("k"));
    assert_eq!(asks(&board), "+k");
    let mut third = board.listen(&key("k"));
    board.confirm(&key("k"));
    assert!(is_confirmed(&mut first) && is_confirmed(&mut also));
    assert!(!is_confirmed(&mut second) && !is_confirmed(&mut third));
    board.confirm(&key("k"));
    assert!(is_confirmed(&mut second) && !is_confirmed(&mut third));
    board.confirm(&key("k"));
    assert!(!is_confirmed(&mut third), "nobody asked for it yet");
    assert_eq!(asks(&board), "+k");
    board.confirm(&key("k"));
    assert!(is_confirmed(&mut third));
}

#[test]
fn r9_the_last_listener_to_leave_unsubscribes() {
    let board = board();
    let first = live(&board, "k");
    let second = live(&board, "k");
    drop(first);
    assert_eq!(asks(&board), "");
    drop(second);
    assert_eq!((asks(&board), board.len()), ("-k".to_owned(), 0));
    board.confirm(&key("k"));
    assert_eq!(asks(&board), "", "a stray confirmation means nothing");
}

#[test]
fn unsubscribing_waits_for_confirmations_that_are_under_way() {
    let board = board();
    let listener = board.listen(&key("k"));
    assert_eq!(asks(&board), "+k");
    drop(listener);
    assert_eq!((asks(&board), board.len()), (String::new(), 1));
    board.confirm(&key("k"));
    assert_eq!((asks(&board), board.len()), ("-k".to_owned(), 0));
}

#[test]
fn a_confirmation_of_one_who_left_does_not_count_for_one_who_came_after() {
    let board = board();
    let gone = board.listen(&key("k"));
    assert_eq!(asks(&board), "+k");
    drop(gone);
    let mut late = board.listen(&key("k"));
    board.confirm(&key("k"));
    assert!(!is_confirmed(&mut late));
    assert_eq!(asks(&board), "+k");
    board.confirm(&key("k"));
    assert!(is_confirmed(&mut late));
}

#[test]
fn r9_a_listener_that_left_before_it_was_asked_for_leaves_nothing() {
    let board = board();
    drop(board.listen(&key("k")));
    assert_eq!((asks(&board), board.len()), (String::new(), 0));
}

#[test]
fn r10_close_ends_listeners_now_and_later() {
    let board = board();
    let mut listener = live(&board, "k");
    let mut waits = board.listen(&key("k"));
    board.deliver(&key("k"), &value("v"));
    board.close();
    board.close();
    assert_eq!(heard(&mut listener), [some(value("v")), None]);
    for mut ended in [waits.confirmed(), board.listen(&key("k")).confirmed()]
        .into_iter()
        .map(FutureExt::now_or_never)
    {
        let error = ended.take().expect("it does not wait").unwrap_err();
        assert_eq!(
            (error.kind(), error.key()),
            (ErrorKind::Closed, Some(&key("k")))
        );
    }
    assert_eq!(heard(&mut board.attach(&key("k"))), [None]);
    drop((listener, waits));
    board.gap();
    assert!(board.changes().now_or_never().is_none());
    assert!(board.is_empty());
}

#[test]
fn attached_listeners_hear_at_once_and_ask_for_nothing() {
    let board = board();
    let mut listener = board.attach(&key("k"));
    assert!(is_confirmed(&mut listener));
    board.deliver(&key("k"), &value("v"));
    assert_eq!(heard(&mut listener), [some(value("v"))]);
    assert_eq!(board.len(), 1);
    drop(listener);
    assert_eq!((asks(&board), board.len()), (String::new(), 0));
}

#[test]
fn the_owner_is_woken_by_whatever_there_is_to_ask() {
    let board = board();
    let count = pending!(board.changes());
    let listener = board.listen(&key("k"));
    assert_eq!((count.get(), asks(&board)), (1, "+k".to_owned()));
    let count = pending!(board.changes());
    board.confirm(&key("k"));
    assert_eq!(count.get(), 0);
    drop(listener);
    assert_eq!((count.get(), asks(&board)), (1, "-k".to_owned()));
    let _listener = live(&board, "k");
    let count = pending!(board.changes());
    board.gap();
    assert_eq!((count.get(), asks(&board)), (1, "+k".to_owned()));
}

#[test]
fn listeners_are_woken_by_confirmations_messages_gaps_refusals_and_the_end() {
    let board = board();
    let mut listener = board.listen(&key("k"));
    let _ = asks(&board);
    let count = pending!(listener.confirmed());
    board.confirm(&key("k"));
    assert_eq!(count.get(), 1);
    let wakes = |listener: &mut Listener, what: &dyn Fn()| {
        let count = pending!(listener.next());
        what();
        assert_eq!(count.get(), 1);
        let _ = heard(listener);
    };
    wakes(&mut listener, &|| board.deliver(&key("k"), &value("v")));
    wakes(&mut listener, &|| board.gap());
    let _ = asks(&board);
    wakes(&mut listener, &|| board.confirm(&key("k")));
    wakes(&mut listener, &|| board.close());
    let refused = self::board();
    let mut listener = refused.listen(&key("k"));
    let _ = asks(&refused);
    let count = pending!(listener.confirmed());
    refused.refuse(&key("k"), &refusal());
    assert_eq!(count.get(), 1);
}

#[test]
fn a_crowd_of_listeners_hears_one_message_each_and_leaves_nothing() {
    let board = board();
    let id = |n: usize| key(&(n % 100).to_string());
    let mut crowd: Vec<_> = (0..10_000).map(|n| board.listen(&id(n))).collect();
    let changes = board.changes().now_or_never().unwrap();
    assert_eq!((changes.subscribe.len(), board.len()), (100, 100));
    for n in 0..100 {
        board.confirm(&id(n));
        board.deliver(&id(n), &value("v"));
    }
    for listener in &mut crowd {
        assert_eq!(heard(listener), [some(value("v"))]);
    }
    drop(crowd);
    let changes = board.changes().now_or_never().unwrap();
    assert_eq!((changes.unsubscribe.len(), board.len()), (100, 0));
}
