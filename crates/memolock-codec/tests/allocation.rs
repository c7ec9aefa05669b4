//! What decoding allocates is bounded by the bytes at hand, and not by what they claim.
//!
//! One test alone in its program: the allocator counts for all threads.
#![cfg(all(
    feature = "json",
    feature = "msgpack",
    feature = "postcard",
    feature = "bincode",
    feature = "lz4",
    feature = "zstd"
))]

use std::alloc::System;
use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use memolock_codec::{Algorithm, Bincode, Codec, Compressed, MsgPack, Postcard, Raw};
use serde::{Deserialize, Serialize};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Room for errors, contexts and the test harness.
const SLACK: usize = 64 << 10;

#[derive(Serialize, Deserialize)]
struct Tree {
    _kids: Vec<Tree>,
    _page: [u64; 8],
}

/// All that was allocated while decoding, freed or not: more than was ever held at a time.
fn allocated<T>(codec: &dyn Codec<T>, bytes: &Bytes) -> usize
where
    T: 'static,
{
    let region = Region::new(ALLOCATOR);
    drop(codec.decode(bytes));
    let change = region.change();
    change.bytes_allocated + usize::try_from(change.bytes_reallocated).unwrap_or(0)
}

/// Decodes as types whose elements are large, so that a length that is believed costs much.
fn formats(what: &str, bytes: &[u8]) {
    fn each<T: Serialize + serde::de::DeserializeOwned + 'static>(what: &str, bytes: &Bytes) {
        let codecs: [&dyn Codec<T>; 3] = [&MsgPack, &Postcard, &Bincode];
        for codec in codecs {
            // An element takes a byte or more; none of these takes more than 256 in memory, and a
            // collection that grows has twice that, and was half of it before.
            let most = bytes.len() * 256 * 4 + SLACK;
            let got = allocated(codec, bytes);
            let (name, kind) = (codec.name(), std::any::type_name::<T>());
            assert!(got <= most, "{name}, {what}, {kind}: {got} of {most}");
        }
    }
    let bytes = Bytes::copy_from_slice(bytes);
    each::<Vec<u64>>(what, &bytes);
    each::<Vec<[u64; 16]>>(what, &bytes);
    each::<Vec<Vec<Vec<Vec<String>>>>>(what, &bytes);
    each::<Vec<Tree>>(what, &bytes);
    each::<HashMap<u64, [u64; 8]>>(what, &bytes);
    each::<BTreeMap<String, Vec<u8>>>(what, &bytes);
    each::<String>(what, &bytes);
    each::<Box<[u8]>>(what, &bytes);
    each::<(String, Vec<Option<String>>)>(what, &bytes);
}

fn compressed(what: &str, bytes: &[u8], most: usize) {
    let bytes = Bytes::copy_from_slice(bytes);
    for algorithm in [Algorithm::Lz4, Algorithm::zstd()] {
        let codec = Compressed::new(Raw, algorithm);
        let got = allocated::<Bytes>(&codec, &bytes);
        assert!(got <= most + SLACK, "{what}: {got} of {most}");
    }
}

#[test]
fn lengths_that_lie_cost_nothing() {
    // Lengths near 2^64 or 2^32, as the formats write them, once and in rows.
    for length in [
        b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01".as_slice(),
        b"\xff\xff\xff\xff\x0f",
        b"\x80\x80\x80\x01",
        b"\xfd\xff\xff\xff\xff\xff\xff\xff\x7f",
        b"\xfc\xff\xff\xff\x7f",
        b"\xdd\xff\xff\xff\xff",
        b"\xdf\xff\xff\xff\xff",
        b"\xdb\xff\xff\xff\xff",
        b"\xc6\xff\xff\xff\xff",
        b"\xc9\xff\xff\xff\xff\x01",
    ] {
        for times in [1, 2, 3, 60, 1000] {
            formats("a length", &length.repeat(times));
            formats(
                "a length and a byte",
                &[&length.repeat(times), b"\x01".as_slice()].concat(),
            );
        }
    }

    // A length of 64 MiB, which is allowed, and the few bytes that cannot hold it.
    compressed("lz4", b"\x01\0\0\0\x04\x1fa\x01\0\xff\xff", 0);
    compressed("zstd", b"\x02\x28\xb5\x2f\xfd\xa0\0\0\0\x04\x01\0\0", 0);
    // More than is allowed, in bytes that could hold it.
    let bomb = Compressed::new(Raw, Algorithm::zstd()).max_decoded(usize::MAX);
    let bomb = bomb.encode(&Bytes::from(vec![0; 65 << 20])).unwrap();
    assert!(bomb.len() < 10_000);
    compressed("zstd bomb", &bomb, 0);
    // 2^63 bytes, and a window of 2^41.
    compressed(
        "zstd size",
        b"\x02\x28\xb5\x2f\xfd\xe0\0\0\0\0\0\0\0\x80\x01\0\0",
        0,
    );
    compressed(
        "zstd window",
        b"\x02\x28\xb5\x2f\xfd\x80\xf8\x10\0\0\0\x01\0\0",
        0,
    );

    // Random bytes, and random bytes behind a header.
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    for round in 0..20_000 {
        let bytes: Vec<u8> = (0..round % 97).map(|_| next()).collect();
        formats("noise", &bytes);
        if round % 10 == 0 {
            // No more than LZ4 or a frame of this length could hold.
            let most = bytes.len().div_ceil(4) * (128 << 10);
            compressed("noise", &bytes, most);
            for header in [b"\x01\0\0\0\x02".as_slice(), b"\x02\x28\xb5\x2f\xfd"] {
                compressed("noise", &[header, &bytes].concat(), most);
            }
        }
    }
}
