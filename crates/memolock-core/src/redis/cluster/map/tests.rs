//! Tests of the map: what is read of an answer, and what is not believed.

use proptest::prelude::*;

use super::*;

fn bytes(text: &str) -> Reply {
    Reply::Bytes(text.to_owned().into())
}

fn at(host: &str, port: i64) -> Reply {
    Reply::Array(vec![
        bytes(host),
        Reply::Int(port),
        bytes("id"),
        Reply::Array(vec![]),
    ])
}

fn range(first: i64, last: i64, nodes: &[(&str, i64)]) -> Reply {
    let nodes = nodes.iter().map(|(host, port)| at(host, *port));
    Reply::Array(
        [Reply::Int(first), Reply::Int(last)]
            .into_iter()
            .chain(nodes)
            .collect(),
    )
}

fn place(host: &str, port: u16) -> Place {
    Place::new(host, port).unwrap()
}

fn three() -> SlotMap {
    let reply = Reply::Array(vec![
        range(10923, 16383, &[("c", 3), ("d", 4)]),
        range(0, 5460, &[("a", 1), ("e", 5)]),
        range(5461, 10922, &[("b", 2)]),
    ]);
    SlotMap::read(reply, "asked").unwrap()
}

#[test]
fn each_slot_has_its_master() {
    let map = three();
    for (slot, owner) in [
        (0, "a:1"),
        (5460, "a:1"),
        (5461, "b:2"),
        (10922, "b:2"),
        (16383, "c:3"),
    ] {
        assert_eq!(map.owner(slot).unwrap().to_string(), owner, "{slot}");
    }
    assert_eq!(map.masters(), [place("a", 1), place("b", 2), place("c", 3)]);
    assert_eq!(map.replicas(), [place("d", 4), place("e", 5)]);
    assert_eq!(map.served(), 16384);
    assert!(map.owner(16384).is_none());
}

#[test]
fn the_same_map_told_in_another_order_is_the_same() {
    let reply = Reply::Array(vec![
        range(0, 5460, &[("a", 1), ("e", 5)]),
        range(5461, 8000, &[("b", 2)]),
        range(8001, 10922, &[("b", 2)]),
        range(10923, 16383, &[("c", 3), ("d", 4)]),
    ]);
    assert_eq!(SlotMap::read(reply, "other").unwrap(), three());
}

#[test]
fn an_unknown_host_is_that_of_the_node_that_was_asked() {
    for host in [bytes(""), bytes("?"), Reply::Nil] {
        let node = Reply::Array(vec![host, Reply::Int(7)]);
        let reply = Reply::Array(vec![Reply::Array(vec![Reply::Int(0), Reply::Int(1), node])]);
        let map = SlotMap::read(reply, "::1").unwrap();
        assert_eq!(map.owner(1).unwrap().to_string(), "[::1]:7");
        assert!(map.owner(2).is_none());
    }
}

#[test]
fn a_slot_that_moved_is_elsewhere_and_the_others_are_where_they_were() {
    let mut map = three();
    map.moved(0, &place("c", 3));
    map.moved(1, &place("d", 4));
    map.moved(16384, &place("x", 9));
    let owner = |slot| map.owner(slot).unwrap().to_string();
    assert_eq!([owner(0), owner(1), owner(2)], ["c:3", "d:4", "a:1"]);
    assert_eq!(map.masters().len(), 4);
    assert_eq!(map.replicas(), [place("e", 5)], "it has been promoted");
}

#[test]
fn what_makes_no_sense_is_left_out() {
    let reply = Reply::Array(vec![
        Reply::Nil,
        Reply::Array(vec![]),
        range(0, 16384, &[("a", 1)]),
        range(-1, 5, &[("a", 1)]),
        range(9, 8, &[("a", 1)]),
        range(0, 5, &[]),
        range(0, 5, &[("a b", 1)]),
        range(0, 5, &[("a", 0)]),
        range(0, 5, &[("a", 65536)]),
        range(0, 5, &[(&"x".repeat(300), 1)]),
        range(6, 7, &[("a", 1), ("\n", 2)]),
    ]);
    let map = SlotMap::read(reply, "h").unwrap();
    assert_eq!(map.served(), 2);
    assert_eq!(map.masters(), [place("a", 1)]);
    assert!(map.replicas().is_empty());
}

#[test]
fn a_map_without_slots_is_none() {
    for reply in [
        Reply::Nil,
        Reply::Array(vec![]),
        Reply::Array(vec![Reply::Int(1)]),
        bytes("x"),
    ] {
        let fault = SlotMap::read(reply, "h").unwrap_err();
        assert_eq!(fault.kind(), ErrorKind::Protocol);
    }
    let many = (0..5000).map(|n| range(n, n, &[("h", n + 1)]));
    assert!(SlotMap::read(Reply::Array(many.collect()), "h").is_err());
}

fn any_reply() -> impl Strategy<Value = Reply> {
    let leaf = prop_oneof![
        Just(Reply::Nil),
        (-2_i64..20_000).prop_map(Reply::Int),
        any::<i64>().prop_map(Reply::Int),
        any::<Vec<u8>>().prop_map(|bytes| Reply::Bytes(bytes.into())),
        Just(Reply::Other("a map")),
    ];
    leaf.prop_recursive(4, 64, 8, |inner| {
        prop::collection::vec(inner, 0..8).prop_map(Reply::Array)
    })
}

proptest! {
    #[test]
    fn no_answer_panics(reply in any_reply()) {
        if let Ok(map) = SlotMap::read(reply, "h") {
            assert!(map.served() > 0);
            for slot in 0..SLOTS {
                let _ = map.owner(slot);
            }
        }
    }

    #[test]
    fn later_ranges_stand_over_earlier_ones(ranges in prop::collection::vec((0..SLOTS, 0..SLOTS, 1_u16..9), 1..9)) {
        let told = ranges.iter().map(|(a, b, port)| {
            range((*a.min(b)).into(), (*a.max(b)).into(), &[("h", (*port).into())])
        });
        let map = SlotMap::read(Reply::Array(told.collect()), "h").unwrap();
        for slot in 0..SLOTS {
            let owner = ranges.iter().rev().find(|(a, b, _)| (*a.min(b)..=*a.max(b)).contains(&slot));
            assert_eq!(map.owner(slot).map(Place::port), owner.map(|(_, _, port)| *port));
        }
    }
}
