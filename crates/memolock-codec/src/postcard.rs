//! Postcard: the smallest and fastest, for stores that only Rust reads.

use bytes::Bytes;
use postcard::Deserializer;
use postcard::Error as Trouble;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::detail::{NOT_THIS_TYPE, REFUSED, TRAILING};
use crate::guard::Limits;
use crate::{Codec, CodecError};

/// Stores a value in the [postcard](https://postcard.jamesmunns.com/wire-format) format: fields by
/// position, integers of variable length. A third of JSON's size and time; only Rust reads it.
///
/// **Positional**: the bytes do not say which field is which, so every change of the type (order and
/// types of fields, order of variants) must come with a new version. Use it within
/// [`Versioned`](crate::Versioned), or give changed types a new tag. The serde attributes
/// `flatten`, `untagged`, `tag` and `skip_serializing_if` do not work with it.
///
/// All values come back, floats bit for bit. Nesting is limited to [`MAX_DEPTH`](crate::MAX_DEPTH) when
/// decoding, elements without bytes to [`MAX_EMPTY_ELEMENTS`](crate::MAX_EMPTY_ELEMENTS); memory that a length
/// asks for is limited by the number of bytes; bytes behind the value are refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Postcard;

const NAME: &str = "postcard";

impl<T: Serialize + DeserializeOwned> Codec<T> for Postcard {
    fn encode(&self, value: &T) -> Result<Bytes, CodecError> {
        match postcard::to_stdvec(value) {
            Ok(bytes) => Ok(bytes.into()),
            Err(error) => Err(CodecError::encode(NAME, encode_detail(&error))),
        }
    }

    fn decode(&self, bytes: &Bytes) -> Result<T, CodecError> {
        let limits = Limits::new(bytes.len());
        let mut reader = Deserializer::from_bytes(bytes);
        let value = T::deserialize(limits.over(&mut reader)).map_err(|error| {
            let why = limits.refused().unwrap_or_else(|| decode_detail(&error));
            CodecError::decode(NAME, why)
        })?;
        match reader.finalize() {
            Ok([]) => Ok(value),
            _ => Err(CodecError::decode(NAME, TRAILING)),
        }
    }

    fn name(&self) -> &'static str {
        NAME
    }

    fn difference(&self, left: &T, right: &T) -> Option<String> {
        crate::same::difference(left, right)
    }
}

fn decode_detail(error: &Trouble) -> &'static str {
    match error {
        Trouble::DeserializeUnexpectedEnd => "the bytes end too early",
        Trouble::DeserializeBadVarint => "a number out of its range",
        Trouble::DeserializeBadUtf8 => "a string that is no UTF-8",
        Trouble::WontImplement => "the type needs a format that describes itself",
        _ => NOT_THIS_TYPE,
    }
}

fn encode_detail(error: &Trouble) -> &'static str {
    match error {
        Trouble::SerializeSeqLengthUnknown => "a sequence of unknown length",
        _ => REFUSED,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fmt::Debug;

    fn detail<T: Serialize + DeserializeOwned + Debug>(bytes: &'static [u8]) -> String {
        let error = Codec::<T>::decode(&Postcard, &Bytes::from_static(bytes)).unwrap_err();
        error.detail().to_owned()
    }

    #[test]
    fn errors_say_why() {
        assert_eq!(detail::<u8>(b""), "the bytes end too early");
        assert_eq!(detail::<String>(b"\x05abc"), "the bytes end too early");
        assert_eq!(detail::<String>(b"\x01\xff"), "a string that is no UTF-8");
        assert_eq!(detail::<bool>(b"\x02"), NOT_THIS_TYPE);
        assert_eq!(detail::<Result<u8, u8>>(b"\x02"), NOT_THIS_TYPE);
        assert_eq!(detail::<u16>(b"\xff\xff\xff"), "a number out of its range");
    }

    #[test]
    fn trailing_bytes_are_refused() {
        assert_eq!(detail::<u8>(b"\x07\x00"), TRAILING);
        assert_eq!(detail::<()>(b"\x00"), TRAILING);
    }
}
