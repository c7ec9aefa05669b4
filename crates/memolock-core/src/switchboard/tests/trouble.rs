//! Trouble: connections that break, mailboxes that overflow, stores that refuse.

use futures_util::FutureExt;

use super::{asks, board, heard, is_confirmed, key, live, refusal, some, value};
use crate::switchboard::listener::{MAILBOX_BYTES, MAILBOX_EVENTS};
use crate::{Event, Message};

#[test]
fn after_a_gap_every_key_is_asked_for_again() {
    let board = board();
    let mut live_one = live(&board, "a");
    let mut asked = board.listen(&key("b"));
    assert_eq!(asks(&board), "+b");
    drop(live(&board, "d"));
    let _new = board.listen(&key("c"));
    board.gap();
    assert_eq!(asks(&board), "+a +b +c", "and nobody needs d any more");
    assert_eq!(board.len(), 3);
    board.confirm(&key("b"));
    assert!(is_confirmed(&mut asked));
    assert_eq!(heard(&mut asked), [], "it was not cut off from anything");
    assert_eq!(heard(&mut live_one), [Some(Event::Gap)]);
}

#[test]
fn a_gap_is_told_once_and_so_is_its_end() {
    let board = board();
    let mut listener = live(&board, "k");
    board.gap();
    board.gap();
    board.deliver(&key("k"), &value("lost"));
    assert_eq!(asks(&board), "+k");
    board.gap();
    assert_eq!(asks(&board), "+k");
    board.confirm(&key("k"));
    board.confirm(&key("k"));
    board.deliver(&key("k"), &value("v"));
    let expected = [Some(Event::Gap), Some(Event::Resumed), some(value("v"))];
    assert_eq!(heard(&mut listener), expected);
}

#[test]
fn a_mailbox_that_overflows_becomes_a_gap_and_its_end() {
    let board = board();
    let mut listener = live(&board, "k");
    for _ in 0..MAILBOX_EVENTS {
        board.deliver(&key("k"), &value("v"));
    }
    assert_eq!(heard(&mut listener).len(), MAILBOX_EVENTS, "just not yet");
    for _ in 0..=MAILBOX_EVENTS {
        board.deliver(&key("k"), &value("v"));
    }
    board.deliver(&key("k"), &value("last"));
    let expected = [Some(Event::Gap), Some(Event::Resumed), some(value("last"))];
    assert_eq!(heard(&mut listener), expected);
}

/// The bytes that a slow listener keeps alive while somebody publishes `count` values of `size` bytes.
fn flooded(size: usize, count: usize) -> (usize, Vec<Option<Event>>) {
    let board = board();
    let mut listener = live(&board, "k");
    for _ in 0..count {
        board.deliver(&key("k"), &Message::Value(vec![7; size].into()));
    }
    let events = heard(&mut listener);
    let kept = events.iter().flatten().map(|event| match event {
        Event::Message(Message::Value(value)) => value.len(),
        _ => 0,
    });
    (kept.sum(), events)
}

#[test]
fn what_a_slow_listener_keeps_is_bounded_in_bytes_too() {
    for size in [
        1,
        1_000,
        MAILBOX_BYTES / 2,
        MAILBOX_BYTES - 1,
        MAILBOX_BYTES,
    ] {
        let (kept, events) = flooded(size, 100);
        assert!(kept <= MAILBOX_BYTES, "{kept} of {size}");
        assert!(events.contains(&Some(Event::Resumed)), "it is told to look");
    }
}

#[test]
fn one_value_is_kept_whatever_its_size() {
    let size = 3 * MAILBOX_BYTES;
    let (kept, events) = flooded(size, 1);
    assert_eq!((kept, events.len()), (size, 1));
    // A second replaces both, and the third is the one that is kept.
    let (kept, events) = flooded(size, 2);
    assert_eq!((kept, events.len()), (0, 2));
    let (kept, events) = flooded(size, 3);
    assert_eq!((kept, events.len()), (size, 3));
}

#[test]
fn what_was_read_counts_no_more() {
    let board = board();
    let mut listener = live(&board, "k");
    for _ in 0..10 * MAILBOX_EVENTS {
        let large = Message::Value(vec![7; MAILBOX_BYTES].into());
        board.deliver(&key("k"), &large);
        assert_eq!(heard(&mut listener), [some(large)]);
    }
}

#[test]
fn what_cannot_be_carried_is_a_gap_that_is_over_at_once() {
    let board = board();
    let mut listener = live(&board, "k");
    let mut asked = board.listen(&key("k"));
    assert_eq!(asks(&board), "+k");
    board.deliver(&key("k"), &value("v"));
    board.missed(&key("k"));
    board.missed(&key("nobody"));
    let expected = [some(value("v")), Some(Event::Gap), Some(Event::Resumed)];
    assert_eq!(heard(&mut listener), expected);
    board.confirm(&key("k"));
    assert!(is_confirmed(&mut asked));
    assert_eq!(heard(&mut asked), [None; 0], "it was before its time");
    board.gap();
    board.missed(&key("k"));
    assert_eq!(
        heard(&mut listener),
        [Some(Event::Gap)],
        "the end of this gap is still to come"
    );
    for _ in 0..10_000 {
        board.missed(&key("k"));
    }
    assert_eq!(asks(&board), "+k");
    board.confirm(&key("k"));
    for _ in 0..10_000 {
        board.missed(&key("k"));
    }
    let unread = heard(&mut listener);
    assert!(unread.len() <= MAILBOX_EVENTS + 2, "{}", unread.len());
    assert_eq!(unread.last(), Some(&Some(Event::Resumed)));
}

#[test]
fn r9_a_mailbox_stays_bounded_when_the_connection_flaps() {
    let board = board();
    let mut listener = live(&board, "k");
    board.deliver(&key("k"), &value("v"));
    for _ in 0..10_000 {
        board.gap();
        assert_eq!(asks(&board), "+k");
        board.confirm(&key("k"));
    }
    let events = heard(&mut listener);
    assert!(events.len() <= MAILBOX_EVENTS + 2, "{}", events.len());
    let gap = events.iter().rposition(|e| *e == Some(Event::Gap));
    let end = events.iter().rposition(|e| *e == Some(Event::Resumed));
    assert!(gap < end, "the last gap has an end");
}

#[test]
fn a_refusal_is_told_to_those_who_wait_and_spares_those_who_hear() {
    let board = board();
    let mut fine = live(&board, "k");
    let mut waits = board.listen(&key("k"));
    assert_eq!(asks(&board), "+k");
    board.refuse(&key("k"), &refusal());
    let told = waits.confirmed().now_or_never().unwrap();
    assert_eq!(told, Err(refusal()));
    assert_eq!(heard(&mut waits), [None]);
    board.deliver(&key("k"), &value("v"));
    assert_eq!(heard(&mut fine), [some(value("v"))]);
    drop(waits);
    drop(fine);
    assert_eq!((asks(&board), board.len()), ("-k".to_owned(), 0));
}

#[test]
fn a_refusal_after_a_gap_ends_who_was_cut_off() {
    let board = board();
    let mut listener = live(&board, "k");
    board.gap();
    assert_eq!(asks(&board), "+k");
    board.refuse(&key("k"), &refusal());
    assert_eq!(heard(&mut listener), [Some(Event::Gap), None]);
    drop(listener);
    // The store may be told in vain: a refused request and an earlier one are not told apart.
    assert_eq!((asks(&board), board.len()), ("-k".to_owned(), 0));
}

#[test]
fn a_refusal_answers_one_request_and_no_more() {
    let board = board();
    let _refused = board.listen(&key("k"));
    assert_eq!(asks(&board), "+k");
    let _also = board.listen(&key("k"));
    assert_eq!(asks(&board), "+k");
    board.refuse(&key("k"), &refusal());
    let mut late = board.listen(&key("k"));
    assert_eq!(asks(&board), "+k");
    board.confirm(&key("k"));
    assert!(!is_confirmed(&mut late), "that was the second request's");
    board.confirm(&key("k"));
    assert!(is_confirmed(&mut late));
}

#[test]
fn r9_a_refusal_of_one_who_left_leaves_nothing() {
    let board = board();
    let listener = board.listen(&key("k"));
    assert_eq!(asks(&board), "+k");
    drop(listener);
    board.refuse(&key("k"), &refusal());
    assert_eq!((asks(&board), board.len()), ("-k".to_owned(), 0));
    board.refuse(&key("never heard of"), &refusal());
    board.confirm(&key("never heard of"));
}
