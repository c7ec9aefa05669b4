//! What a notification says: whose it is, and a value, a notice, or that one should look.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD as BASE64;
use bytes::Bytes;
use memolock_core::{Key, Notice};
use sha2::{Digest as _, Sha256};

/// The server's limit is below 8000 bytes.
const MAX_PAYLOAD: usize = 7_999;
const DIGEST_HEX: usize = 64;
/// The longest value that fits, in bytes.
pub(crate) const MAX_VALUE: usize = (MAX_PAYLOAD - DIGEST_HEX - 1) / 4 * 3;

/// A key's identity in the table and in notifications: the SHA-256 of its name. Keys with the same
/// name are the same key, whatever their layout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Digest(pub(crate) [u8; 32]);

impl Digest {
    pub(crate) fn of(key: &Key) -> Self {
        Self::of_name(key.value_name().as_bytes())
    }

    pub(crate) fn of_name(name: &[u8]) -> Self {
        Self(Sha256::digest(name).into())
    }

    /// Which of the table's 256 channels speaks of it.
    pub(crate) fn bucket(&self) -> u8 {
        self.0[0]
    }

    fn hex(&self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn parse(hex: &str) -> Option<Self> {
        let mut bytes = [0; 32];
        for (byte, digits) in bytes.iter_mut().zip(hex.as_bytes().chunks(2)) {
            let digits = std::str::from_utf8(digits).ok()?;
            *byte = u8::from_str_radix(digits, 16).ok()?;
        }
        Some(Self(bytes))
    }
}

/// What listeners are told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Told {
    Value(Bytes),
    Notice(Notice),
    /// A value that does not fit: it is in the table.
    Look,
}

/// The payload for a value that is being stored.
pub(crate) fn of_value(digest: &Digest, value: &[u8]) -> String {
    let mut payload = digest.hex();
    if value.len() <= MAX_VALUE {
        payload.push('v');
        BASE64.encode_string(value, &mut payload);
    } else {
        payload.push('l');
    }
    payload
}

/// The payload for a notice. It fits: a notice is short.
pub(crate) fn of_notice(digest: &Digest, notice: &Notice) -> String {
    let mut payload = digest.hex();
    payload.push('n');
    BASE64.encode_string(notice.encode(), &mut payload);
    payload
}

/// Reads what came. Anybody may notify, so anything is understood: what names a key and makes no
/// sense means that something happened to it. `None` if it names none.
pub(crate) fn read(payload: &str) -> Option<(Digest, Told)> {
    let (digest, rest) = payload.split_at_checked(DIGEST_HEX)?;
    let digest = Digest::parse(digest)?;
    let told = match rest.split_at_checked(1) {
        Some(("v", value)) => match BASE64.decode(value) {
            Ok(value) => Told::Value(value.into()),
            Err(_) => Told::Look,
        },
        Some(("n", notice)) => {
            // What cannot be read is an odd notice too.
            let notice = BASE64.decode(notice).unwrap_or_default();
            Told::Notice(Notice::decode(&notice))
        }
        Some(("l", _)) => Told::Look,
        _ => Told::Notice(Notice::Released),
    };
    Some((digest, told))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest() -> Digest {
        Digest::of_name(b"likes:kristoff")
    }

    #[test]
    fn what_fits_travels_whole_and_what_does_not_is_looked_for() {
        for len in [0, 1, 2, 3, 1000, MAX_VALUE] {
            let value = vec![0xa5; len];
            let payload = of_value(&digest(), &value);
            assert!(payload.len() <= MAX_PAYLOAD && payload.is_ascii(), "{len}");
            assert_eq!(read(&payload), Some((digest(), Told::Value(value.into()))));
        }
        let payload = of_value(&digest(), &vec![0; MAX_VALUE + 1]);
        assert_eq!(read(&payload), Some((digest(), Told::Look)));
    }

    #[test]
    fn notices_travel_whole() {
        for notice in [
            Notice::Released,
            Notice::Invalidated,
            Notice::failed("no ü\0!"),
            Notice::failed(&"x".repeat(9999)),
        ] {
            let payload = of_notice(&digest(), &notice);
            assert!(payload.len() <= MAX_PAYLOAD);
            assert_eq!(read(&payload), Some((digest(), Told::Notice(notice))));
        }
    }

    #[test]
    fn anything_is_understood() {
        let hex = digest().hex();
        let released = Told::Notice(Notice::Released);
        for (rest, told) in [
            ("", released.clone()),
            ("?", released.clone()),
            ("ü", released.clone()),
            ("n!!", released),
            ("v!!", Told::Look),
        ] {
            assert_eq!(read(&format!("{hex}{rest}")), Some((digest(), told)));
        }
        for noise in ["", "x", &"z".repeat(64), &"ü".repeat(40), &"+1".repeat(32)] {
            let _ = read(noise);
        }
        assert_eq!(read(&"z".repeat(64)), None);
    }

    #[test]
    fn the_digest_is_that_of_the_name() {
        // As `sha256sum` says it.
        assert!(
            digest().hex().starts_with("529b810e7c99ec1d"),
            "{}",
            digest().hex()
        );
        assert_eq!(Digest::parse(&digest().hex()), Some(digest()));
    }
}
