//! Which slot a key is in: CRC16 of the key, or of what stands in its first braces.

/// How many slots a cluster has.
pub(crate) const SLOTS: u16 = 16_384;

pub(crate) fn of(key: &[u8]) -> u16 {
    crc16(tag(key)) % SLOTS
}

/// The part that counts: between the first `{` and the next `}`, if there is anything.
fn tag(key: &[u8]) -> &[u8] {
    let Some(open) = key.iter().position(|byte| *byte == b'{') else {
        return key;
    };
    let rest = &key[open + 1..];
    match rest.iter().position(|byte| *byte == b'}') {
        None | Some(0) => key,
        Some(close) => &rest[..close],
    }
}

/// XMODEM: polynomial 0x1021, from zero, nothing reflected.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, byte| {
        (0..8).fold(crc ^ (u16::from(*byte) << 8), |crc, _| {
            (crc << 1) ^ if crc & 0x8000 == 0 { 0 } else { 0x1021 }
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_those_of_the_specification() {
        assert_eq!(crc16(b"123456789"), 0x31c3);
        assert_eq!(of(b"foo"), 12_182);
        assert_eq!(of(b""), 0);
    }

    #[test]
    fn braces_choose_what_counts() {
        let same = |a: &str, b: &str| of(a.as_bytes()) == of(b.as_bytes());
        assert!(same("likes:{kristoff}", "likes/notif:{kristoff}"));
        assert!(same("likes:{kristoff}", "kristoff"));
        assert!(same("{a}{b}", "a"));
        assert!(same("{{a}}", "{a"));
        for whole in ["likes:{}:x", "likes:{x", "x}{"] {
            assert_eq!(of(whole.as_bytes()), crc16(whole.as_bytes()) % SLOTS);
        }
    }
}
