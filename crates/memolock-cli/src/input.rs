//! Standard input, as a whole.

use std::io::{self, Read};

use bytes::Bytes;

use crate::exit::Failure;
use crate::values::MAX_VALUE_BYTES;

/// Reads it to its end.
pub(crate) fn read() -> Result<Bytes, Failure> {
    at_most(MAX_VALUE_BYTES, io::stdin().lock())
        .map_err(|error| Failure::failed(format!("cannot read stdin: {error}")))?
        .ok_or_else(|| {
            Failure::failed("stdin holds more than 512 MiB, the most that a server can store")
        })
}

/// `None` where there is more.
fn at_most(bytes: usize, source: impl Read) -> io::Result<Option<Bytes>> {
    let mut read = Vec::new();
    source.take(bytes as u64 + 1).read_to_end(&mut read)?;
    Ok((read.len() <= bytes).then(|| read.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_is_bounded() {
        let read = |bytes: &[u8]| at_most(3, bytes).unwrap();
        assert_eq!(read(b"").as_deref(), Some(&b""[..]));
        assert_eq!(read(b"abc").as_deref(), Some(&b"abc"[..]));
        assert_eq!(read(b"abcd"), None);
    }
}
