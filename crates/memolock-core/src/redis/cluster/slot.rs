//! In which slot a name is: CRC16 of it, or of its hash tag.

use crate::{Key, Layout};

/// How many slots a cluster has.
pub const SLOTS: u16 = 16_384;

/// CRC16 (XMODEM: polynomial 0x1021, from 0), four bits at a time.
const TABLE: [u16; 16] = [
    0x0000, 0x1021, 0x2042, 0x3063, 0x4084, 0x50a5, 0x60c6, 0x70e7, 0x8108, 0x9129, 0xa14a, 0xb16b,
    0xc18c, 0xd1ad, 0xe1ce, 0xf1ef,
];

/// The slot of a key or a sharded channel: of what is between the first `{` and the next `}`, if that is anything;
/// else of the whole name.
#[must_use]
pub fn slot(name: &[u8]) -> u16 {
    crc16(tagged(name)) % SLOTS
}

/// The slot that everything of a key is in, or in the classic layout its value, without building the name.
#[must_use]
pub fn key_slot(key: &Key) -> u16 {
    let id = key.id().as_bytes();
    match key.space().layout() {
        // The tag holds no brace and the id does not begin with one that closes: the id is the hash tag, up to
        // its first brace that closes.
        Layout::HashTagged => {
            let end = id.iter().position(|byte| *byte == b'}');
            crc16(&id[..end.unwrap_or(id.len())]) % SLOTS
        }
        Layout::Classic => slot(key.value_name().as_bytes()),
    }
}

fn tagged(name: &[u8]) -> &[u8] {
    let find = |byte: u8, from: usize| name[from..].iter().position(|b| *b == byte);
    let Some(open) = find(b'{', 0) else {
        return name;
    };
    match find(b'}', open + 1) {
        None | Some(0) => name,
        Some(length) => &name[open + 1..][..length],
    }
}

fn crc16(bytes: &[u8]) -> u16 {
    let nibble = |crc: u16, nibble: u8| (crc << 4) ^ TABLE[usize::from((crc >> 12) as u8 ^ nibble)];
    bytes
        .iter()
        .fold(0, |crc, byte| nibble(nibble(crc, byte >> 4), byte & 0x0f))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Keyspace, Tag};

    #[test]
    fn the_sum_is_that_of_the_specification() {
        assert_eq!(crc16(b"123456789"), 0x31c3);
        assert_eq!(crc16(b""), 0);
    }

    /// As `CLUSTER KEYSLOT` says.
    #[test]
    fn slots_are_those_of_the_server() {
        for (name, expected) in [
            ("foo", 12182),
            ("bar", 5061),
            ("123456789", 12739),
            ("{user1000}.following", slot(b"user1000")),
            ("{user1000}.followers", slot(b"user1000")),
            ("foo{}{bar}", crc16(b"foo{}{bar}") % SLOTS),
            ("foo{{bar}}zap", slot(b"{bar")),
            ("foo{bar}{zap}", 5061),
            ("foo{bar", crc16(b"foo{bar") % SLOTS),
            ("foo}{bar}", 5061),
            ("", 0),
        ] {
            assert_eq!(slot(name.as_bytes()), expected, "{name}");
        }
    }

    #[test]
    fn all_names_of_a_hash_tagged_key_are_in_its_slot() {
        let tag = || Tag::new("likes").unwrap();
        for id in ["kristoff", "a}b", "{", "{a}", "ü", "x{y}"] {
            let key = Keyspace::new(tag(), Layout::HashTagged).unwrap();
            let key = key.key(id).unwrap();
            for name in [
                key.value_name(),
                key.lock_name(),
                key.notif_channel(),
                key.fail_channel(),
            ] {
                assert_eq!(slot(name.as_bytes()), key_slot(&key), "{name}");
            }
            let classic = Keyspace::new(tag(), Layout::Classic).unwrap();
            let classic = classic.key(id).unwrap();
            assert_eq!(slot(classic.value_name().as_bytes()), key_slot(&classic));
        }
    }

    proptest::proptest! {
        #[test]
        fn any_name_has_a_slot(name: Vec<u8>) {
            assert!(slot(&name) < SLOTS);
        }

        #[test]
        fn names_of_one_hash_tag_share_their_slot(tag in "[^{}]+", before in "[^{]*", after: String) {
            let name = [&*before, "{", &*tag, "}", &*after].concat();
            assert_eq!(slot(name.as_bytes()), slot(tag.as_bytes()));
        }
    }
}
