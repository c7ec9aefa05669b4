//! The bytes of each format, pinned: what one release stores, the next must read, and peers in other
//! languages too. A change here is a change of what is in people's stores.

use bytes::Bytes;
use memolock_codec::{
    Algorithm, Bincode, Codec, Compressed, Json, MsgPack, Postcard, Raw, Text, Versioned,
};
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Sample {
    id: u32,
    name: String,
    delta: i16,
    ratio: f64,
    note: Option<String>,
    tags: Vec<bool>,
    kind: Kind,
    other: Kind,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum Kind {
    Plain,
    Sized { w: u8, h: u16 },
}

fn sample() -> Sample {
    Sample {
        id: 300,
        name: "Ää".to_owned(),
        delta: -2,
        ratio: 0.5,
        note: None,
        tags: vec![true, false],
        kind: Kind::Plain,
        other: Kind::Sized { w: 7, h: 1000 },
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(hex: &str) -> Bytes {
    let digits = hex.as_bytes().chunks(2);
    let byte = |pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.map(byte).collect()
}

/// It is written so, and what was written so is read.
fn pinned<T: PartialEq + std::fmt::Debug + 'static>(codec: &dyn Codec<T>, value: &T, bytes: &str) {
    assert_eq!(hex(&codec.encode(value).unwrap()), bytes);
    assert_eq!(codec.decode(&unhex(bytes)).as_ref(), Ok(value));
}

#[test]
fn json() {
    let text = r#"{"id":300,"name":"Ää","delta":-2,"ratio":0.5,"note":null,"tags":[true,false],"kind":"Plain","other":{"Sized":{"w":7,"h":1000}}}"#;
    pinned(&Json, &sample(), &hex(text.as_bytes()));
}

#[test]
fn msgpack() {
    pinned(
        &MsgPack,
        &sample(),
        "88a26964cd012ca46e616d65a4c384c3a4a564656c7461fea5726174696fcb3fe0000000000000a46e6f7465c0a47461677392c3c2a46b696e64a5506c61696ea56f7468657281a553697a656482a17707a168cd03e8",
    );
}

#[test]
fn postcard() {
    pinned(
        &Postcard,
        &sample(),
        "ac0204c384c3a403000000000000e03f00020100000107e807",
    );
}

#[test]
fn bincode() {
    pinned(
        &Bincode,
        &sample(),
        "fb2c0104c384c3a403000000000000e03f00020100000107fbe803",
    );
}

#[test]
fn text_and_raw() {
    pinned(&Text, &"Ä".to_owned(), "c384");
    pinned(&Raw, &b"\0\xff".to_vec(), "00ff");
}

#[test]
fn versioned() {
    pinned(&Versioned::new(Text, 1), &"x".to_owned(), "c10100000078");
    pinned(
        &Versioned::new(Text, u32::MAX - 1),
        &String::new(),
        "c1feffffff",
    );
}

/// Of compressed bytes only the header and how they are read is pinned: compressors may find better ways.
#[test]
fn compressed() {
    let run = "ab".repeat(50);
    let lz4 = Compressed::new(Text, Algorithm::Lz4).threshold(9);
    let zstd = Compressed::new(Text, Algorithm::zstd()).threshold(9);
    for codec in [&lz4, &zstd] {
        pinned(codec, &"x".to_owned(), "0078");
        for stored in [
            "01640000002f616202004960616261626162", // lz4_flex 0.14
            "01640000002f616202004a506261626162",   // Python's lz4 4, lz4.block.compress
            "0228b52ffd20644500001061620100dfe4b0", // Python's zstandard 0.25, level 1
        ] {
            assert_eq!(codec.decode(&unhex(stored)).as_ref(), Ok(&run));
        }
    }
    assert_eq!(hex(&lz4.encode(&run).unwrap()[..5]), "0164000000");
    assert_eq!(hex(&zstd.encode(&run).unwrap()[..5]), "0228b52ffd");
}
