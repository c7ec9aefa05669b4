//! The codec of a simulated process: text, in one version of the type where the fleet has several.

use bytes::Bytes;
use memolock::codec::{Codec, CodecError, Text};

/// What stands between a value and its version.
const MARK: char = '@';

/// Text. With a version it passes over values of another version; those without one are everybody's.
#[derive(Debug, Clone, Copy)]
pub struct SimText(pub(crate) Option<u32>);

/// The version of a value, if it has one.
pub(crate) fn version(value: &str) -> Option<u32> {
    let (_, version) = value.rsplit_once(MARK)?;
    version.parse().ok()
}

/// Whether a process of this version reads a value.
pub(crate) fn reads(own: Option<u32>, value: &str) -> bool {
    own.is_none() || version(value).is_none_or(|version| Some(version) == own)
}

/// A value with its version, if there is one.
pub(crate) fn marked(value: String, version: Option<u32>) -> String {
    match version {
        Some(version) => format!("{value}{MARK}{version}"),
        None => value,
    }
}

/// The same without it.
pub(crate) fn plain(value: &str) -> &str {
    value.split(MARK).next().unwrap_or(value)
}

impl Codec<String> for SimText {
    fn encode(&self, value: &String) -> Result<Bytes, CodecError> {
        Text.encode(value)
    }

    fn decode(&self, bytes: &Bytes) -> Result<String, CodecError> {
        let value = Text.decode(bytes)?;
        match reads(self.0, &value) {
            true => Ok(value),
            false => Err(CodecError::stale("simulated", "another version")),
        }
    }

    fn name(&self) -> &'static str {
        "simulated"
    }
}
