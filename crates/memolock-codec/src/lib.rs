//! Codecs of [memolock](https://docs.rs/memolock): typed values to bytes and back.
//!
//! A [`Codec`] decides what other programs find in the store. This crate never does IO, and its
//! decoders never panic, whatever the bytes: they come from a place that others can write to.
//!
//! | codec | stores | for |
//! |---|---|---|
//! | [`Json`] (feature `json`, default) | JSON text | everything; peers in other languages read it |
//! | [`Text`] | the string's UTF-8 bytes | strings, as the ancestors of 2019 stored them |
//! | [`Raw`] | the bytes themselves | values that are encoded already |
//! | `MsgPack` (feature `msgpack`) | MessagePack, fields by name | as JSON, smaller and faster |
//! | `Postcard` (feature `postcard`) | postcard, fields by position | stores that only Rust reads |
//! | `Bincode` (feature `bincode`) | bincode 2, which is unmaintained | stores that hold it already |
//!
//! Wrappers compose with any of them: [`Versioned`] makes another version's bytes a miss, and `Compressed`
//! (features `lz4`, `zstd`) compresses from a threshold on. `Versioned::new(Compressed::new(Postcard, …), 1)` looks
//! at the version first.
//!
//! # Example
//!
//! ```
//! # #[cfg(feature = "json")] {
//! use memolock_codec::{Codec, Json, Raw, Text};
//! use bytes::Bytes;
//!
//! let stored = Json.encode(&vec![1, 2, 3]).unwrap();
//! assert_eq!(stored, Bytes::from("[1,2,3]"));
//! let value: Vec<i32> = Json.decode(&stored).unwrap();
//! assert_eq!(value, [1, 2, 3]);
//!
//! assert_eq!(Text.encode(&"plain".to_owned()).unwrap(), "plain");
//!
//! // What does not decode is an error of one line that never quotes the value.
//! let error = Codec::<u32>::decode(&Json, &Bytes::from(r#""secret""#)).unwrap_err();
//! assert!(!error.to_string().contains("secret"));
//!
//! // Raw bytes are neither copied nor looked at.
//! let page: Bytes = Raw.decode(&stored).unwrap();
//! assert_eq!(page.as_ptr(), stored.as_ptr());
//! # }
//! ```
//!
//! # A codec of your own
//!
//! ```
//! use bytes::Bytes;
//! use memolock_codec::{Codec, CodecError};
//!
//! /// Counters as eight bytes, least significant first.
//! struct Counter;
//!
//! impl Codec<u64> for Counter {
//!     fn encode(&self, value: &u64) -> Result<Bytes, CodecError> {
//!         Ok(Bytes::copy_from_slice(&value.to_le_bytes()))
//!     }
//!     fn decode(&self, bytes: &Bytes) -> Result<u64, CodecError> {
//!         let eight = bytes.as_ref().try_into();
//!         let eight = eight.map_err(|_| CodecError::decode("counter", "not eight bytes"))?;
//!         Ok(u64::from_le_bytes(eight))
//!     }
//!     fn name(&self) -> &'static str {
//!         "counter"
//!     }
//! }
//!
//! assert_eq!(Counter.decode(&Counter.encode(&7).unwrap()), Ok(7));
//! ```

#[cfg(feature = "bincode")]
mod bincode;
mod codec;
#[cfg(any(feature = "lz4", feature = "zstd"))]
mod compressed;
#[cfg(any(
    feature = "json",
    feature = "msgpack",
    feature = "postcard",
    feature = "bincode"
))]
mod detail;
mod error;
#[cfg(any(feature = "msgpack", feature = "postcard", feature = "bincode"))]
mod guard;
#[cfg(feature = "json")]
mod json;
#[cfg(feature = "msgpack")]
mod msgpack;
#[cfg(feature = "postcard")]
mod postcard;
mod raw;
#[cfg(any(
    feature = "json",
    feature = "msgpack",
    feature = "postcard",
    feature = "bincode"
))]
mod same;
mod text;
mod versioned;

#[cfg(feature = "bincode")]
pub use bincode::Bincode;
pub use codec::{Codec, check_round_trip};
#[cfg(any(feature = "lz4", feature = "zstd"))]
pub use compressed::{Algorithm, Compressed};
pub use error::{CodecError, CodecErrorKind, MAX_DETAIL_BYTES};
#[cfg(any(feature = "msgpack", feature = "postcard", feature = "bincode"))]
pub use guard::{MAX_DEPTH, MAX_EMPTY_ELEMENTS};
#[cfg(feature = "json")]
pub use json::Json;
#[cfg(feature = "msgpack")]
pub use msgpack::MsgPack;
#[cfg(feature = "postcard")]
pub use postcard::Postcard;
pub use raw::Raw;
pub use text::Text;
pub use versioned::Versioned;

/// The README's example is a test too.
#[cfg(all(doctest, feature = "json"))]
#[doc = include_str!("../README.md")]
struct Readme;
