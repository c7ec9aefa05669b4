//! Strings as their UTF-8 bytes.

use bytes::Bytes;

use crate::{Codec, CodecError};

/// Stores a `String` as its UTF-8 bytes, without quotes, as the ancestors of 2019 did.
///
/// What is not UTF-8 does not decode: a lossy reading would pass for the value and be another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Text;

const NAME: &str = "text";

impl Codec<String> for Text {
    fn encode(&self, value: &String) -> Result<Bytes, CodecError> {
        Ok(Bytes::copy_from_slice(value.as_bytes()))
    }

    fn decode(&self, bytes: &Bytes) -> Result<String, CodecError> {
        match std::str::from_utf8(bytes) {
            Ok(text) => Ok(text.to_owned()),
            Err(error) => {
                let at = error.valid_up_to();
                Err(CodecError::decode(NAME, format!("no UTF-8 at byte {at}")))
            }
        }
    }

    fn name(&self) -> &'static str {
        NAME
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::CodecErrorKind;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn strings_come_back(value: String) {
            let stored = Text.encode(&value).unwrap();
            prop_assert_eq!(stored.as_ref(), value.as_bytes());
            prop_assert_eq!(Text.decode(&stored), Ok(value));
        }

        #[test]
        fn any_bytes_decode_or_fail(bytes: Vec<u8>) {
            let utf8 = std::str::from_utf8(&bytes).is_ok();
            prop_assert_eq!(Text.decode(&Bytes::from(bytes)).is_ok(), utf8);
        }
    }

    #[test]
    fn the_empty_string_is_a_value() {
        assert_eq!(Text.decode(&Bytes::new()), Ok(String::new()));
    }

    #[test]
    fn what_is_no_utf8_is_an_error_that_says_where() {
        let error = Text.decode(&Bytes::from_static(b"ab\xff")).unwrap_err();
        assert_eq!(error.kind(), CodecErrorKind::Decode);
        assert_eq!(error.detail(), "no UTF-8 at byte 2");
    }
}
