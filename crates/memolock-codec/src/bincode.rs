//! Bincode, for stores that hold it already.

use bincode::config::{Configuration, standard};
use bincode::error::{DecodeError, EncodeError};
use bincode::serde::{EncodeError as SerdeError, encode_to_vec, seed_decode_from_slice};
use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::marker::PhantomData;

use crate::detail::{CUT_SHORT, NOT_THIS_TYPE, REFUSED, TRAILING};
use crate::guard::Limits;
use crate::{Codec, CodecError};

/// Stores a value as [bincode](https://docs.rs/bincode/2.0.1) 2 with its standard configuration: fields by
/// position, integers of variable length, little-endian.
///
/// **Unmaintained**: bincode's development has ended (RUSTSEC-2025-0141), 2.0.1 is the last release, and
/// faults found from now on stay. Take [`Postcard`](crate::Postcard) unless the store holds bincode
/// already. It is positional as that is: see there for what this means for changes of the type, and
/// for the bounds on decoding, which are the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Bincode;

const NAME: &str = "bincode";

// The library's own limit counts bytes and would allocate up to it; the guard bounds by the input.
const CONFIG: Configuration = standard();

impl<T: Serialize + DeserializeOwned> Codec<T> for Bincode {
    fn encode(&self, value: &T) -> Result<Bytes, CodecError> {
        match encode_to_vec(value, CONFIG) {
            Ok(bytes) => Ok(bytes.into()),
            Err(error) => Err(CodecError::encode(NAME, encode_detail(&error))),
        }
    }

    fn decode(&self, bytes: &Bytes) -> Result<T, CodecError> {
        let limits = Limits::new(bytes.len());
        let seed = limits.over(PhantomData::<T>);
        let (value, read) = seed_decode_from_slice(seed, bytes, CONFIG).map_err(|error| {
            let why = limits.refused().unwrap_or_else(|| decode_detail(&error));
            CodecError::decode(NAME, why)
        })?;
        if read < bytes.len() {
            return Err(CodecError::decode(NAME, TRAILING));
        }
        Ok(value)
    }

    fn name(&self) -> &'static str {
        NAME
    }

    fn difference(&self, left: &T, right: &T) -> Option<String> {
        crate::same::difference(left, right)
    }
}

fn decode_detail(error: &DecodeError) -> &'static str {
    match error {
        DecodeError::UnexpectedEnd { .. } => CUT_SHORT,
        DecodeError::Utf8 { .. } => "a string that is no UTF-8",
        DecodeError::InvalidIntegerType { .. } | DecodeError::OutsideUsizeRange(_) => {
            "a number out of its range"
        }
        DecodeError::Serde(_) => "the type needs a format that describes itself",
        _ => NOT_THIS_TYPE,
    }
}

fn encode_detail(error: &EncodeError) -> &'static str {
    match error {
        EncodeError::Serde(SerdeError::SequenceMustHaveLength) => "a sequence of unknown length",
        _ => REFUSED,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fmt::Debug;

    fn detail<T: Serialize + DeserializeOwned + Debug>(bytes: &'static [u8]) -> String {
        let error = Codec::<T>::decode(&Bincode, &Bytes::from_static(bytes)).unwrap_err();
        error.detail().to_owned()
    }

    #[test]
    fn errors_say_why() {
        assert_eq!(detail::<u8>(b""), CUT_SHORT);
        assert_eq!(detail::<String>(b"\x05abc"), CUT_SHORT);
        assert_eq!(detail::<String>(b"\x01\xff"), "a string that is no UTF-8");
        assert_eq!(detail::<bool>(b"\x02"), NOT_THIS_TYPE);
        assert_eq!(detail::<Result<u8, u8>>(b"\x02"), NOT_THIS_TYPE);
        assert_eq!(detail::<u16>(b"\xff"), "a number out of its range");
    }

    #[test]
    fn trailing_bytes_are_refused() {
        assert_eq!(detail::<u8>(b"\x07\x00"), TRAILING);
        assert_eq!(detail::<()>(b"\x00"), TRAILING);
    }
}
