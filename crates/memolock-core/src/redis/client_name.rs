//! What a backend's connections are called in `CLIENT LIST`.

use std::collections::BTreeSet;

use crate::Tag;

/// The longest part of a name that is a tag's.
const MAX_CHARS: usize = 80;

/// Tags that are told apart: whoever has more makes them up as it goes, and only their number is shown.
const MAX_TAGS: usize = 100;

/// The name that a user chose; else one that tells whose connections they are, as soon as that is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientName {
    base: Option<String>,
    chosen: bool,
    tags: BTreeSet<Tag>,
}

impl ClientName {
    /// A name that stays as it is if it was `chosen`. None: connections have no name.
    #[must_use]
    pub fn new(base: Option<String>, chosen: bool) -> Self {
        let tags = BTreeSet::new();
        Self { base, chosen, tags }
    }

    /// Somebody of this tag uses the connections. Says whether that changes their name.
    pub fn introduce(&mut self, tag: &Tag) -> bool {
        if self.chosen || self.base.is_none() || self.tags.len() > MAX_TAGS {
            return false;
        }
        self.tags.insert(tag.clone())
    }

    /// The name, with a suffix that tells a backend's connections apart: `memolock`, then `memolock:likes`, then
    /// `memolock:2-tags`. What `CLIENT SETNAME` would refuse in a tag is percent-encoded.
    #[must_use]
    pub fn text(&self, suffix: &str) -> Option<String> {
        let base = self.base.as_ref()?;
        let mut tags = self.tags.iter();
        Some(match (tags.next(), self.tags.len()) {
            (None, _) => format!("{base}{suffix}"),
            (Some(tag), 1) => format!("{base}:{}{suffix}", encoded(tag.as_str())),
            (_, many) if many > MAX_TAGS => format!("{base}:many-tags{suffix}"),
            (_, some) => format!("{base}:{some}-tags{suffix}"),
        })
    }
}

/// Printable ASCII without spaces, which is all that a server takes.
fn encoded(tag: &str) -> String {
    let mut name = String::new();
    for byte in tag.bytes() {
        let part = match byte {
            b'%' => "%25".to_owned(),
            byte if byte.is_ascii_graphic() => char::from(byte).to_string(),
            byte => format!("%{byte:02X}"),
        };
        if name.len() + part.len() > MAX_CHARS {
            return name;
        }
        name.push_str(&part);
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tag(tag: &str) -> Tag {
        Tag::new(tag).unwrap()
    }

    fn unchosen() -> ClientName {
        ClientName::new(Some("memolock".into()), false)
    }

    #[test]
    fn it_tells_whose_connections_they_are() {
        let mut name = unchosen();
        let text = |name: &ClientName| name.text("-sub").unwrap();
        assert_eq!(text(&name), "memolock-sub");
        assert!(name.introduce(&tag("likes")));
        assert_eq!(text(&name), "memolock:likes-sub");
        assert!(!name.introduce(&tag("likes")), "known already");
        assert!(name.introduce(&tag("views")));
        assert_eq!(text(&name), "memolock:2-tags-sub");
        for n in 0..1000 {
            name.introduce(&tag(&n.to_string()));
        }
        assert_eq!(text(&name), "memolock:many-tags-sub");
        assert!(!name.introduce(&tag("more")));
    }

    #[test]
    fn a_name_that_was_chosen_stays_and_so_does_none() {
        let mut chosen = ClientName::new(Some("memolock".into()), true);
        assert!(!chosen.introduce(&tag("likes")));
        assert_eq!(chosen.text(""), Some("memolock".into()));
        let mut none = ClientName::new(None, false);
        assert!(!none.introduce(&tag("likes")));
        assert_eq!(none.text("-sub"), None);
    }

    #[test]
    fn every_tag_makes_a_name_that_a_server_takes() {
        for (written, shown) in [("a b", "a%20b"), ("50%", "50%25"), ("ü\n", "%C3%BC%0A")] {
            assert_eq!(encoded(written), shown);
        }
        for odd in ["a\r\nQUIT", "\0", &"ü".repeat(500), &"x".repeat(1000)] {
            let mut name = unchosen();
            name.introduce(&tag(odd));
            let text = name.text("").unwrap();
            assert!(text.bytes().all(|byte| byte.is_ascii_graphic()), "{text}");
            assert!(text.len() <= MAX_CHARS + 9, "{text}");
        }
    }
}
