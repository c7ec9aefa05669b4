//! What a server may answer.

use arbitrary::{Result, Unstructured};
use memolock_core::connection::Fault;
use memolock_core::redis::{Address, Reply, reply, sentinel};
use memolock_core::{Acquired, ErrorKind, Operation};

use crate::data;

/// No text of a server can have this by chance.
const SECRET: &str = "Zq9-hunter2-xW7";
const MOST_DEPTH: u8 = 4;

/// Any answer is read or is an error of kind `Protocol` that quotes nothing of it; any error line has a
/// kind, is one short line outward, and no password that a server echoes comes through.
pub fn replies(data: &[u8]) {
    let mut from = Unstructured::new(data);
    while !from.is_empty() {
        if one(&mut from).is_err() {
            return;
        }
    }
}

fn one(from: &mut Unstructured<'_>) -> Result<()> {
    match from.arbitrary()? {
        true => answer(&tree(from, MOST_DEPTH)?, from.arbitrary::<u8>()?.into()),
        false => {
            let mut line = data::text(from)?;
            let at = from.choose_index(line.len() + 1)?;
            if from.arbitrary()? && line.is_char_boundary(at) {
                line.insert_str(at, SECRET);
            }
            error_line(&line);
        }
    }
    Ok(())
}

fn tree(from: &mut Unstructured<'_>, depth: u8) -> Result<Reply> {
    Ok(match from.int_in_range(0..=6_u8)? {
        0 => Reply::Nil,
        1 => Reply::Int(from.arbitrary()?),
        2 => Reply::Int(from.int_in_range(-3..=4)?),
        3 => Reply::Bytes(data::bytes(from)?),
        4 => Reply::Bytes((*from.choose(&["none", "string", "list", ""])?).into()),
        5 if depth > 0 => {
            let items = from.int_in_range(0..=7_u8)?;
            let items = (0..items).map(|_| tree(from, depth - 1));
            Reply::Array(items.collect::<Result<_>>()?)
        }
        6 if depth > 0 => {
            let items = from.int_in_range(0..=3_u8)?;
            let items = (0..items).map(|_| Ok((tree(from, depth - 1)?, tree(from, depth - 1)?)));
            Reply::Map(items.collect::<Result<_>>()?)
        }
        _ => Reply::Other("a set"),
    })
}

fn answer(said: &Reply, locks: usize) {
    let copy = || said.clone();
    if let Ok(Some(value)) = judged(reply::value(copy())) {
        assert_eq!(*said, Reply::Bytes(value));
    }
    if let Ok(Acquired::Value(value)) = judged(reply::acquired(copy())) {
        let Reply::Array(items) = said else {
            panic!("a value out of {said:?}");
        };
        assert_eq!(items[1], Reply::Bytes(value));
    }
    let _ = judged(reply::fulfilled(copy()));
    let _ = judged(reply::flag(copy()));
    if let Ok(renewed) = judged(reply::renewed(copy(), locks)) {
        assert_eq!(renewed.len(), locks);
    }
    if let Ok(found) = judged(reply::timed(copy(), locks)) {
        assert_eq!(found.len(), locks);
    }
    if let Ok(found) = judged(reply::inspection(copy())) {
        assert!(found.oddities.len() <= 4);
    }
    of_a_sentinel(said);
}

/// What a sentinel may answer: an address that is believed is one that can be dialled, and has no more in it.
fn of_a_sentinel(said: &Reply) {
    match sentinel::place(said.clone()) {
        Ok(Some(place)) => {
            let url = format!("redis://{place}");
            let address = Address::parse(&url).expect("a place is part of a URL");
            assert_eq!(address.to_string(), place.to_string());
        }
        Ok(None) => assert_eq!(*said, Reply::Nil),
        Err(fault) => assert_eq!(fault.kind(), ErrorKind::Protocol),
    }
    let _ = sentinel::epoch(said.clone());
    let _ = sentinel::is_master(said);
    if let Reply::Bytes(payload) = said {
        let _ = sentinel::concerns(payload, "likes");
    }
}

fn judged<T>(read: std::result::Result<T, Fault>) -> std::result::Result<T, Fault> {
    if let Err(fault) = &read {
        assert_eq!(fault.kind(), ErrorKind::Protocol);
        let detail = fault.detail();
        assert!(detail.starts_with("unexpected reply: ") && detail.len() < 100);
        assert!(detail.chars().all(|c| !c.is_control()), "{detail:?}");
    }
    read
}

fn error_line(line: &str) {
    let address =
        Address::parse(&format!("redis://ann:{SECRET}@example.org")).expect("it is plain");
    let fault = Fault::answered(line);
    let _ = (fault.is_noscript(), fault.is_passing(), fault.while_down());
    let fault = fault.at(&address);
    let shown = fault.clone().outward(Operation::Get).to_string();
    assert!(!shown.contains(['\n', '\r']), "{shown:?}");
    assert!(shown.len() < 500, "{}", shown.len());
    // Half of a password is too much as well.
    let half = &SECRET[..SECRET.len() / 2];
    if !line.replace(SECRET, "").contains(half) {
        assert!(!shown.contains(half), "{shown:?}");
    }
}
