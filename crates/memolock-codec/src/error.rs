//! Errors of codecs: one line, and never a part of the value.

use std::fmt;

/// The longest detail that a [`CodecError`] keeps, in bytes: 256. It is for people who read logs.
pub const MAX_DETAIL_BYTES: usize = 256;

/// What went wrong between a value and its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CodecErrorKind {
    /// The value cannot be put into this format.
    Encode,
    /// The bytes are not of this format, or not a value of the type that was asked for.
    Decode,
    /// The bytes are sound and were written for another version of the type, as happens while a
    /// new release is rolled out. To callers this is a miss and not an error.
    Stale,
}

/// Why a value could not be encoded or decoded.
///
/// Its text is one line, fit for a log: authors of codecs put nothing of the value into `detail`,
/// because a value may be a secret and a log seldom is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CodecError {
    kind: CodecErrorKind,
    format: &'static str,
    detail: String,
}

impl CodecError {
    /// A value that has no such form. `format` is the codec's name, and `detail` what its library
    /// said, without any part of the value; may be empty.
    #[must_use]
    pub fn encode(format: &'static str, detail: impl Into<String>) -> Self {
        Self::new(CodecErrorKind::Encode, format, detail.into())
    }

    /// Bytes that are no value of the type. Arguments as for [`encode`](CodecError::encode).
    #[must_use]
    pub fn decode(format: &'static str, detail: impl Into<String>) -> Self {
        Self::new(CodecErrorKind::Decode, format, detail.into())
    }

    /// Bytes of another version. Arguments as for [`encode`](CodecError::encode).
    #[must_use]
    pub fn stale(format: &'static str, detail: impl Into<String>) -> Self {
        Self::new(CodecErrorKind::Stale, format, detail.into())
    }

    fn new(kind: CodecErrorKind, format: &'static str, mut detail: String) -> Self {
        let mut cut = detail.len().min(MAX_DETAIL_BYTES);
        while !detail.is_char_boundary(cut) {
            cut -= 1;
        }
        detail.truncate(cut);
        Self {
            kind,
            format,
            detail: detail.replace(char::is_control, " "),
        }
    }

    /// What went wrong.
    #[must_use]
    pub fn kind(&self) -> CodecErrorKind {
        self.kind
    }

    /// The codec's name.
    #[must_use]
    pub fn format(&self) -> &'static str {
        self.format
    }

    /// What the codec's library said; may be empty.
    #[must_use]
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// Whether to treat what was found as if nothing had been found.
    #[must_use]
    pub fn is_miss(&self) -> bool {
        self.kind == CodecErrorKind::Stale
    }
}

impl fmt::Display for CodecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let format = self.format;
        match self.kind {
            CodecErrorKind::Encode => write!(f, "cannot encode the value as {format}")?,
            CodecErrorKind::Decode => {
                write!(f, "what is stored does not decode as {format} of this type")?;
            }
            CodecErrorKind::Stale => write!(f, "what is stored is {format} of another version")?,
        }
        match self.detail.as_str() {
            "" => Ok(()),
            detail => write!(f, " ({detail})"),
        }
    }
}

impl std::error::Error for CodecError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_is_one_short_line() {
        let error = CodecError::decode("json", "a\nb\u{1b}");
        assert_eq!(
            error.to_string(),
            "what is stored does not decode as json of this type (a b )"
        );
        let bare = CodecError::encode("text", "");
        assert_eq!(bare.to_string(), "cannot encode the value as text");
        let long = CodecError::encode("json", "ü".repeat(9000));
        assert!(long.detail().len() <= MAX_DETAIL_BYTES && long.detail().ends_with('ü'));
    }

    #[test]
    fn only_another_version_is_a_miss() {
        assert!(CodecError::stale("versioned", "2, not 3").is_miss());
        assert!(!CodecError::decode("json", "").is_miss());
        assert!(!CodecError::encode("json", "").is_miss());
    }
}
