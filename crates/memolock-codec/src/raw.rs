//! Bytes as they are.

use bytes::Bytes;

use crate::{Codec, CodecError};

/// Stores bytes as they are: [`Bytes`] without a copy, or `Vec<u8>` with one each way.
///
/// It never fails. A decoded [`Bytes`] may share the buffer in which it arrived, and keeps that alive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Raw;

const NAME: &str = "raw";

impl Codec<Bytes> for Raw {
    fn encode(&self, value: &Bytes) -> Result<Bytes, CodecError> {
        Ok(value.clone())
    }

    fn decode(&self, bytes: &Bytes) -> Result<Bytes, CodecError> {
        Ok(bytes.clone())
    }

    fn name(&self) -> &'static str {
        NAME
    }
}

impl Codec<Vec<u8>> for Raw {
    fn encode(&self, value: &Vec<u8>) -> Result<Bytes, CodecError> {
        Ok(Bytes::copy_from_slice(value))
    }

    fn decode(&self, bytes: &Bytes) -> Result<Vec<u8>, CodecError> {
        Ok(bytes.to_vec())
    }

    fn name(&self) -> &'static str {
        NAME
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn bytes_come_back_without_a_copy(value: Vec<u8>) {
            let value = Bytes::from(value);
            let stored = Raw.encode(&value).unwrap();
            let back: Bytes = Raw.decode(&stored).unwrap();
            prop_assert_eq!(back.as_ptr(), value.as_ptr());
            prop_assert_eq!(back, value);
        }

        #[test]
        fn vectors_come_back(value: Vec<u8>) {
            let back: Vec<u8> = Raw.decode(&Raw.encode(&value).unwrap()).unwrap();
            prop_assert_eq!(back, value);
        }
    }

    #[test]
    fn the_empty_value_is_a_value() {
        assert_eq!(Raw.decode(&Bytes::new()), Ok(Bytes::new()));
        assert_eq!(Raw.decode(&Bytes::new()), Ok(Vec::<u8>::new()));
    }
}
