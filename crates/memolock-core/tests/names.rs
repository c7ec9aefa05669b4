//! Whoever chooses ids chooses names: none of them reaches another id, another role or another tag.

use std::collections::HashMap;

use memolock_core::{Key, Keyspace, Layout, Tag};

/// What names are made of, and what somebody would put in an id to get into another name.
const PIECES: [&str; 9] = ["a", ":", "/", "/lock", "/notif", "/fail", "{", "}", "*"];

/// All strings of at most `most` pieces, the empty one included.
fn strings(most: usize) -> Vec<String> {
    let mut all = vec![String::new()];
    let mut last = 0;
    for _ in 0..most {
        let longer = all[last..].iter();
        let longer = longer.flat_map(|text| PIECES.map(|piece| format!("{text}{piece}")));
        let longer: Vec<_> = longer.collect();
        last = all.len();
        all.extend(longer);
    }
    all.sort();
    all.dedup();
    all
}

/// The keys of every tag and every id that this layout takes.
fn keys(layout: Layout) -> Vec<Key> {
    let tags = strings(3);
    let tags = tags.iter().filter_map(|tag| Tag::new(tag).ok());
    let spaces = tags.filter_map(|tag| Keyspace::new(tag, layout).ok());
    let ids = strings(2);
    spaces
        .flat_map(|space| {
            let keys: Vec<_> = ids.iter().filter_map(|id| space.key(id).ok()).collect();
            keys
        })
        .collect()
}

fn names(key: &Key) -> [String; 4] {
    [
        key.value_name(),
        key.lock_name(),
        key.notif_channel(),
        key.fail_channel(),
    ]
}

/// Whether one of the tags is the other one and a colon and more: what applications are told not to do.
fn nested(one: &Key, other: &Key) -> bool {
    let tag = |key: &Key| format!("{}:", key.space().tag());
    let (one, other) = (tag(one), tag(other));
    one != other && (one.starts_with(&other) || other.starts_with(&one))
}

/// Goes through all names; says how many had been met under nested tags.
fn check(layout: Layout) -> usize {
    let mut met: HashMap<String, (Key, usize)> = HashMap::new();
    let mut shared = 0;
    for key in keys(layout) {
        for (role, name) in names(&key).into_iter().enumerate() {
            match met.get(&name) {
                None => {
                    met.insert(name, (key.clone(), role));
                }
                Some((other, _)) if nested(&key, other) => shared += 1,
                Some((other, as_what)) => {
                    panic!("{name}: role {role} of {key:?}, role {as_what} of {other:?}")
                }
            }
        }
    }
    assert!(met.len() > 10_000, "only {} names", met.len());
    shared
}

#[test]
fn no_two_pairs_of_tag_and_id_share_a_name_in_any_role() {
    // Not in vain: tags that are nested do share names, which is why the documentation warns of them.
    assert!(check(Layout::Classic) > 0);
    check(Layout::HashTagged);
}

#[test]
fn an_id_stays_within_its_tag_whatever_is_in_it() {
    for layout in [Layout::Classic, Layout::HashTagged] {
        for key in keys(layout) {
            let tag = key.space().tag().as_str();
            let roles = ["", "/lock", "/notif", "/fail"];
            for (name, role) in names(&key).iter().zip(roles) {
                let rest = name.strip_prefix(tag).and_then(|n| n.strip_prefix(role));
                let rest = rest.and_then(|n| n.strip_prefix(':'));
                assert!(rest.is_some_and(|id| id.contains(key.id())), "{name}");
            }
        }
    }
}
