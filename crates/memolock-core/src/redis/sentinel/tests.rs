//! What sentinels may say, and what is made of it.

use bytes::Bytes;

use super::*;

fn bytes(text: &'static str) -> Reply {
    Reply::Bytes(Bytes::from_static(text.as_bytes()))
}

fn pair(host: &'static str, port: &'static str) -> Reply {
    Reply::Array(vec![bytes(host), bytes(port)])
}

fn at(host: &str) -> Place {
    Place::new(host, "6379").unwrap()
}

/// Sentinels `s0`, `s1`, …
fn council(sentinels: usize) -> Council {
    let endpoint = |n| Endpoint::Tcp {
        host: format!("s{n}"),
        port: 1,
    };
    let endpoints: Vec<Endpoint> = (0..sentinels).map(endpoint).collect();
    Council::new("likes", &endpoints)
}

fn down(reason: &str) -> Fault {
    Fault::new(ErrorKind::Unavailable, reason)
}

#[test]
fn addresses_are_read_and_compared_however_they_are_written() {
    let read = |host, port| place(pair(host, port)).unwrap().unwrap();
    assert_eq!(read("10.0.0.1", "6379").to_string(), "10.0.0.1:6379");
    assert_eq!(read("::1", "1").to_string(), "[::1]:1");
    assert_eq!(read("0:0:0:0:0:0:0:1", "1"), read("::1", "1"));
    assert_eq!(read("::ffff:10.0.0.1", "1"), read("10.0.0.1", "1"));
    assert_eq!(
        read("Redis-1.Example.org.", "1"),
        read("redis-1.example.org", "1")
    );
    assert_ne!(read("a", "1"), read("a", "2"));
    assert_eq!(place(Reply::Nil).unwrap(), None);
}

#[test]
fn nonsense_is_an_error_and_no_address() {
    for (host, port) in [
        ("", "1"),
        (".", "1"),
        ("0.0.0.0", "1"),
        ("::", "1"),
        ("a b", "1"),
        ("a\r\nb", "1"),
        ("/tmp/r.sock", "1"),
        ("a@b", "1"),
        ("ünï", "1"),
        ("a", "0"),
        ("a", ""),
        ("a", "-1"),
        ("a", "65536"),
    ] {
        let fault = place(pair(host, port)).unwrap_err();
        assert_eq!(fault.kind(), ErrorKind::Protocol, "{host:?} {port:?}");
    }
    let long: &'static str = Box::leak("a".repeat(256).into_boxed_str());
    assert!(place(pair(long, "1")).is_err());
    for reply in [
        Reply::Int(7),
        bytes("10.0.0.1"),
        Reply::Array(vec![]),
        Reply::Array(vec![bytes("a")]),
        Reply::Array(vec![bytes("a"), Reply::Int(1)]),
        Reply::Array(vec![bytes("a"), bytes("1"), bytes("b")]),
        Reply::Array(vec![Reply::Bytes(b"\xff"[..].into()), bytes("1")]),
        Reply::Map(vec![]),
        Reply::Other("a set"),
    ] {
        assert!(place(reply.clone()).is_err(), "{reply:?}");
    }
}

#[test]
fn an_epoch_is_read_in_both_protocols_and_is_zero_if_it_is_none() {
    let list = |items: &[&'static str]| Reply::Array(items.iter().map(|i| bytes(i)).collect());
    assert_eq!(epoch(list(&["name", "likes", "config-epoch", "7"])), 7);
    let map = |value| {
        Reply::Map(vec![
            (bytes("x"), bytes("y")),
            (bytes("config-epoch"), value),
        ])
    };
    assert_eq!(epoch(map(bytes("7"))), 7);
    assert_eq!(epoch(map(Reply::Int(7))), 7);
    for odd in [
        map(bytes("-1")),
        map(bytes("99999999999999999999999")),
        map(Reply::Int(-1)),
        map(Reply::Nil),
        map(Reply::Bytes(b"\xff"[..].into())),
        list(&["config-epoch"]),
        list(&["x", "config-epoch", "7"]),
        Reply::Nil,
        Reply::Int(7),
    ] {
        assert_eq!(epoch(odd.clone()), 0, "{odd:?}");
    }
}

#[test]
fn announcements_are_those_of_the_service() {
    assert!(concerns(b"likes 10.0.0.1 6379 10.0.0.2 6379", "likes"));
    assert!(concerns(
        b"slave 10.0.0.2:1 10.0.0.2 1 @ likes 10.0.0.1 1",
        "likes"
    ));
    for other in [&b""[..], b"likes2 a 1 b 1", b"\xff\0", b"dislikes a 1 b 1"] {
        assert!(!concerns(other, "likes"), "{other:?}");
    }
}

#[test]
fn only_a_master_is_one() {
    let role = |items| is_master(&Reply::Array(items));
    assert!(role(vec![bytes("master"), Reply::Int(7), Reply::Array(vec![])]).is_ok());
    for odd in [
        Reply::Array(vec![bytes("slave")]),
        Reply::Array(vec![bytes("sentinel")]),
        Reply::Array(vec![]),
        Reply::Array(vec![Reply::Nil]),
        bytes("master"),
        Reply::Nil,
    ] {
        assert_eq!(is_master(&odd).unwrap_err().kind(), ErrorKind::Refused);
    }
}

#[test]
fn the_first_answer_is_a_verdict_and_the_last_completes_it() {
    let mut council = council(3);
    let question = council.ask();
    assert_eq!(council.verdict(question), None);
    council.said(1, question, Some(at("a")), 1);
    assert_eq!(council.verdict(question), Some(Ok(at("a"))));
    assert!(!council.is_complete(question));
    council.silent(0, down("gone"));
    council.said(2, question, Some(at("a")), 1);
    assert!(council.is_complete(question));
    // An old answer does not answer a new question.
    let next = council.ask();
    assert_eq!(council.verdict(next), None);
    assert_eq!(council.master(), Some(&at("a")));
    council.said(2, next, Some(at("a")), 1);
    assert_eq!(council.verdict(next), Some(Ok(at("a"))));
    // Nobody has such a seat.
    council.said(9, next, Some(at("z")), 99);
    assert_eq!(council.master(), Some(&at("a")));
}

#[test]
fn who_has_heard_of_the_later_failover_is_believed() {
    let mut council = council(2);
    let question = council.ask();
    council.said(0, question, Some(at("new")), 2);
    council.said(1, question, Some(at("old")), 1);
    assert_eq!(council.master(), Some(&at("new")));
    // It repeats itself, and nothing comes of it.
    council.said(1, question, Some(at("old")), 1);
    assert_eq!(council.verdict(question), Some(Ok(at("new"))));
    // Who goes silent is not believed any more.
    council.silent(0, down("gone"));
    assert_eq!(council.master(), Some(&at("old")));
}

#[test]
fn without_epochs_the_last_change_is_believed_and_a_repetition_is_none() {
    let mut council = council(2);
    let question = council.ask();
    council.said(0, question, Some(at("a")), 0);
    council.said(1, question, Some(at("a")), 0);
    council.said(0, question, Some(at("b")), 0);
    council.said(1, question, Some(at("a")), 0);
    assert_eq!(council.master(), Some(&at("b")));
}

#[test]
fn nobody_says_anything_in_one_clear_line() {
    let mut two = council(2);
    let question = two.ask();
    two.silent(0, down("s0:1: Connection refused"));
    assert_eq!(two.verdict(question), None);
    two.silent(1, down("s1:1: not connected after 1s"));
    let fault = two.verdict(question).unwrap().unwrap_err();
    assert_eq!(fault.kind(), ErrorKind::Unavailable);
    assert_eq!(
        fault.detail(),
        "no sentinel says where the master of likes is; s0:1 and 1 more: Connection refused"
    );
    two.said(1, question, None, 0);
    let fault = two.verdict(question).unwrap().unwrap_err();
    assert_eq!(fault.kind(), ErrorKind::Unavailable);
    assert!(fault.detail().contains("s1:1 knows no master named likes"));

    let mut denied = council(1);
    denied.silent(0, Fault::new(ErrorKind::Denied, "WRONGPASS"));
    let fault = denied.verdict(1).unwrap().unwrap_err();
    assert_eq!(fault.kind(), ErrorKind::Denied);
    let nobody = council(0).verdict(0).unwrap().unwrap_err();
    assert_eq!(nobody.kind(), ErrorKind::Unavailable);
}
