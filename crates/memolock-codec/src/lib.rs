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

mod codec;
mod error;
#[cfg(feature = "json")]
mod json;
mod raw;
mod text;

pub use codec::Codec;
pub use error::{CodecError, CodecErrorKind, MAX_DETAIL_BYTES};
#[cfg(feature = "json")]
pub use json::Json;
pub use raw::Raw;
pub use text::Text;

/// The README's example is a test too.
#[cfg(all(doctest, feature = "json"))]
#[doc = include_str!("../README.md")]
struct Readme;
