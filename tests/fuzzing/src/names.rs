//! Tags, ids and keys, in both layouts.

use arbitrary::{Result, Unstructured};
use memolock_core::{
    Key, Keyspace, Layout, MAX_ID_BYTES, MAX_TAG_BYTES, MAX_TTL, Tag, Token, millis,
};

use crate::data;

/// Slots of a cluster.
const SLOTS: u16 = 16_384;

/// A tag and ids give names that can be read back, that no other id and no other role has, that share a
/// slot where they must, and that are shown as one short line.
pub fn names(data: &[u8]) {
    let mut from = Unstructured::new(data);
    let _ = tagged(&mut from);
}

fn tagged(from: &mut Unstructured<'_>) -> Result<()> {
    let bits: u128 = from.arbitrary()?;
    let token = Token::from_bits(bits);
    assert_eq!(u128::from_str_radix(&token.to_wire(), 16), Ok(bits));
    assert_eq!(token.to_wire().len(), 32);
    assert!(bits < 1 << 96 || !format!("{token:?}").contains(&token.to_wire()));
    let ttl = data::duration(from)?;
    let (sent, most) = (u128::from(millis(ttl)), MAX_TTL.as_millis());
    assert_eq!(sent, ttl.as_nanos().div_ceil(1_000_000).clamp(1, most));

    // Ends that are reserved, and lengths that are too long, seldom come by themselves.
    let mut tag = data::text(from)?;
    tag += from.choose(&["", "", "", "/lock", "/notif", "/fail", ":", "{", "/lock:a"])?;
    let repeated = from.int_in_range(1..=64)?;
    let tag = tag.repeat(repeated);
    let reserved = ["/lock", "/notif", "/fail"]
        .iter()
        .any(|end| tag.ends_with(end) || tag.contains(&format!("{end}:")));
    let allowed = !tag.is_empty() && tag.len() <= MAX_TAG_BYTES && !reserved;
    let read = Tag::new(&tag);
    assert_eq!(read.is_ok(), allowed, "{tag:?}");
    let Ok(tag) = read else {
        return Ok(());
    };
    globbed(&tag);
    let layout = data::layout(from)?;
    let Ok(space) = Keyspace::new(tag.clone(), layout) else {
        assert!(layout == Layout::HashTagged && tag.as_str().contains(['{', '}']));
        return Ok(());
    };
    let mut keys = Vec::new();
    for _ in 0..4 {
        let mut id = data::text(from)?;
        if from.ratio(1, 16)? {
            id = id.repeat(from.int_in_range(1..=MAX_ID_BYTES)? / id.len().max(1) + 1);
        }
        let long = id.len() > MAX_ID_BYTES;
        let tagless = layout == Layout::HashTagged && (id.is_empty() || id.starts_with('}'));
        match space.key(&id) {
            Ok(key) => {
                assert!(!long && !tagless && key.id() == id && *key.space() == space);
                keys.push(key);
            }
            Err(error) => {
                assert!(long || tagless, "{error}");
                assert!(error.to_string().len() < MAX_TAG_BYTES + 200);
            }
        }
    }
    for key in &keys {
        named(&tag, key);
        for other in &keys {
            apart(key, other);
        }
    }
    Ok(())
}

fn roles(key: &Key) -> [String; 4] {
    [
        key.value_name(),
        key.lock_name(),
        key.notif_channel(),
        key.fail_channel(),
    ]
}

fn named(tag: &Tag, key: &Key) {
    for (name, role) in roles(key).iter().zip(["", "/lock", "/notif", "/fail"]) {
        let rest = name.strip_prefix(tag.as_str());
        let rest = rest.and_then(|rest| rest.strip_prefix(role));
        let mut id = rest.and_then(|rest| rest.strip_prefix(':'));
        if key.space().layout() == Layout::HashTagged {
            id = id.and_then(|id| id.strip_prefix('{')?.strip_suffix('}'));
        }
        assert_eq!(id, Some(key.id()), "{name:?}");
    }
    if key.space().layout() == Layout::HashTagged {
        let slots = roles(key).map(|name| slot(name.as_bytes()));
        assert!(
            slots.iter().all(|slot| *slot == slots[0]),
            "{key}: {slots:?}"
        );
        // A classic peer takes part by using the braced id.
        let classic = Keyspace::new(tag.clone(), Layout::Classic).expect("any tag is classic");
        if let Ok(peer) = classic.key(&format!("{{{}}}", key.id())) {
            assert_eq!(roles(&peer), roles(key));
        }
    }
    for shown in [format!("{key}"), format!("{key:?}")] {
        assert!(!shown.chars().any(char::is_control), "{shown:?}");
        assert!(shown.chars().count() <= 80 * 10 + 10, "{shown:?}");
    }
}

/// Keys of one keyspace share all of their names or none.
fn apart(key: &Key, other: &Key) {
    let same = key.id() == other.id();
    assert_eq!(key == other, same);
    for (at, name) in roles(key).iter().enumerate() {
        for (beside, theirs) in roles(other).iter().enumerate() {
            assert_eq!(name == theirs, same && at == beside, "{name:?} {theirs:?}");
        }
    }
}

/// The escaped tag, taken as a glob, is the tag.
fn globbed(tag: &Tag) {
    let escaped = tag.glob_escaped();
    let mut plain = String::new();
    let mut chars = escaped.chars();
    while let Some(c) = chars.next() {
        assert!(!"*?[]".contains(c), "{escaped:?} is a pattern");
        plain.push(match c {
            '\\' => chars.next().expect("an escape escapes something"),
            c => c,
        });
    }
    assert_eq!(plain, tag.as_str());
}

/// A name's slot, as the cluster's specification has it: CRC16 of the hash tag, or of the whole.
fn slot(name: &[u8]) -> u16 {
    let braced = name.iter().position(|byte| *byte == b'{').and_then(|open| {
        let inside = &name[open + 1..];
        let close = inside.iter().position(|byte| *byte == b'}')?;
        (close > 0).then(|| &inside[..close])
    });
    let mut crc = 0_u16;
    for byte in braced.unwrap_or(name) {
        crc ^= u16::from(*byte) << 8;
        for _ in 0..8 {
            let carry = crc & 0x8000 != 0;
            crc <<= 1;
            if carry {
                crc ^= 0x1021;
            }
        }
    }
    crc % SLOTS
}

#[cfg(test)]
mod tests {
    use super::slot;

    #[test]
    fn slots_are_those_of_the_specification() {
        // As `CLUSTER KEYSLOT` says them.
        assert_eq!(slot(b"foo"), 12_182);
        assert_eq!(slot(b"somekey"), 11_058);
        assert_eq!(slot(b"foo{hash_tag}"), 2_515);
        assert_eq!(slot(b"x{}foo"), slot(b"x{}foo"));
    }
}
