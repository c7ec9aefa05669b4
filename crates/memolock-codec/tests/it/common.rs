//! Values of every shape, and every codec for them.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use memolock_codec::{Algorithm, Bincode, Codec, Compressed, Json, MsgPack, Postcard, Versioned};
use proptest::prelude::*;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) id: u64,
    pub(crate) name: String,
    pub(crate) delta: i64,
    pub(crate) ratio: f64,
    pub(crate) small: f32,
    pub(crate) letter: char,
    pub(crate) flag: bool,
    pub(crate) huge: (u128, i128),
    pub(crate) note: Option<String>,
    pub(crate) tags: Vec<String>,
    pub(crate) map: BTreeMap<String, Option<i64>>,
    pub(crate) pair: (u8, i16),
    pub(crate) unit: (),
    pub(crate) bytes: Vec<u8>,
    pub(crate) shapes: Vec<Shape>,
    pub(crate) tree: Tree,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) enum Shape {
    Empty,
    One(i32),
    Pair(i8, char),
    Named { on: bool, at: Option<u16> },
}

/// Nests without end, by three roads: sequences, options and newtypes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Tree {
    pub(crate) kids: Vec<Tree>,
    pub(crate) next: Option<Box<Link>>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Link(pub(crate) Tree);

fn shape() -> impl Strategy<Value = Shape> {
    prop_oneof![
        Just(Shape::Empty),
        any::<i32>().prop_map(Shape::One),
        any::<(i8, char)>().prop_map(|(a, b)| Shape::Pair(a, b)),
        any::<(bool, Option<u16>)>().prop_map(|(on, at)| Shape::Named { on, at }),
    ]
}

fn tree() -> impl Strategy<Value = Tree> {
    let leaf = Just(Tree {
        kids: vec![],
        next: None,
    });
    leaf.prop_recursive(6, 24, 3, |inner| {
        let next = prop::option::of(inner.clone().prop_map(|tree| Box::new(Link(tree))));
        (prop::collection::vec(inner, 0..3), next).prop_map(|(kids, next)| Tree { kids, next })
    })
}

prop_compose! {
    /// Any record that JSON can hold too.
    pub(crate) fn record()(
        (id, name, delta, letter, flag, huge) in any::<(u64, String, i64, char, bool, (u128, i128))>(),
        ratio in any::<f64>().prop_filter("JSON has no others", |f| f.is_finite()),
        small in any::<f32>().prop_filter("JSON has no others", |f| f.is_finite()),
        (note, pair, bytes) in any::<(Option<String>, (u8, i16), Vec<u8>)>(),
        tags in prop::collection::vec(any::<String>(), 0..4),
        map in prop::collection::btree_map(any::<String>(), any::<Option<i64>>(), 0..4),
        shapes in prop::collection::vec(shape(), 0..5),
        tree in tree(),
    ) -> Record {
        Record {
            id, name, delta, ratio, small, letter, flag, huge, note, tags, map, pair, unit: (), bytes,
            shapes, tree,
        }
    }
}

/// A codec under test, with a name for messages.
pub(crate) type Named<T> = (&'static str, Box<dyn Codec<T>>);

/// The formats.
pub(crate) fn formats<T: Serialize + DeserializeOwned + 'static>() -> Vec<Named<T>> {
    vec![
        ("json", Box::new(Json)),
        ("msgpack", Box::new(MsgPack)),
        ("postcard", Box::new(Postcard)),
        ("bincode", Box::new(Bincode)),
    ]
}

/// The formats, bare and within wrappers, one, two and three deep.
pub(crate) fn codecs<T: Serialize + DeserializeOwned + 'static>() -> Vec<Named<T>> {
    type Wrap<T> = fn(Box<dyn Codec<T>>) -> Box<dyn Codec<T>>;
    let wraps: [(&str, Wrap<T>); 7] = [
        ("bare", |c| c),
        ("versioned", |c| Box::new(Versioned::new(c, 3))),
        ("lz4", |c| {
            Box::new(Compressed::new(c, Algorithm::Lz4).threshold(0))
        }),
        ("zstd", |c| {
            Box::new(Compressed::new(c, Algorithm::zstd()).threshold(0))
        }),
        ("versioned zstd", |c| {
            Box::new(Versioned::new(
                Compressed::new(c, Algorithm::zstd()).threshold(64),
                3,
            ))
        }),
        ("lz4 versioned", |c| {
            Box::new(Compressed::new(Versioned::new(c, 3), Algorithm::Lz4).threshold(64))
        }),
        ("zstd versioned lz4", |c| {
            let inner = Versioned::new(Compressed::new(c, Algorithm::Lz4).threshold(0), 3);
            Box::new(Compressed::new(inner, Algorithm::zstd()).threshold(0))
        }),
    ];
    let wrapped = wraps.iter().flat_map(|(_, wrap)| {
        formats()
            .into_iter()
            .map(|(name, codec)| (name, wrap(codec)))
    });
    wrapped.collect()
}

/// All codecs of records, made once: compressors keep their contexts.
pub(crate) static RECORDS: LazyLock<Vec<Named<Record>>> = LazyLock::new(codecs);
