//! What a subscription connection is to ask, one thing after another.

use std::collections::VecDeque;

use memolock_core::redis::KEYS_PER_COMMAND;
use memolock_core::{Key, Notifications, Wish};

/// What the server is asked, one thing at a time, so that answers are never mistaken. Meanwhile
/// other wishes gather in the switchboard and go together in the next command.
#[derive(Debug)]
pub enum Step {
    /// Classic channels of these keys.
    Subscribe(Vec<Key>),
    /// Classic channels.
    Unsubscribe(Vec<String>),
    /// Sharded channels; of keys that listen to both, the classic ones are there already.
    Join(Vec<Key>),
    /// Sharded channels.
    Leave(Vec<String>),
    /// The changes of keyspaces.
    Track(Wish),
    /// Whether it still answers, and is a master if it is to be one.
    Check,
    /// To be called so.
    Name(String),
}

/// Steps in the order in which they are to be sent.
///
/// ```
/// use memolock_core::{Keyspace, Layout, Tag};
/// use memolock_redis_common::{Plan, Step};
///
/// let likes = Keyspace::new(Tag::new("likes")?, Layout::Classic)?;
/// let mut plan = Plan::default();
/// plan.wished(&[likes.key("kristoff")?, likes.key("anna")?], &["likes/notif:olaf".to_owned()], &[]);
/// // Room first; then both keys in one command.
/// assert!(matches!(plan.pop(), Some(Step::Unsubscribe(_))));
/// assert!(matches!(plan.pop(), Some(Step::Subscribe(keys)) if keys.len() == 2));
/// assert!(plan.pop().is_none());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Default)]
pub struct Plan(VecDeque<Step>);

impl Plan {
    /// Takes the next one out.
    pub fn pop(&mut self) -> Option<Step> {
        self.0.pop_front()
    }

    /// Puts one at the end.
    pub fn push(&mut self, step: Step) {
        self.0.push_back(step);
    }

    /// Turns wishes into commands: first what is given up, for a channel may be asked for again in
    /// the same breath under another key of the same name. `silent` and `left` are the classic and the sharded channels
    /// that nobody listens to any more.
    pub fn wished(&mut self, subscribe: &[Key], silent: &[String], left: &[String]) {
        for channels in silent.chunks(2 * KEYS_PER_COMMAND) {
            self.push(Step::Unsubscribe(channels.to_vec()));
        }
        for channels in left.chunks(2 * KEYS_PER_COMMAND) {
            self.push(Step::Leave(channels.to_vec()));
        }
        let classic = wanted(subscribe, Notifications::is_classic);
        for keys in classic.chunks(KEYS_PER_COMMAND) {
            self.push(Step::Subscribe(keys.to_vec()));
        }
        // Those that listen to both follow once their classic channels stand.
        let sharded = wanted(subscribe, |way| !way.is_classic());
        for keys in sharded.chunks(KEYS_PER_COMMAND) {
            self.push(Step::Join(keys.to_vec()));
        }
    }

    /// The classic channels of these keys stand: those that listen to both come next, before anything else is asked of
    /// them.
    pub fn stand(&mut self, keys: &[Key]) {
        let both = wanted(keys, Notifications::is_sharded);
        if !both.is_empty() {
            self.0.push_front(Step::Join(both));
        }
    }

    /// These keys were refused together. One forbidden channel has the server refuse the whole command, so each is asked
    /// for by itself; one that was is handed back.
    #[must_use]
    pub fn refused(&mut self, mut keys: Vec<Key>) -> Option<Key> {
        if keys.len() == 1 {
            return keys.pop();
        }
        let singles = keys.into_iter().map(|key| Step::Subscribe(vec![key]));
        self.0.extend(singles);
        None
    }
}

/// The keys whose listeners are told in such a way.
fn wanted(keys: &[Key], way: impl Fn(Notifications) -> bool) -> Vec<Key> {
    let keys = keys.iter().filter(|key| way(key.space().notifications()));
    keys.cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use memolock_core::{Keyspace, Layout, Tag};

    fn key(way: Notifications, id: &str) -> Key {
        let tag = Tag::new("likes").unwrap();
        let space = Keyspace::new(tag, Layout::HashTagged).unwrap();
        space.with_notifications(way).key(id).unwrap()
    }

    fn drain(plan: &mut Plan) -> Vec<String> {
        let next = std::iter::from_fn(|| plan.pop());
        let told = next.map(|step| match step {
            Step::Subscribe(keys) => format!("subscribe {}", keys.len()),
            Step::Join(keys) => format!("join {}", keys.len()),
            Step::Unsubscribe(channels) => format!("unsubscribe {}", channels.len()),
            Step::Leave(channels) => format!("leave {}", channels.len()),
            other => format!("{other:?}"),
        });
        told.collect()
    }

    #[test]
    fn what_is_given_up_goes_first_and_no_command_is_too_long() {
        let mut plan = Plan::default();
        let silent = vec!["x".to_owned(); 2 * KEYS_PER_COMMAND + 1];
        let keys = [
            key(Notifications::Classic, "a"),
            key(Notifications::Sharded, "b"),
            key(Notifications::Both, "c"),
        ];
        plan.wished(&keys, &silent, &silent[..1]);
        let whole = format!("unsubscribe {}", 2 * KEYS_PER_COMMAND);
        let told = drain(&mut plan);
        assert_eq!(
            told,
            [&whole, "unsubscribe 1", "leave 1", "subscribe 2", "join 1"]
        );
        plan.push(Step::Check);
        plan.stand(&keys);
        assert_eq!(drain(&mut plan), ["join 2", "Check"]);
    }

    #[test]
    fn who_is_refused_in_company_is_asked_for_alone() {
        let mut plan = Plan::default();
        let keys = ["a", "b"].map(|id| key(Notifications::Classic, id));
        assert!(plan.refused(keys.to_vec()).is_none());
        assert_eq!(drain(&mut plan), ["subscribe 1", "subscribe 1"]);
        assert_eq!(plan.refused(keys[..1].to_vec()).as_ref(), Some(&keys[0]));
    }
}
