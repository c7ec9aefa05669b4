//! Headers, thresholds and bombs, for each algorithm.

use super::*;
use crate::{CodecErrorKind, Raw};

fn algorithms() -> Vec<Algorithm> {
    vec![
        #[cfg(feature = "lz4")]
        Algorithm::Lz4,
        #[cfg(feature = "zstd")]
        Algorithm::zstd(),
        #[cfg(feature = "zstd")]
        Algorithm::Zstd { level: 99 },
    ]
}

fn each(test: impl Fn(Compressed<Raw>)) {
    for algorithm in algorithms() {
        test(Compressed::new(Raw, algorithm));
    }
}

fn compressible(length: usize) -> Bytes {
    b"kristoff ".iter().copied().cycle().take(length).collect()
}

/// Bytes that nothing compresses.
fn noise(length: usize) -> Bytes {
    let mut state = 1_u64;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[0]
    };
    std::iter::repeat_with(next).take(length).collect()
}

fn failed(codec: &Compressed<Raw>, bytes: &[u8]) -> CodecError {
    Codec::<Bytes>::decode(codec, &Bytes::copy_from_slice(bytes)).unwrap_err()
}

#[test]
fn below_the_threshold_values_are_stored_as_they_are() {
    each(|codec| {
        for (length, plain) in [(0, true), (1023, true), (1024, false), (100_000, false)] {
            let value = compressible(length);
            let stored = codec.encode(&value).unwrap();
            assert_eq!(stored[0] == PLAIN, plain, "{length}");
            assert_eq!(stored.len() == length + 1, plain, "{length}");
            assert_eq!(codec.decode(&stored), Ok(value));
        }
    });
}

#[test]
fn what_does_not_shrink_is_stored_as_it_is() {
    each(|codec| {
        let value = noise(10_000);
        let stored = codec.encode(&value).unwrap();
        assert_eq!((stored[0], stored.len()), (PLAIN, 10_001));
        assert_eq!(codec.decode(&stored), Ok(value));
    });
}

#[test]
fn what_could_not_be_read_back_is_not_compressed() {
    each(|codec| {
        let codec = codec.max_decoded(5000);
        let value = compressible(5001);
        let stored = codec.encode(&value).unwrap();
        assert_eq!(stored[0], PLAIN);
        assert_eq!(codec.decode(&stored), Ok(value));
    });
}

#[test]
fn a_bomb_is_an_error() {
    each(|codec| {
        let codec = codec.max_decoded(usize::MAX);
        let bomb = codec.encode(&Bytes::from(vec![0; 1 << 20])).unwrap();
        assert!(bomb.len() < 5000);
        let codec = codec.max_decoded((1 << 20) - 1);
        let error = failed(&codec, &bomb);
        assert_eq!(error.kind(), CodecErrorKind::Decode);
        assert_eq!(
            error.detail(),
            "1048576 bytes when decompressed, and 1048575 are allowed"
        );
    });
}

#[test]
fn every_cut_and_every_addition_is_an_error() {
    each(|codec| {
        let stored = codec.encode(&compressible(2000)).unwrap();
        for cut in 1..stored.len() {
            assert_eq!(
                failed(&codec, &stored[..cut]).kind(),
                CodecErrorKind::Decode
            );
        }
        let longer = [&stored[..], b"\0"].concat();
        assert_eq!(failed(&codec, &longer).kind(), CodecErrorKind::Decode);
        let twice = [&stored[..], &stored[1..]].concat();
        assert_eq!(failed(&codec, &twice).kind(), CodecErrorKind::Decode);
    });
}

#[test]
fn no_header_is_stale() {
    each(|codec| {
        for bytes in [b"".as_slice(), b"{}", b"\x03abc"] {
            assert!(failed(&codec, bytes).is_miss());
        }
    });
}

#[test]
fn contexts_serve_many_threads() {
    each(|codec| {
        std::thread::scope(|scope| {
            for length in 1000..1008 {
                let codec = &codec;
                scope.spawn(move || {
                    for extra in 0..50 {
                        let value = compressible(length + extra * 100);
                        let stored = codec.encode(&value).unwrap();
                        assert_eq!(codec.decode(&stored), Ok(value));
                    }
                });
            }
        });
    });
}

#[cfg(all(feature = "lz4", feature = "zstd"))]
#[test]
fn either_reads_what_the_other_wrote() {
    let (lz4, zstd) = (
        Compressed::new(Raw, Algorithm::Lz4),
        Compressed::new(Raw, Algorithm::zstd()),
    );
    let value = compressible(3000);
    assert_eq!(lz4.decode(&zstd.encode(&value).unwrap()), Ok(value.clone()));
    assert_eq!(zstd.decode(&lz4.encode(&value).unwrap()), Ok(value));
}

#[cfg(feature = "lz4")]
#[test]
fn lz4_cannot_claim_more_than_a_block_can_hold() {
    let codec = Compressed::new(Raw, Algorithm::Lz4);
    let error = failed(&codec, b"\x01\0\0\0\x01\x10a");
    assert_eq!(error.detail(), "a length that cannot be");
}

#[cfg(feature = "zstd")]
#[test]
fn zstd_cannot_claim_more_than_its_blocks_can_hold() {
    let codec = Compressed::new(Raw, Algorithm::zstd());
    // Magic, a single segment with four bytes of size, 16 MiB, one empty last block.
    let frame = b"\x02\x28\xb5\x2f\xfd\xa0\0\0\0\x01\x01\0\0";
    assert_eq!(failed(&codec, frame).detail(), "a length that cannot be");
}
