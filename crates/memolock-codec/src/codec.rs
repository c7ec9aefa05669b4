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
