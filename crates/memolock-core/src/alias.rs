//! Aliasing tags: two of them under which one name in a Redis stands for two things.

use crate::{Keyspace, Layout};

impl Keyspace {
    /// Whether some names of this keyspace are names of `other`, whose tag is another one, in one database of a Redis:
    /// with some ids, a value of the one is a value or a lock of the other, or a channel of the one is a channel of the
    /// other.
    ///
    /// That is so where one tag is the other one, a colon and more. Channels of databases other than 0 have a number in
    /// their names, so the tag `a/notif@3:b` meets `a` there. Two keyspaces in the hash-tagged layout never meet: what
    /// follows a tag there is `:{`, and no tag has a brace.
    ///
    /// ```
    /// # use memolock_core::{Keyspace, Layout, Tag};
    /// let space = |tag| Keyspace::new(Tag::new(tag).unwrap(), Layout::Classic).unwrap();
    /// // `a:b` with the id `c`, and `a` with the id `b:c`.
    /// assert!(space("a:b").aliases(&space("a")));
    /// assert!(!space("ab").aliases(&space("a")));
    /// ```
    #[must_use]
    pub fn aliases(&self, other: &Self) -> bool {
        let hash_tagged = |space: &Self| space.layout() == Layout::HashTagged;
        if hash_tagged(self) && hash_tagged(other) {
            return false;
        }
        let (one, other) = (self.tag().as_str(), other.tag().as_str());
        continues(one, other) || continues(other, one)
    }
}

/// Whether names of `tag` can begin with all of a name of `shorter` that comes before its id.
fn continues(tag: &str, shorter: &str) -> bool {
    let Some(rest) = tag.strip_prefix(shorter) else {
        return false;
    };
    // The other endings, such as `/lock`, are reserved before a colon: no tag has them there.
    let numbered = |role| rest.strip_prefix(role);
    let rest = match numbered("/notif@").or_else(|| numbered("/fail@")) {
        Some(number) => {
            let rest = number.trim_start_matches(|c: char| c.is_ascii_digit());
            match rest.len() < number.len() {
                true => rest,
                false => return false,
            }
        }
        None => rest,
    };
    rest.starts_with(':')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Tag;

    fn space(tag: &str, layout: Layout) -> Keyspace {
        Keyspace::new(Tag::new(tag).unwrap(), layout).unwrap()
    }

    fn alias(one: &str, other: &str) -> bool {
        let (one, other) = (space(one, Layout::Classic), space(other, Layout::Classic));
        assert_eq!(one.aliases(&other), other.aliases(&one));
        one.aliases(&other)
    }

    #[test]
    fn a_tag_and_a_colon_and_more_alias() {
        for other in ["a:b", "a:", "a::", "a:b:c", "a:b/x"] {
            assert!(alias("a", other), "{other}");
        }
        for other in ["a", "ab", "b:a", "a/b:c", "/a:b", "a-b"] {
            assert!(!alias("a", other), "{other}");
        }
    }

    #[test]
    fn channels_of_other_databases_alias_too() {
        for other in ["a/notif@3:b", "a/fail@12:b"] {
            assert!(alias("a", other), "{other}");
        }
        for other in [
            "a/notif@3",
            "a/notif@:b",
            "a/notif@x:b",
            "a/lock@3:b",
            "a/notif@3x:b",
        ] {
            assert!(!alias("a", other), "{other}");
        }
        let [one, other] = [("a", "b/notif:c"), ("a/notif@3:b", "c")]
            .map(|(tag, id)| space(tag, Layout::Classic).key(id).unwrap());
        assert_eq!(one.notif_channel_in(3), other.notif_channel());
    }

    #[test]
    fn only_two_hash_tagged_layouts_keep_them_apart() {
        let of = |layout| (space("a", layout), space("a:b", layout));
        let ((short, long), (braced, long_braced)) = (of(Layout::Classic), of(Layout::HashTagged));
        assert!(!braced.aliases(&long_braced));
        assert!(short.aliases(&long_braced) && braced.aliases(&long));
        let names = [short.key("b:{c}"), long_braced.key("c")].map(|key| key.unwrap().value_name());
        assert_eq!(names[0], names[1]);
    }
}
