//! The trait that a format implements.

use std::sync::Arc;

use bytes::Bytes;

use crate::CodecError;

/// Turns values of type `T` into bytes and back.
///
/// One codec may serve many types; `dyn Codec<T>` works, and so do an `Arc` and a `Box` of it.
/// Neither method may panic, and `decode` least of all: anybody who can write to the store chooses
/// its argument.
pub trait Codec<T>: Send + Sync + 'static {
    /// The bytes that are stored and published for `value`. They may be empty.
    ///
    /// # Errors
    /// [`CodecErrorKind::Encode`](crate::CodecErrorKind::Encode) if this value has no such form. Its
    /// caller still gets the value; it is not stored.
    fn encode(&self, value: &T) -> Result<Bytes, CodecError>;

    /// The value of `bytes`. It takes [`Bytes`] so that a format that keeps them as they are
    /// need not copy.
    ///
    /// # Errors
    /// [`CodecErrorKind::Decode`](crate::CodecErrorKind::Decode) if the bytes are not of this format,
    /// or not a `T`; [`CodecErrorKind::Stale`](crate::CodecErrorKind::Stale) if they are well-formed
    /// but written for another version of `T`, which a caller takes for a miss.
    fn decode(&self, bytes: &Bytes) -> Result<T, CodecError>;

    /// The format's short name for reports: `json`.
    fn name(&self) -> &'static str;

    /// Where two values differ, for a check that a value comes back as it was: a short text that quotes no part of them.
    /// `None` if they are the same, or if this codec cannot tell.
    ///
    /// The default is `None`. The codecs over serde compare fields, variants and elements: floats by their bits,
    /// `Some(None)` apart from `None`, maps and sets without order.
    fn difference(&self, left: &T, right: &T) -> Option<String> {
        let _ = (left, right);
        None
    }
}

/// Whether `bytes`, which `codec` made of `value`, give the same value back.
///
/// Some formats write values that they cannot read (JSON the infinities, positional formats tagged enums), and others that
/// come back as something else (JSON `Some(None)` as `None`). The README has a table. It costs a decoding and two walks over
/// the value, so it is for tests and debug builds; `memolock` calls it there.
///
/// # Errors
/// What is lost, in one line that quotes no part of the value.
///
/// ```
/// # #[cfg(feature = "json")] {
/// use memolock_codec::{Codec, Json, check_round_trip};
///
/// let lost = Some(None::<u8>);
/// let bytes = Json.encode(&lost).unwrap();
/// let error = check_round_trip(&Json, &lost, &bytes).unwrap_err();
/// assert_eq!(error, "json reads it back as another value, which differs at the value");
/// # }
/// ```
pub fn check_round_trip<T, C: Codec<T> + ?Sized>(
    codec: &C,
    value: &T,
    bytes: &Bytes,
) -> Result<(), String> {
    let name = codec.name();
    let read = codec.decode(bytes);
    let read = read.map_err(|error| format!("{name} does not read it back: {error}"))?;
    match codec.difference(value, &read) {
        None => Ok(()),
        Some(place) => Err(format!(
            "{name} reads it back as another value, which differs at {place}"
        )),
    }
}

macro_rules! forward {
    ($pointer:ty) => {
        #[deny(clippy::missing_trait_methods)]
        impl<T, C: Codec<T> + ?Sized> Codec<T> for $pointer {
            fn encode(&self, value: &T) -> Result<Bytes, CodecError> {
                (**self).encode(value)
            }
            fn decode(&self, bytes: &Bytes) -> Result<T, CodecError> {
                (**self).decode(bytes)
            }
            fn name(&self) -> &'static str {
                (**self).name()
            }
            fn difference(&self, left: &T, right: &T) -> Option<String> {
                (**self).difference(left, right)
            }
        }
    };
}

forward!(Arc<C>);
forward!(Box<C>);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Text;

    #[test]
    fn a_codec_behind_a_pointer_is_a_codec() {
        fn round<C: Codec<String>>(codec: &C) {
            let bytes = codec.encode(&"x".to_owned()).unwrap();
            assert_eq!(codec.decode(&bytes), Ok("x".to_owned()));
            assert_eq!(codec.name(), "text");
        }
        let boxed: Box<dyn Codec<String>> = Box::new(Text);
        let shared: Arc<dyn Codec<String>> = Arc::new(Text);
        round(&boxed);
        round(&shared);
        round(&Text);
    }
}
