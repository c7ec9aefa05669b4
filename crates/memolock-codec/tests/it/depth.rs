//! Nesting is bounded before the stack is, in debug builds too: test threads have 2 MiB of it.

use bytes::Bytes;
use memolock_codec::{Bincode, Codec, MsgPack, Postcard};
use serde::{Deserialize, Serialize};

use crate::common::{Link, Tree, formats};

#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum Nest {
    End,
    In(Box<Nest>),
    Deep { inner: Option<Box<Nest>> },
}

/// As much as one level may take of the stack.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
struct Wide {
    texts: (String, String, String, String, String, String),
    numbers: [u64; 16],
    options: (Option<String>, Option<u64>, Option<[u64; 4]>),
    kids: Vec<Wide>,
}

/// A type that no format can hold: to MessagePack it is an option within itself, without end and
/// without a byte in between.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Bottomless(Option<Box<Bottomless>>);

fn too_deep<T: std::fmt::Debug + 'static>(codec: &dyn Codec<T>, bytes: Vec<u8>) {
    let error = codec.decode(&Bytes::from(bytes)).unwrap_err();
    assert_eq!(error.detail(), "nested too deep");
}

#[test]
fn bottomless_bytes_are_an_error() {
    const MANY: usize = 1 << 20;
    too_deep::<Tree>(&Postcard, vec![1; MANY]);
    too_deep::<Tree>(&Bincode, vec![1; MANY]);
    too_deep::<Nest>(&Postcard, vec![1; MANY]);
    too_deep::<Nest>(&Bincode, vec![1; MANY]);
    let wide = b"\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01";
    too_deep::<Wide>(&Postcard, wide.repeat(1000));
    too_deep::<Wide>(&Bincode, wide.repeat(1000));
    too_deep::<Bottomless>(&Postcard, vec![1; MANY]);
    too_deep::<Bottomless>(&Bincode, vec![1; MANY]);
    too_deep::<Bottomless>(&MsgPack, vec![1]);
    too_deep::<Tree>(&MsgPack, b"\x81\xa4kids\x91".repeat(MANY / 8));
    too_deep::<Nest>(&MsgPack, b"\x81\xa2In".repeat(MANY / 8));
    // Fields that the type does not have are skipped, which recurses as well.
    too_deep::<Tree>(
        &MsgPack,
        [b"\x81\xa1x".as_slice(), &vec![0x91; MANY]].concat(),
    );
}

#[test]
fn sensible_nesting_comes_back() {
    let mut tree = Tree {
        kids: vec![],
        next: None,
    };
    for level in 0..31 {
        // A level takes two to three of the 128: struct and sequence, or struct, option and newtype.
        tree = match level % 2 {
            0 => Tree {
                kids: vec![tree],
                next: None,
            },
            _ => Tree {
                kids: vec![],
                next: Some(Box::new(Link(tree))),
            },
        };
    }
    for (name, codec) in formats::<Tree>() {
        assert_eq!(
            codec.decode(&codec.encode(&tree).unwrap()).as_ref(),
            Ok(&tree),
            "{name}"
        );
    }
    let nest = (0..60).fold(Nest::End, |nest, _| Nest::In(Box::new(nest)));
    for (name, codec) in formats::<Nest>() {
        assert_eq!(
            codec.decode(&codec.encode(&nest).unwrap()).as_ref(),
            Ok(&nest),
            "{name}"
        );
    }
}
