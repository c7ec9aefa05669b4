//! Compression of what another codec writes.

#[cfg(feature = "lz4")]
mod lz4;
#[cfg(feature = "zstd")]
mod zstd;

use bytes::Bytes;

use crate::{Codec, CodecError};

/// Compresses what another codec writes, where that pays.
///
/// Values below a threshold, and those that do not shrink, are stored as they are behind a header of one
/// byte. It reads what either algorithm wrote, if its feature is on, so algorithm, level and threshold can be
/// changed at any time. A header that it does not know is [stale](crate::CodecErrorKind::Stale):
/// it was written before compression was turned on, or by a program with other features.
///
/// What decompresses to more than [`max_decoded`](Compressed::max_decoded) bytes is refused before memory is
/// set aside for it, and so is a claim of a length that the bytes at hand cannot hold.
///
/// ```
/// # #[cfg(all(feature = "lz4", feature = "json"))] {
/// use memolock_codec::{Algorithm, Codec, Compressed, Json};
///
/// let codec = Compressed::new(Json, Algorithm::Lz4);
/// let value = vec!["a word or two".to_owned(); 1000];
/// let stored = codec.encode(&value).unwrap();
/// assert!(stored.len() < 200);
/// assert_eq!(codec.decode(&stored), Ok(value));
/// # }
/// ```
///
/// # Header
/// One byte: `0x00`, the other codec's bytes follow; `0x01`, then the length of those bytes (four bytes, least
/// significant first), then an LZ4 block of them (`lz4.block.decompress` of Python reads length and
/// block together); `0x02`, then one Zstandard frame that says its content's size, as every one-shot
/// compressor writes it.
#[derive(Debug)]
pub struct Compressed<C> {
    codec: C,
    algorithm: Algorithm,
    threshold: usize,
    max_decoded: usize,
    #[cfg(feature = "zstd")]
    contexts: zstd::Contexts,
}

/// How to compress. What was measured is in the crate's README.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Algorithm {
    /// LZ4: takes less time than to encode JSON. For values of a few kilobytes and for CPUs that are busy.
    #[cfg(feature = "lz4")]
    Lz4,
    /// Zstandard: a third smaller than LZ4, and four times as long to compress. For large values, slow networks and
    /// little memory in the store. See [`Algorithm::zstd`] for the level to begin with.
    #[cfg(feature = "zstd")]
    Zstd {
        /// From 1, fast, to 22, small; negative ones are faster yet. What is out of range is clamped.
        level: i32,
    },
}

impl Algorithm {
    /// Zstandard at level 1: a cache writes often, and higher levels take much longer for little.
    #[cfg(feature = "zstd")]
    #[must_use]
    pub const fn zstd() -> Self {
        Self::Zstd { level: 1 }
    }
}

const NAME: &str = "compressed";
const PLAIN: u8 = 0;
const LZ4: u8 = 1;
const ZSTD: u8 = 2;

impl<C> Compressed<C> {
    /// Compresses what `codec` writes by `algorithm`.
    #[must_use]
    pub fn new(codec: C, algorithm: Algorithm) -> Self {
        Self {
            codec,
            algorithm,
            threshold: 1024,
            max_decoded: 64 << 20,
            #[cfg(feature = "zstd")]
            contexts: zstd::Contexts::default(),
        }
    }

    /// From how many bytes on to compress. Default 1,024: a reply below that fits one network packet, so
    /// that making it smaller saves no time; it would save memory, in which case lower it.
    #[must_use]
    pub const fn threshold(mut self, bytes: usize) -> Self {
        self.threshold = bytes;
        self
    }

    /// The most bytes that a value may decompress to, against bombs: a few kilobytes can claim gigabytes.
    /// Default 64 MiB, far above what is sensibly kept in one key. Longer values are stored
    /// uncompressed, so that whatever is encoded can be decoded.
    #[must_use]
    pub const fn max_decoded(mut self, bytes: usize) -> Self {
        self.max_decoded = bytes;
        self
    }

    /// Header and compressed bytes; none where that is not shorter.
    fn compress(&self, plain: &[u8]) -> Result<Option<Vec<u8>>, CodecError> {
        let smaller = match self.algorithm {
            #[cfg(feature = "lz4")]
            Algorithm::Lz4 => lz4::compress(plain),
            #[cfg(feature = "zstd")]
            Algorithm::Zstd { level } => self.contexts.compress(plain, level),
        };
        let compressed = smaller.map_err(|why| CodecError::encode(NAME, why))?;
        Ok((compressed.len() <= plain.len()).then(|| {
            // Whoever keeps the value should not keep the room for the worst case too.
            let mut compressed = compressed;
            compressed.shrink_to_fit();
            compressed
        }))
    }
}

impl<T, C: Codec<T>> Codec<T> for Compressed<C> {
    fn encode(&self, value: &T) -> Result<Bytes, CodecError> {
        let plain = self.codec.encode(value)?;
        if (self.threshold..=self.max_decoded).contains(&plain.len())
            && let Some(compressed) = self.compress(&plain)?
        {
            return Ok(compressed.into());
        }
        Ok([[PLAIN].as_slice(), &plain].concat().into())
    }

    fn decode(&self, bytes: &Bytes) -> Result<T, CodecError> {
        let plain = match bytes.split_first() {
            Some((&PLAIN, _)) => return self.codec.decode(&bytes.slice(1..)),
            #[cfg(feature = "lz4")]
            Some((&LZ4, rest)) => lz4::decompress(rest, self.max_decoded),
            #[cfg(feature = "zstd")]
            Some((&ZSTD, rest)) => self.contexts.decompress(rest, self.max_decoded),
            #[cfg(not(feature = "lz4"))]
            Some((&LZ4, _)) => return Err(CodecError::stale(NAME, "LZ4, without its feature")),
            #[cfg(not(feature = "zstd"))]
            Some((&ZSTD, _)) => return Err(CodecError::stale(NAME, "zstd, without its feature")),
            _ => return Err(CodecError::stale(NAME, "no header")),
        };
        let plain = plain.map_err(|why| CodecError::decode(NAME, why))?;
        self.codec.decode(&plain.into())
    }

    /// That of the codec within.
    fn name(&self) -> &'static str {
        self.codec.name()
    }

    fn difference(&self, left: &T, right: &T) -> Option<String> {
        self.codec.difference(left, right)
    }
}

/// The length that a header claims, if it is allowed and if `most` bytes can come out of the input at all.
fn claimed(length: u64, most: usize, max_decoded: usize) -> Result<usize, String> {
    match usize::try_from(length) {
        Ok(length) if length <= max_decoded && length <= most => Ok(length),
        Ok(length) if length <= max_decoded => Err("a length that cannot be".to_owned()),
        _ => Err(format!(
            "{length} bytes when decompressed, and {max_decoded} are allowed"
        )),
    }
}

#[cfg(test)]
mod tests;
