//! JSON, the format that every peer can read.

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::error::Category;

use crate::detail::{NOT_THIS_TYPE, REFUSED, missing_field};
use crate::{Codec, CodecError};

/// Stores a value as compact JSON: the default, since programs in any language can share it.
///
/// Finite floats come back bit for bit. JSON has no other ones: NaN and the infinities are stored as
/// `null`, which decodes as an `Option` and not as a float. Nesting is limited to 128 levels when
/// decoding, so that hostile bytes cannot exhaust the stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Json;

const NAME: &str = "json";

impl<T: Serialize + DeserializeOwned> Codec<T> for Json {
    fn encode(&self, value: &T) -> Result<Bytes, CodecError> {
        match serde_json::to_vec(value) {
            Ok(json) => Ok(json.into()),
            Err(error) => Err(CodecError::encode(NAME, encode_detail(&error))),
        }
    }

    fn decode(&self, bytes: &Bytes) -> Result<T, CodecError> {
        serde_json::from_slice(bytes).map_err(|e| CodecError::decode(NAME, decode_detail(&e)))
    }

    fn name(&self) -> &'static str {
        NAME
    }

    fn difference(&self, left: &T, right: &T) -> Option<String> {
        crate::same::difference(left, right)
    }
}

/// Where the bytes stop making sense, and why, as far as that can be said without quoting them.
fn decode_detail(error: &serde_json::Error) -> String {
    match error.classify() {
        // These texts are fixed: they say what the grammar wanted, and not what there was.
        Category::Syntax | Category::Eof => error.to_string(),
        // These are made by the type's `Deserialize`, and quote: `invalid type: string "..."`.
        Category::Data | Category::Io => {
            let why = missing_field(&error.to_string()).unwrap_or_else(|| NOT_THIS_TYPE.into());
            match error.line() {
                0 => why,
                line => format!("{why} at line {line} column {}", error.column()),
            }
        }
    }
}

/// As above: what `serde_json` itself says is fixed, what a `Serialize` says may quote the value.
fn encode_detail(error: &serde_json::Error) -> String {
    match error.classify() {
        Category::Syntax | Category::Eof => error.to_string(),
        Category::Data | Category::Io => REFUSED.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::CodecErrorKind;
    use proptest::prelude::*;
    use serde::Deserialize;
    use std::collections::BTreeMap;

    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    struct Record {
        count: u64,
        name: String,
        ratio: f64,
        small: f32,
        tags: Vec<String>,
        more: BTreeMap<String, Option<i64>>,
        shape: Shape,
    }

    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    enum Shape {
        Empty,
        Pair(i8, char),
        Named { on: bool },
    }

    fn shape() -> impl Strategy<Value = Shape> {
        prop_oneof![
            Just(Shape::Empty),
            any::<(i8, char)>().prop_map(|(a, b)| Shape::Pair(a, b)),
            any::<bool>().prop_map(|on| Shape::Named { on }),
        ]
    }

    prop_compose! {
        fn record()(
            count: u64,
            name: String,
            ratio in any::<f64>().prop_filter("finite", |f| f.is_finite()),
            small in any::<f32>().prop_filter("finite", |f| f.is_finite()),
            tags in prop::collection::vec(any::<String>(), 0..4),
            more in prop::collection::btree_map(any::<String>(), any::<Option<i64>>(), 0..4),
            shape in shape(),
        ) -> Record {
            Record { count, name, ratio, small, tags, more, shape }
        }
    }

    proptest! {
        #[test]
        fn records_come_back(value in record()) {
            let stored = Json.encode(&value).unwrap();
            prop_assert_eq!(Codec::<Record>::decode(&Json, &stored), Ok(value));
        }

        #[test]
        fn finite_floats_come_back_bit_for_bit(bits: u64) {
            let float = f64::from_bits(bits);
            prop_assume!(float.is_finite());
            let back: f64 = Json.decode(&Json.encode(&float).unwrap()).unwrap();
            prop_assert_eq!(back.to_bits(), bits);
        }

        #[test]
        fn random_bytes_decode_or_fail(bytes: Vec<u8>) {
            let bytes = Bytes::from(bytes);
            let _ = Codec::<Record>::decode(&Json, &bytes);
            let _ = Codec::<serde_json::Value>::decode(&Json, &bytes);
        }

        #[test]
        fn damaged_json_decodes_or_fails(value in record(), at: prop::sample::Index, byte: u8) {
            let mut bytes = Json.encode(&value).unwrap().to_vec();
            let at = at.index(bytes.len());
            bytes[at] = byte;
            let _ = Codec::<Record>::decode(&Json, &Bytes::from(bytes));
        }

        #[test]
        fn errors_never_quote_the_value(secret in "[A-Z]{12}") {
            #[derive(Debug, PartialEq, Serialize, Deserialize)]
            #[serde(deny_unknown_fields)]
            struct One { number: u32 }
            for json in [
                format!("{{\"number\":\"{secret}\"}}"),
                format!("{{\"number\":1,\"{secret}\":2}}"),
                format!("{{\"number\":1,\"number\":\"{secret}\"}}"),
                format!("\"missing field `{secret}`\""),
                secret.clone(),
                format!("\"{secret}"),
            ] {
                let error = Codec::<One>::decode(&Json, &Bytes::from(json)).unwrap_err();
                prop_assert!(!format!("{error} {error:?}").contains(&secret), "{}", error);
            }
        }
    }

    fn detail<T: Serialize + DeserializeOwned + std::fmt::Debug>(json: &'static str) -> String {
        let error = Codec::<T>::decode(&Json, &Bytes::from(json)).unwrap_err();
        assert_eq!(
            (error.kind(), error.format()),
            (CodecErrorKind::Decode, NAME)
        );
        error.detail().to_owned()
    }

    #[test]
    fn errors_say_where_and_why() {
        assert_eq!(detail::<u8>("\"x\""), "not of this type at line 1 column 3");
        assert_eq!(detail::<u8>("300"), "not of this type at line 1 column 3");
        assert_eq!(
            detail::<u8>(""),
            "EOF while parsing a value at line 1 column 0"
        );
        assert_eq!(
            detail::<u8>("1 x"),
            "trailing characters at line 1 column 3"
        );
        assert_eq!(
            detail::<Record>("{}"),
            "missing field `count` at line 1 column 2"
        );
    }

    #[test]
    fn deep_nesting_is_an_error_and_no_stack_overflow() {
        let deep = Bytes::from("[".repeat(1 << 20));
        assert!(Codec::<serde_json::Value>::decode(&Json, &deep).is_err());
    }

    #[test]
    fn what_json_cannot_hold_is_an_encode_error() {
        let by_pair = BTreeMap::from([((1, 2), 3)]);
        let error = Json.encode(&by_pair).unwrap_err();
        assert_eq!(error.kind(), CodecErrorKind::Encode);
        assert_eq!(error.detail(), "key must be a string");
    }

    #[test]
    fn a_serialize_that_refuses_does_not_leak_the_value() {
        #[derive(Debug, PartialEq, Deserialize)]
        struct Refuses(String);
        impl Serialize for Refuses {
            fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
                Err(serde::ser::Error::custom(&self.0))
            }
        }
        let error = Json.encode(&Refuses("secret".into())).unwrap_err();
        assert_eq!(error.detail(), "its Serialize refused");
    }

    #[test]
    fn nan_is_null_as_documented() {
        assert_eq!(Json.encode(&f64::NAN).unwrap(), "null");
        assert_eq!(Json.decode(&Bytes::from("null")), Ok(None::<f64>));
    }
}
