//! Bytes that anybody may have stored, through every codec and wrapper.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Debug;
use std::sync::LazyLock;

use bytes::Bytes;
use memolock_codec::{
    Algorithm, Bincode, Codec, CodecError, CodecErrorKind, Compressed, Json, MAX_DETAIL_BYTES,
    MsgPack, Postcard, Raw, Text, Versioned,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use stats_alloc::Region;

use crate::ALLOCATOR;

/// What compressed bytes may become.
const MAX_DECODED: usize = 16 << 10;
/// Room for errors, contexts and what a test harness does meanwhile.
const SLACK: usize = 64 << 10;
/// What one byte may cost: no element takes more than 256 in memory, a collection that grows has twice
/// that, and was half of it before.
const PER_BYTE: usize = 256 * 4;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Record {
    id: u64,
    name: String,
    letter: char,
    huge: (u128, i128),
    note: Option<Box<str>>,
    map: BTreeMap<String, Option<i64>>,
    units: Vec<()>,
    shapes: Vec<Shape>,
    tree: Tree,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum Shape {
    Empty,
    One(i32),
    Pair(i8, bool),
    Named { on: bool, at: Option<u16> },
}

/// Nests without end: by sequences, options and newtypes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Tree {
    kids: Vec<Tree>,
    next: Option<Box<Link>>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Link(Tree);

type Wide = Vec<[u64; 16]>;
type Table = HashMap<u64, Vec<(String, Option<u64>)>>;

type Named<T> = (&'static str, Box<dyn Codec<T>>);

/// All codecs of one type.
struct Shelf<T>(Vec<Named<T>>);

static RECORDS: LazyLock<Shelf<Record>> = LazyLock::new(Shelf::new);
static TREES: LazyLock<Shelf<Vec<Tree>>> = LazyLock::new(Shelf::new);
static WIDES: LazyLock<Shelf<Wide>> = LazyLock::new(Shelf::new);
static TABLES: LazyLock<Shelf<Table>> = LazyLock::new(Shelf::new);
static TEXTS: LazyLock<Shelf<String>> =
    LazyLock::new(|| Shelf::wrapped(|| vec![("text", Box::new(Text))]));
static RAWS: LazyLock<Shelf<Bytes>> =
    LazyLock::new(|| Shelf::wrapped(|| vec![("raw", Box::new(Raw))]));

/// Whatever is stored decodes or is an error of one line, costs memory in proportion to its length or
/// to what decompressing is bounded to, and a value that was decoded is encoded and decoded to the same.
///
/// The first byte chooses the type.
pub fn stored_bytes(data: &[u8]) {
    let Some((choice, stored)) = data.split_first() else {
        return;
    };
    let stored = Bytes::copy_from_slice(stored);
    match choice % 7 {
        0 => RECORDS.decode(&stored),
        1 => TREES.decode(&stored),
        2 => WIDES.decode(&stored),
        3 => TABLES.decode(&stored),
        4 => TEXTS.decode(&stored),
        5 => RAWS.decode(&stored),
        // Floats: NaN is not itself, so its text is compared.
        _ => json(&stored),
    }
}

impl<T: Serialize + DeserializeOwned + 'static> Shelf<T> {
    fn new() -> Self {
        Self::wrapped(|| {
            vec![
                ("json", Box::new(Json)),
                ("msgpack", Box::new(MsgPack)),
                ("postcard", Box::new(Postcard)),
                ("bincode", Box::new(Bincode)),
            ]
        })
    }
}

impl<T: 'static> Shelf<T> {
    fn wrapped(formats: fn() -> Vec<Named<T>>) -> Self {
        type Wrap<T> = fn(Box<dyn Codec<T>>) -> Box<dyn Codec<T>>;
        fn compressed<C>(codec: C, algorithm: Algorithm) -> Compressed<C> {
            Compressed::new(codec, algorithm)
                .threshold(0)
                .max_decoded(MAX_DECODED)
        }
        let wraps: [Wrap<T>; 6] = [
            |c| c,
            |c| Box::new(Versioned::new(c, 3)),
            // Whichever algorithm writes, both are read.
            |c| Box::new(compressed(c, Algorithm::Lz4)),
            |c| Box::new(Versioned::new(compressed(c, Algorithm::zstd()), 3)),
            |c| Box::new(compressed(Versioned::new(c, 3), Algorithm::Lz4)),
            |c| {
                let inner = Versioned::new(compressed(c, Algorithm::Lz4), 3);
                Box::new(compressed(inner, Algorithm::zstd()))
            },
        ];
        Self(
            wraps
                .iter()
                .flat_map(|wrap| formats().into_iter().map(|(name, c)| (name, wrap(c))))
                .collect(),
        )
    }
}

impl<T: PartialEq + Debug + 'static> Shelf<T> {
    fn decode(&self, stored: &Bytes) {
        for (nth, (name, codec)) in self.0.iter().enumerate() {
            let region = Region::new(ALLOCATOR);
            let decoded = codec.decode(stored);
            let change = region.change();
            let got =
                change.bytes_allocated + usize::try_from(change.bytes_reallocated).unwrap_or(0);
            let most = stored.len().max(MAX_DECODED) * PER_BYTE + SLACK;
            let bare = nth < self.0.len() / 6;
            let most = if bare {
                stored.len() * PER_BYTE + SLACK
            } else {
                most
            };
            assert!(
                got <= most,
                "{name} {nth}: {got} bytes allocated, {most} allowed"
            );
            match decoded {
                Ok(value) => same(name, &**codec, &value),
                Err(error) => refused(&error),
            }
        }
    }
}

fn same<T: PartialEq + Debug + 'static>(name: &str, codec: &dyn Codec<T>, value: &T) {
    let again = codec
        .encode(value)
        .unwrap_or_else(|e| panic!("{name}: {e}: {value:?}"));
    let back = codec
        .decode(&again)
        .unwrap_or_else(|e| panic!("{name}: {e}: {value:?}"));
    assert_eq!(back, *value, "{name}");
}

fn refused(error: &CodecError) {
    assert_ne!(error.kind(), CodecErrorKind::Encode);
    let shown = error.to_string();
    assert!(error.detail().len() <= MAX_DETAIL_BYTES, "{shown}");
    assert!(!shown.chars().any(char::is_control), "{shown:?}");
}

fn json(stored: &Bytes) {
    match Json.decode(stored) {
        Ok(value) => same::<serde_json::Value>("json", &Json, &value),
        Err(error) => refused(&error),
    }
    for codec in [
        &MsgPack as &dyn Codec<Vec<(f64, f32)>>,
        &Postcard,
        &Bincode,
        &Json,
    ] {
        if let Ok(floats) = codec.decode(stored) {
            let Ok(again) = codec.encode(&floats) else {
                continue;
            };
            let finite = floats.iter().all(|(a, b)| a.is_finite() && b.is_finite());
            match codec.decode(&again) {
                Ok(back) if finite => assert_eq!(back, floats, "{}", codec.name()),
                Ok(back) => assert_eq!(back.len(), floats.len()),
                Err(error) => assert!(!finite && codec.name() == "json", "{error}"),
            }
        }
    }
}
