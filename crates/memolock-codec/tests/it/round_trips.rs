//! What is encoded comes back, whatever the format and the wrappers.

use std::collections::HashMap;
use std::fmt::Debug;
use std::net::IpAddr;
use std::sync::LazyLock;
use std::time::Duration;

use memolock_codec::{
    Algorithm, Bincode, Codec, Compressed, MsgPack, Postcard, Raw, Text, Versioned,
};
use proptest::prelude::*;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::common::{Named, RECORDS, Record, codecs, record};

static LISTS: LazyLock<Vec<Named<Vec<Record>>>> = LazyLock::new(codecs);

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn records_come_back(value in record()) {
        for (name, codec) in &*RECORDS {
            let stored = codec.encode(&value).unwrap();
            prop_assert_eq!(codec.decode(&stored), Ok(value.clone()), "{}", name);
        }
    }

    #[test]
    fn lists_of_records_come_back(value in prop::collection::vec(record(), 0..8)) {
        for (name, codec) in &*LISTS {
            let stored = codec.encode(&value).unwrap();
            prop_assert_eq!(codec.decode(&stored), Ok(value.clone()), "{}", name);
        }
    }

    #[test]
    fn all_floats_come_back_bit_for_bit(single: u32, double: u64) {
        let value = (f32::from_bits(single), f64::from_bits(double));
        let codecs: [&dyn Codec<(f32, f64)>; 3] = [&MsgPack, &Postcard, &Bincode];
        for codec in codecs {
            let (a, b) = codec.decode(&codec.encode(&value).unwrap()).unwrap();
            prop_assert_eq!((a.to_bits(), b.to_bits()), (single, double));
        }
    }

    #[test]
    fn strings_and_bytes_come_back_through_wrappers(text: String, bytes: Vec<u8>) {
        for algorithm in [Algorithm::Lz4, Algorithm::zstd()] {
            let codec = Versioned::new(Compressed::new(Text, algorithm).threshold(8), 1);
            prop_assert_eq!(codec.decode(&codec.encode(&text).unwrap()), Ok(text.clone()));
            let codec = Compressed::new(Versioned::new(Raw, 1), algorithm).threshold(8);
            prop_assert_eq!(codec.decode(&codec.encode(&bytes).unwrap()), Ok(bytes.clone()));
        }
    }
}

fn all<T: Serialize + DeserializeOwned + Debug + PartialEq + 'static>(value: &T) {
    for (name, codec) in codecs::<T>() {
        let stored = codec.encode(value).unwrap();
        assert_eq!(codec.decode(&stored).as_ref(), Ok(value), "{name}");
    }
}

#[test]
fn what_std_offers_comes_back() {
    all(&Duration::new(3, 5));
    all(&"::1".parse::<IpAddr>().unwrap());
    all(&HashMap::from([(7_u32, "seven".to_owned())]));
    all(&[[1_u8; 4]; 4]);
    all(&Ok::<u8, String>(1));
    all(&(u64::MAX, i64::MIN, u128::MAX, i128::MIN, char::MAX));
    all(&vec![(); 60_000]);
    all(&Vec::<u8>::new());
    all(&String::new());
    all(&());
}

#[test]
fn large_values_come_back() {
    all(&(0..30_000_u32).collect::<Vec<_>>());
    all(&"x".repeat(1 << 18));
}
