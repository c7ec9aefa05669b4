//! Codecs: a value of ten fields and twenty items, encoded and decoded.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use memolock::codec::{Algorithm, Codec, Compressed, Json, MsgPack, Postcard, Versioned};
use memolock_benches::brief::brief;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Order {
    id: u64,
    customer: String,
    email: String,
    placed_ms: u64,
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
}

fn order() -> Order {
    let item = |number: u32| Item {
        sku: format!("SKU-{number:06}"),
        name: format!("thing number {number}"),
        quantity: 1 + number % 5,
        price: f64::from(number * 137) / 100.0,
    };
    Order {
        id: 8_234_123_987,
        customer: "Kristoff Bjorgman".to_owned(),
        email: "kristoff@ice.example".to_owned(),
        placed_ms: 1_763_000_123_456,
        currency: "NOK".to_owned(),
        total: 1234.5,
        paid: true,
        coupon: None,
        tags: vec!["winter".to_owned(), "sledge".to_owned()],
        items: (0..20).map(item).collect(),
    }
}

fn codec(criterion: &mut Criterion) {
    let codecs: [(&str, Box<dyn Codec<Order>>); 4] = [
        ("json", Box::new(Json)),
        ("msgpack", Box::new(MsgPack)),
        ("postcard, versioned", Box::new(Versioned::new(Postcard, 1))),
        ("json, lz4", Box::new(Compressed::new(Json, Algorithm::Lz4))),
    ];
    let order = order();
    for (name, codec) in &codecs {
        let bytes = codec.encode(&order).expect("it has such a form");
        let again = codec.decode(&bytes).expect("it was just encoded");
        assert_eq!(again, order, "{name}");
        let mut group = criterion.benchmark_group(format!("codec/{name}"));
        group.throughput(Throughput::Bytes(bytes.len() as u64));
        group.bench_function("encode", |bencher| bencher.iter(|| codec.encode(&order)));
        group.bench_function("decode", |bencher| bencher.iter(|| codec.decode(&bytes)));
    }
}

criterion_group! { name = benches; config = brief(); targets = codec }
criterion_main!(benches);
