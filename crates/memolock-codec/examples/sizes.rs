//! What each codec makes of one realistic value: size, and time to encode and to decode, JSON being 1.
//!
//! `cargo run --release -p memolock-codec --all-features --example sizes` prints a table.

use std::hint::black_box;
use std::time::{Duration, Instant};

use bytes::Bytes;
use memolock_codec::{
    Algorithm, Bincode, Codec, CodecError, Compressed, Json, MsgPack, Postcard, Versioned,
};
use serde::{Deserialize, Serialize};

/// Ten fields and twenty items, as a service might cache it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Basket {
    id: u64,
    customer: String,
    email: String,
    created_ms: u64,
    currency: String,
    total: f64,
    paid: bool,
    coupon: Option<String>,
    tags: Vec<String>,
    items: Vec<Item>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Item {
    sku: String,
    name: String,
    quantity: u32,
    price: f64,
    in_stock: bool,
}

fn basket() -> Basket {
    let names = [
        "sledge",
        "carrots",
        "ice pick",
        "rope",
        "lantern",
        "reindeer feed",
        "mittens",
    ];
    let item = |n: u32| Item {
        sku: format!("SKU-{:06}", n * 7919 % 1_000_000),
        name: names[n as usize % names.len()].to_owned(),
        quantity: 1 + n % 5,
        price: f64::from(n * 137 % 10_000) / 100.0,
        in_stock: !n.is_multiple_of(3),
    };
    Basket {
        id: 8_234_123_987,
        customer: "Kristoff Bjorgman".to_owned(),
        email: "kristoff@ice.example".to_owned(),
        created_ms: 1_763_000_123_456,
        currency: "NOK".to_owned(),
        total: 1234.56,
        paid: true,
        coupon: None,
        tags: vec!["winter".to_owned(), "express".to_owned()],
        items: (1..=20).map(item).collect(),
    }
}

/// A codec under measurement, and the best round of each kind so far.
struct Row {
    name: &'static str,
    codec: Box<dyn Codec<Basket>>,
    size: usize,
    encode: Duration,
    decode: Duration,
}

const ROUNDS: u32 = 60;
const CALLS: u32 = 300;

fn timed(mut call: impl FnMut()) -> Duration {
    let begun = Instant::now();
    (0..CALLS).for_each(|_| call());
    begun.elapsed() / CALLS
}

impl Row {
    fn new(name: &'static str, codec: impl Codec<Basket>) -> Self {
        Self {
            name,
            codec: Box::new(codec),
            size: 0,
            encode: Duration::MAX,
            decode: Duration::MAX,
        }
    }

    fn measure(&mut self, value: &Basket) -> Result<(), CodecError> {
        let stored: Bytes = self.codec.encode(value)?;
        assert_eq!(self.codec.decode(&stored)?, *value);
        self.size = stored.len();
        let encode = timed(|| drop(black_box(self.codec.encode(black_box(value)))));
        let decode = timed(|| drop(black_box(self.codec.decode(black_box(&stored)))));
        self.encode = self.encode.min(encode);
        self.decode = self.decode.min(decode);
        Ok(())
    }
}

fn main() -> Result<(), CodecError> {
    let value = basket();
    let zstd = |level| Algorithm::Zstd { level };
    let mut rows = [
        Row::new("`Json`", Json),
        Row::new("`MsgPack`", MsgPack),
        Row::new("`Postcard`", Postcard),
        Row::new("`Bincode`", Bincode),
        Row::new("`Versioned<Postcard>`", Versioned::new(Postcard, 1)),
        Row::new(
            "`Compressed<Json>`, LZ4",
            Compressed::new(Json, Algorithm::Lz4),
        ),
        Row::new("`Compressed<Json>`, zstd 1", Compressed::new(Json, zstd(1))),
        Row::new("`Compressed<Json>`, zstd 3", Compressed::new(Json, zstd(3))),
        Row::new(
            "`Compressed<MsgPack>`, LZ4",
            Compressed::new(MsgPack, Algorithm::Lz4),
        ),
        Row::new(
            "`Compressed<MsgPack>`, zstd 1",
            Compressed::new(MsgPack, zstd(1)),
        ),
        Row::new(
            "`Compressed<Postcard>`, LZ4",
            Compressed::new(Postcard, Algorithm::Lz4).threshold(0),
        ),
        Row::new(
            "`Compressed<Postcard>`, zstd 1",
            Compressed::new(Postcard, zstd(1)).threshold(0),
        ),
    ];
    // In turn, so that what else the machine does falls on all alike; the best of many rounds counts.
    for _ in 0..ROUNDS {
        for row in &mut rows {
            row.measure(&value)?;
        }
    }
    let [json, ..] = &rows;
    let (encode, decode, size) = (json.encode, json.decode, json.size);
    println!("| codec | encode | decode | size |\n|---|---|---|---|");
    for row in &rows {
        let ratio = |time: Duration, of: Duration| time.as_secs_f64() / of.as_secs_f64();
        #[allow(clippy::cast_precision_loss)] // Sizes of a few kilobytes.
        let relative = row.size as f64 / size as f64;
        println!(
            "| {} | {:.2} | {:.2} | {relative:.2} |",
            row.name,
            ratio(row.encode, encode),
            ratio(row.decode, decode),
        );
    }
    println!("\nJSON: encode {encode:.1?}, decode {decode:.1?}, {size} bytes.");
    Ok(())
}
