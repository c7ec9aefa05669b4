//! A schema version beside the value.

use bytes::Bytes;

use crate::{Codec, CodecError};

/// Puts a version number before the bytes of another codec. Bytes of any other version, or of none, are
/// [stale](crate::CodecErrorKind::Stale) to it: memolock takes them for a miss, computes, and stores
/// its own. So releases whose types differ can run side by side on the same keys, the older one finding
/// the newer one's values as little as the other way round.
///
/// Count `version` up with every change of the type that the codec cannot read across. For positional
/// formats that is every change.
///
/// Use it from the first release on: a release without it does not know the header. While two versions
/// run, each overwrites what the other stored, one compute at a time; where that is too much work,
/// put the version into the tag instead, and know that `invalidate` then reaches one version only.
///
/// ```
/// # #[cfg(feature = "postcard")] {
/// use memolock_codec::{Codec, Postcard, Versioned};
///
/// let (old, new) = (Versioned::new(Postcard, 1), Versioned::new(Postcard, 2));
/// let stored = old.encode(&(7_u8, 8_u8)).unwrap();
/// assert_eq!(stored.as_ref(), b"\xc1\x01\0\0\0\x07\x08");
/// assert_eq!(old.decode(&stored), Ok((7_u8, 8_u8)));
/// let error = Codec::<u16>::decode(&new, &stored).unwrap_err();
/// assert!(error.is_miss());
/// # }
/// ```
///
/// # Header
/// Five bytes: `0xC1`, then the version, four bytes, least significant first. `0xC1` begins neither JSON nor
/// UTF-8 text nor MessagePack, so values without a header are told apart for certain there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Versioned<C> {
    codec: C,
    version: u32,
}

const NAME: &str = "versioned";
const MAGIC: u8 = 0xC1;
const HEADER: usize = 5;

impl<C> Versioned<C> {
    /// Marks what `codec` writes with `version`, and reads nothing else.
    #[must_use]
    pub const fn new(codec: C, version: u32) -> Self {
        Self { codec, version }
    }

    /// The version.
    #[must_use]
    pub const fn version(&self) -> u32 {
        self.version
    }

    fn header(&self) -> [u8; HEADER] {
        let [a, b, c, d] = self.version.to_le_bytes();
        [MAGIC, a, b, c, d]
    }
}

impl<T, C: Codec<T>> Codec<T> for Versioned<C> {
    fn encode(&self, value: &T) -> Result<Bytes, CodecError> {
        let plain = self.codec.encode(value)?;
        Ok([self.header().as_slice(), &plain].concat().into())
    }

    fn decode(&self, bytes: &Bytes) -> Result<T, CodecError> {
        match bytes.split_first_chunk::<HEADER>() {
            Some((header, _)) if *header == self.header() => {
                self.codec.decode(&bytes.slice(HEADER..))
            }
            Some(([MAGIC, version @ ..], _)) => {
                let (found, ours) = (u32::from_le_bytes(*version), self.version);
                let detail = format!("version {found}, and this is {ours}");
                Err(CodecError::stale(NAME, detail))
            }
            _ => Err(CodecError::stale(NAME, "no version")),
        }
    }

    /// That of the codec within.
    fn name(&self) -> &'static str {
        self.codec.name()
    }

    fn difference(&self, left: &T, right: &T) -> Option<String> {
        self.codec.difference(left, right)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{CodecErrorKind, Raw, Text};

    fn error(bytes: &'static [u8]) -> CodecError {
        let codec = Versioned::new(Text, 0x0102_0304);
        codec.decode(&Bytes::from_static(bytes)).unwrap_err()
    }

    #[test]
    fn another_version_is_stale_in_both_directions() {
        let (old, new) = (Versioned::new(Text, 1), Versioned::new(Text, 2));
        for (writer, reader, detail) in [
            (old, new, "version 1, and this is 2"),
            (new, old, "version 2, and this is 1"),
        ] {
            let stored = writer.encode(&"x".to_owned()).unwrap();
            let error = reader.decode(&stored).unwrap_err();
            assert_eq!(error, CodecError::stale(NAME, detail));
            assert!(error.is_miss());
        }
    }

    #[test]
    fn what_has_no_header_is_stale() {
        for bytes in [b"".as_slice(), b"\xc1", b"\xc1\x04\x03\x02", b"plain text"] {
            assert_eq!(error(bytes), CodecError::stale(NAME, "no version"));
        }
    }

    #[test]
    fn damage_behind_the_right_header_is_an_error() {
        assert_eq!(
            error(b"\xc1\x04\x03\x02\x01\xff").kind(),
            CodecErrorKind::Decode
        );
    }

    #[test]
    fn the_value_is_not_copied_when_decoding() {
        let codec = Versioned::new(Raw, 7);
        let stored = codec.encode(&Bytes::from_static(b"page")).unwrap();
        let page: Bytes = codec.decode(&stored).unwrap();
        assert_eq!(page.as_ptr(), stored[HEADER..].as_ptr());
    }
}
