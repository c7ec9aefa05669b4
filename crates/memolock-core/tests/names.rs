//! Whoever chooses ids chooses names: none of them reaches another id, another role or another tag.

use std::collections::HashMap;

use memolock_core::{Key, Keyspace, Layout, Tag};

/// What names are made of, and what somebody would put in an id to get into another name.
const PIECES: [&str; 10] = [
    "a", ":", "/", "/lock", "/notif", "/fail", "/notif@3", "{", "}", "*",
];

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

/// What stands for one thing in a Redis: keys and channels are apart, and channels know no databases.
fn things(key: &Key) -> [(bool, String); 6] {
    let channel = |name| (true, name);
    [
        (false, key.value_name()),
        (false, key.lock_name()),
        channel(key.notif_channel()),
        channel(key.fail_channel()),
        channel(key.notif_channel_in(3)),
        channel(key.fail_channel_in(3)),
    ]
}

/// Goes through all names; says how many are of two tags, all of which are known to alias.
fn check(layouts: &[Layout]) -> usize {
    let mut met: HashMap<(bool, String), (Key, usize)> = HashMap::new();
    let mut shared = 0;
    for key in layouts.iter().flat_map(|layout| keys(*layout)) {
        for (role, thing) in things(&key).into_iter().enumerate() {
            match met.get(&thing) {
                None => {
                    met.insert(thing, (key.clone(), role));
                }
                Some((other, _)) if key.space().aliases(other.space()) => shared += 1,
                // One peer uses the id `{a}`, and the other the layout that makes it: they mean the same.
                Some((other, as_what))
                    if *as_what == role
                        && key.space().tag() == other.space().tag()
                        && key.space().layout() != other.space().layout() => {}
                Some((other, as_what)) => {
                    panic!("{thing:?}: role {role} of {key:?}, role {as_what} of {other:?}")
                }
            }
        }
    }
    assert!(met.len() > 10_000, "only {} names", met.len());
    shared
}

#[test]
fn no_two_pairs_of_tag_and_id_share_a_name_unless_their_tags_are_known_to_alias() {
    // Not in vain: there are tags that share names, which is why a process that uses them is warned.
    assert!(check(&[Layout::Classic]) > 0);
    assert_eq!(check(&[Layout::HashTagged]), 0);
}

#[test]
fn peers_of_two_layouts_share_names_of_aliasing_tags_alone() {
    assert!(check(&[Layout::Classic, Layout::HashTagged]) > 0);
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
