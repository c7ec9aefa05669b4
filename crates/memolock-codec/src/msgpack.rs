//! MessagePack: as polyglot as JSON, smaller and faster.

use bytes::Bytes;
use rmp_serde::Deserializer;
use rmp_serde::decode::Error as DecodeError;
use rmp_serde::encode::Error as EncodeError;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::detail::{CUT_SHORT, NOT_THIS_TYPE, REFUSED, TRAILING, missing_field};
use crate::guard::Limits;
use crate::{Codec, CodecError};

/// Stores a value as MessagePack with named fields: structs are maps, unit variants are strings, other
/// variants are maps of one entry. Peers in any language read it, and fields may be added with
/// `#[serde(default)]` as in JSON.
///
/// All floats come back bit for bit. `Some(None)` and `Some(())` are stored as `nil` and come back as
/// `None`, as in JSON. Nesting is limited to [`MAX_DEPTH`](crate::MAX_DEPTH) when decoding; memory that
/// a length asks for is limited by the number of bytes; bytes behind the value are refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MsgPack;

const NAME: &str = "msgpack";

impl<T: Serialize + DeserializeOwned> Codec<T> for MsgPack {
    fn encode(&self, value: &T) -> Result<Bytes, CodecError> {
        match rmp_serde::to_vec_named(value) {
            Ok(bytes) => Ok(bytes.into()),
            Err(error) => Err(CodecError::encode(NAME, encode_detail(&error))),
        }
    }

    fn decode(&self, bytes: &Bytes) -> Result<T, CodecError> {
        let limits = Limits::new(bytes.len());
        let mut reader = Deserializer::from_read_ref(bytes);
        // The guard bounds the depth, of enums and newtypes too, which the library does not count.
        let value = T::deserialize(limits.over(&mut reader)).map_err(|error| {
            let why = limits.refused().map(str::to_owned);
            CodecError::decode(NAME, why.unwrap_or_else(|| decode_detail(&error)))
        })?;
        match bool::deserialize(&mut reader) {
            // There is no first byte of another value, which is the only way to see the end.
            Err(DecodeError::InvalidMarkerRead(_)) => Ok(value),
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

fn decode_detail(error: &DecodeError) -> String {
    match error {
        DecodeError::InvalidMarkerRead(_) | DecodeError::InvalidDataRead(_) => CUT_SHORT.into(),
        DecodeError::OutOfRange => "a number out of its range".into(),
        DecodeError::LengthMismatch(_) => "an array or a map of another length".into(),
        DecodeError::Utf8Error(_) => "a string that is no UTF-8".into(),
        DecodeError::Syntax(message) | DecodeError::Uncategorized(message) => {
            missing_field(message).unwrap_or_else(|| NOT_THIS_TYPE.into())
        }
        // The mismatch names a marker, and small numbers are their own markers.
        _ => NOT_THIS_TYPE.into(),
    }
}

fn encode_detail(error: &EncodeError) -> &'static str {
    match error {
        EncodeError::UnknownLength => "a sequence of unknown length",
        EncodeError::DepthLimitExceeded => "nested too deep",
        _ => REFUSED,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Point {
        x: u8,
        y: f32,
    }

    fn detail<T: Serialize + DeserializeOwned + std::fmt::Debug>(bytes: &'static [u8]) -> String {
        let error = Codec::<T>::decode(&MsgPack, &Bytes::from_static(bytes)).unwrap_err();
        error.detail().to_owned()
    }

    #[test]
    fn errors_say_why_and_do_not_quote() {
        assert_eq!(detail::<u8>(b""), CUT_SHORT);
        assert_eq!(detail::<String>(b"\xa5abc"), CUT_SHORT);
        assert_eq!(detail::<String>(b"\x07"), NOT_THIS_TYPE);
        assert_eq!(detail::<u8>(b"\xcd\x01\x00"), NOT_THIS_TYPE);
        assert_eq!(detail::<String>(b"\xa1\xff"), "a string that is no UTF-8");
        assert_eq!(detail::<Point>(b"\x81\xa1x\x01"), "missing field `y`");
        assert_eq!(
            detail::<(u8, u8)>(b"\x93\x01\x02\x03"),
            "an array or a map of another length"
        );
    }

    #[test]
    fn trailing_bytes_are_refused() {
        assert_eq!(detail::<u8>(b"\x07\x07"), TRAILING);
        assert_eq!(detail::<bool>(b"\xc3\xc3"), TRAILING);
        assert_eq!(detail::<Option<u8>>(b"\xc0\xc1"), TRAILING);
    }

    #[test]
    fn a_field_may_be_added_with_a_default() {
        #[derive(Debug, PartialEq, Serialize, Deserialize)]
        struct Next {
            x: u8,
            y: f32,
            #[serde(default)]
            z: u8,
        }
        let old = MsgPack.encode(&Point { x: 1, y: 0.5 }).unwrap();
        assert_eq!(MsgPack.decode(&old), Ok(Next { x: 1, y: 0.5, z: 0 }));
        let new = MsgPack.encode(&Next { x: 1, y: 0.5, z: 2 }).unwrap();
        assert_eq!(MsgPack.decode(&new), Ok(Point { x: 1, y: 0.5 }));
    }
}
