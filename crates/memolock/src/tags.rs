//! The tags that this process uses now: to warn of two whose names meet in a store, and to limit what is logged for
//! a tag.
//!
//! It is the one thing that memolocks built apart share within a process. It holds no value and no connection, and no
//! call depends on it. It is weak: an entry leaves with the last memolock of its tag. It is bounded: further tags are
//! not compared, and further pairs not told. A tag whose codec has failed the check is remembered for longer, so that a
//! memolock that is built again does not log it again; beyond the bound only its entry remembers it.
//!
//! Two memolocks may be built and dropped by two threads at a time. All of it happens under one lock:
//!
//! | | then | so |
//! |---|---|---|
//! | two threads build aliasing tags | the later one finds the entry of the earlier one | one of them warns, never both |
//! | one drops the last memolock of a tag, one builds the tag | the entry is dead and is replaced | the drop removes an entry only if it is dead |
//! | a pair is built again and again | the pair is in `told` | it is told once |

use std::collections::BTreeSet;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use memolock_core::{Keyspace, Layout, Tag};
use tokio::time::Instant;

/// Tags that are compared with a new one: each build looks at all of them.
const MOST_TAGS: usize = 1000;

/// Pairs that are told.
const MOST_PAIRS: usize = 100;

/// Tags whose codec has failed the check that are remembered.
const MOST_UNSOUND: usize = 1000;

/// How often a tag's undecodable values are logged.
const LOGGED_EACH: Duration = Duration::from_secs(60);

static TAGS: LazyLock<Tags> = LazyLock::new(Tags::default);

/// A tag that memolocks of this process use.
#[derive(Debug)]
pub(crate) struct UsedTag {
    space: Keyspace,
    /// When undecodable values were last logged.
    logged: Mutex<Option<Instant>>,
    /// How many were not logged since.
    unlogged: AtomicU64,
    /// A value of this tag did not come back from its codec, which is logged.
    unsound: AtomicBool,
    /// Where it is registered, unless there were too many.
    tags: &'static Tags,
}

/// The name of an entry: notifications make no difference.
type Name = (Tag, Layout);

#[derive(Debug, Default)]
struct Tags(Mutex<Used>);

#[derive(Debug, Default)]
struct Used {
    by_name: HashMap<Name, Weak<UsedTag>>,
    told: BTreeSet<(Tag, Tag)>,
    unsound: BTreeSet<Tag>,
}

/// The entry of a keyspace that a memolock begins to use. Warns if names of it are names of another tag that is in use.
pub(crate) fn enter(space: &Keyspace) -> Arc<UsedTag> {
    let (entry, met) = TAGS.enter(space);
    for other in met {
        tracing::warn!(
            tag = %space.tag(), %other,
            "two tags alias: in one Redis database, some ids of the one name values or locks of the other. \
             Rename one of them, so that none is another one, a colon and more"
        );
    }
    entry
}

impl Tags {
    /// The entry, and the tags that it aliases and that were not told of before.
    fn enter(&'static self, space: &Keyspace) -> (Arc<UsedTag>, Vec<Tag>) {
        let mut used = self.lock();
        let name = name(space);
        if let Some(entry) = used.by_name.get(&name).and_then(Weak::upgrade) {
            return (entry, Vec::new());
        }
        let room = used.by_name.len() < MOST_TAGS || used.by_name.contains_key(&name);
        let entry = Arc::new(UsedTag {
            space: space.clone(),
            logged: Mutex::new(None),
            unlogged: AtomicU64::new(0),
            unsound: AtomicBool::new(used.unsound.contains(space.tag())),
            tags: self,
        });
        // Not to be dropped under the lock: that would ask for it.
        let alive: Vec<Arc<UsedTag>> = used.by_name.values().filter_map(Weak::upgrade).collect();
        let mut met = Vec::new();
        for other in alive.iter().filter(|other| space.aliases(&other.space)) {
            let mut pair = [space.tag().clone(), other.space.tag().clone()];
            pair.sort();
            let [first, second] = pair;
            if used.told.len() < MOST_PAIRS && used.told.insert((first, second)) {
                met.push(other.space.tag().clone());
            }
        }
        if room {
            used.by_name.insert(name, Arc::downgrade(&entry));
        }
        drop(used);
        drop(alive);
        (entry, met)
    }

    fn lock(&self) -> MutexGuard<'_, Used> {
        // No code that can panic runs under the lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl UsedTag {
    /// A value could not be decoded: how many others were not logged since the last time, if this one is to be.
    pub(crate) fn undecodable(&self) -> Option<u64> {
        let now = Instant::now();
        let mut logged = self.logged.lock().unwrap_or_else(PoisonError::into_inner);
        if logged.is_some_and(|at| now.saturating_duration_since(at) < LOGGED_EACH) {
            self.unlogged.fetch_add(1, Relaxed);
            return None;
        }
        *logged = Some(now);
        Some(self.unlogged.swap(0, Relaxed))
    }

    /// Whether no value of this tag has failed the check of its codec yet.
    pub(crate) fn is_sound(&self) -> bool {
        !self.unsound.load(Relaxed)
    }

    /// A value failed the check of its codec: whether it is the first one of the tag.
    pub(crate) fn turns_unsound(&self) -> bool {
        let mut used = self.tags.lock();
        if self.unsound.swap(true, Relaxed) {
            return false;
        }
        let tag = self.space.tag();
        let first = !used.unsound.contains(tag);
        if first && used.unsound.len() < MOST_UNSOUND {
            used.unsound.insert(tag.clone());
        }
        first
    }
}

impl Drop for UsedTag {
    fn drop(&mut self) {
        let mut used = self.tags.lock();
        let name = name(&self.space);
        // Another one may have come in its place.
        if used
            .by_name
            .get(&name)
            .is_some_and(|entry| entry.strong_count() == 0)
        {
            used.by_name.remove(&name);
        }
    }
}

fn name(space: &Keyspace) -> Name {
    (space.tag().clone(), space.layout())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tags() -> &'static Tags {
        Box::leak(Box::default())
    }

    fn space(tag: &str) -> Keyspace {
        Keyspace::new(Tag::new(tag).unwrap(), Layout::Classic).unwrap()
    }

    fn met(tags: &'static Tags, tag: &str) -> (Arc<UsedTag>, Vec<String>) {
        let (entry, met) = tags.enter(&space(tag));
        (entry, met.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn a_pair_is_told_once_whichever_comes_first() {
        let tags = tags();
        let (_long, none) = met(tags, "a:b");
        assert!(none.is_empty());
        let (short, others) = met(tags, "a");
        assert_eq!(others, ["a:b"]);
        assert!(met(tags, "a").1.is_empty(), "in use already");
        drop(short);
        assert!(met(tags, "a").1.is_empty(), "told before");
        assert_eq!(met(tags, "a:b:c").1, ["a:b"]);
        assert!(met(tags, "ab").1.is_empty());
    }

    #[test]
    fn memolocks_of_one_tag_share_an_entry_that_leaves_with_the_last_of_them() {
        let tags = tags();
        let (one, other) = (met(tags, "a").0, met(tags, "a").0);
        assert!(Arc::ptr_eq(&one, &other));
        drop(one);
        assert_eq!(tags.lock().by_name.len(), 1);
        drop(other);
        assert!(tags.lock().by_name.is_empty());
        assert!(met(tags, "a:b").1.is_empty(), "it is not in use any more");
    }

    #[test]
    fn it_is_bounded() {
        let tags = tags();
        let many = (0..2 * MOST_TAGS).map(|n| met(tags, &format!("t{n}")).0);
        let many: Vec<_> = many.collect();
        assert_eq!(tags.lock().by_name.len(), MOST_TAGS);
        drop(many);
        assert!(tags.lock().by_name.is_empty());
        let long = "a:".repeat(2 * MOST_PAIRS);
        let entries: Vec<_> = (0..2 * MOST_PAIRS)
            .map(|n| met(tags, &long[..=2 * n]).0)
            .collect();
        assert_eq!(tags.lock().told.len(), MOST_PAIRS);
        drop(entries);
    }

    #[test]
    fn a_tag_is_unsound_once_and_that_is_bounded() {
        let tags = tags();
        let (one, other) = (met(tags, "a").0, met(tags, "b").0);
        let elsewhere = Keyspace::new(Tag::new("a").unwrap(), Layout::HashTagged).unwrap();
        let (elsewhere, _) = tags.enter(&elsewhere);
        assert!(one.is_sound() && one.turns_unsound());
        assert!(!one.turns_unsound() && !one.is_sound());
        assert!(!elsewhere.turns_unsound(), "the same tag in another layout");
        assert!(other.is_sound() && other.turns_unsound());
        drop((one, elsewhere));
        assert!(!met(tags, "a").0.is_sound(), "built again");
        for n in 0..2 * MOST_UNSOUND {
            assert!(met(tags, &format!("t{n}")).0.turns_unsound());
        }
        assert_eq!(tags.lock().unsound.len(), MOST_UNSOUND);
    }

    #[tokio::test(start_paused = true)]
    async fn undecodable_values_of_a_tag_are_logged_once_a_minute() {
        let (entry, _) = met(tags(), "a");
        assert_eq!(entry.undecodable(), Some(0));
        for _ in 0..5 {
            assert_eq!(entry.undecodable(), None);
        }
        tokio::time::advance(LOGGED_EACH).await;
        assert_eq!(entry.undecodable(), Some(5));
        assert_eq!(entry.undecodable(), None);
    }
}
