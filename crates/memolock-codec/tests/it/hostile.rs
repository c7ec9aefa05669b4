//! Bytes that nobody encoded: an error or a value, never a panic, a hang, or an exhausted machine.

use std::sync::LazyLock;

use bytes::Bytes;
use memolock_codec::{Bincode, Codec, MAX_EMPTY_ELEMENTS, Postcard};
use proptest::prelude::*;
use serde::{Deserialize, Serialize};

use crate::common::{Named, RECORDS, Tree, codecs, formats, record};

static TREES: LazyLock<Vec<Named<Vec<Tree>>>> = LazyLock::new(codecs);
type Table = Vec<Vec<(String, Option<u64>)>>;
static TABLES: LazyLock<Vec<Named<Table>>> = LazyLock::new(codecs);

/// Decodes as several types; what comes of it does not matter.
fn decode(bytes: &[u8]) {
    let bytes = Bytes::copy_from_slice(bytes);
    for (_, codec) in &*RECORDS {
        let _ = codec.decode(&bytes);
    }
    for (_, codec) in &*TREES {
        let _ = codec.decode(&bytes);
    }
    for (_, codec) in &*TABLES {
        let _ = codec.decode(&bytes);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn random_bytes_decode_or_fail(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        decode(&bytes);
    }

    /// The same behind each wrapper's header, which random bytes seldom hit.
    #[test]
    fn random_bytes_behind_a_header_decode_or_fail(
        bytes in prop::collection::vec(any::<u8>(), 0..300),
        header in prop::sample::select(vec![
            b"\xc1\x03\0\0\0".as_slice(),
            b"\xc1\x03\0\0\0\x00",
            b"\x00\xc1\x03\0\0\0",
            b"\x01\x40\0\0\0",
            b"\x02\x28\xb5\x2f\xfd",
        ]),
    ) {
        decode(&[header, &bytes].concat());
    }

    #[test]
    fn damaged_values_decode_or_fail(
        value in record(),
        which: prop::sample::Index,
        hits in prop::collection::vec(any::<(prop::sample::Index, u8)>(), 1..4),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let (_, codec) = &RECORDS[which.index(RECORDS.len())];
        let mut bytes = codec.encode(&value).unwrap().to_vec();
        for (at, byte) in hits {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        let _ = codec.decode(&bytes.into());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn bytes_behind_the_value_are_refused(value in record(), more in prop::collection::vec(any::<u8>(), 1..9)) {
        for (name, codec) in &*RECORDS {
            let stored = codec.encode(&value).unwrap();
            let longer = [&stored, more.as_slice()].concat();
            // White space behind JSON is JSON.
            if *name != "json" {
                prop_assert!(codec.decode(&longer.into()).is_err(), "{}", name);
            }
        }
    }
}

/// An element that takes memory and no bytes.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Ghost {
    #[serde(skip)]
    _page: [u64; 32],
}

#[test]
fn elements_without_bytes_are_counted() {
    // 2^63 and more of them, as each format writes it.
    let postcard = Bytes::from_static(b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01");
    let bincode = Bytes::from_static(b"\xfd\xff\xff\xff\xff\xff\xff\xff\xff");
    for (codec, bytes) in [
        (&Postcard as &dyn Codec<Vec<()>>, &postcard),
        (&Bincode, &bincode),
    ] {
        let error = codec.decode(bytes).unwrap_err();
        assert_eq!(error.detail(), "more elements than bytes");
    }
    for (codec, bytes) in [
        (&Postcard as &dyn Codec<Vec<Ghost>>, &postcard),
        (&Bincode, &bincode),
    ] {
        assert!(codec.decode(bytes).is_err());
    }
    for (name, codec) in formats::<Vec<()>>() {
        let most = vec![(); MAX_EMPTY_ELEMENTS];
        let stored = codec.encode(&most).unwrap();
        assert_eq!(codec.decode(&stored), Ok(most), "{name}");
    }
}

#[test]
fn errors_never_quote_the_value() {
    const SECRET: &str = "TOPSECRET";
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct One {
        number: u32,
    }
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    enum Choice {
        A,
    }
    for (name, codec) in codecs::<String>() {
        let stored = codec.encode(&SECRET.to_owned()).unwrap();
        let said = |error: memolock_codec::CodecError| format!("{error} {error:?}");
        let index = codecs::<One>().into_iter().zip(codecs::<Choice>());
        for ((_, one), (_, choice)) in index {
            for said in [
                one.decode(&stored).map_err(said).err(),
                choice.decode(&stored).map_err(said).err(),
            ] {
                assert!(!said.unwrap_or_default().contains(SECRET), "{name}");
            }
        }
    }
}
