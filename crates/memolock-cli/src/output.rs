//! What goes to stdout: values as they are, JSON, tables. A reader that leaves early is no error.

use std::io::{self, ErrorKind, Write};
use std::time::Duration;

use serde::{Serialize, Serializer};

use crate::exit::Failure;

/// Writes bytes as they are.
pub(crate) fn bytes(bytes: &[u8]) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    let written = stdout.write_all(bytes).and_then(|()| stdout.flush());
    match written {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Failure::failed(format!("cannot write to stdout: {error}")))
        }
        // A reader that has left, such as `head`, has had enough.
        _ => Ok(()),
    }
}

/// Writes one JSON object, on a line of its own.
pub(crate) fn json(object: &impl Serialize) -> Result<(), Failure> {
    let mut line = serde_json::to_vec(object)
        .map_err(|error| Failure::failed(format!("cannot write JSON: {error}")))?;
    line.push(b'\n');
    bytes(&line)
}

/// Bytes in JSON: `value` where they are UTF-8, else `value_base64`.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Bytes {
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value_base64: Option<String>,
}

impl Bytes {
    pub(crate) fn new(bytes: &[u8]) -> Self {
        match std::str::from_utf8(bytes) {
            Ok(text) => Self {
                value: Some(text.to_owned()),
                value_base64: None,
            },
            Err(_) => Self {
                value: None,
                value_base64: Some(base64(bytes)),
            },
        }
    }
}

/// RFC 4648, with padding.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let byte = |i| u32::from(chunk.get(i).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for digit in 0..4 {
            let index = bits >> (18 - 6 * digit) & 63;
            match digit <= chunk.len() {
                true => text.push(char::from(DIGITS[index as usize])),
                false => text.push('='),
            }
        }
    }
    text
}

/// A duration in JSON: milliseconds, whole ones without a fraction.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Millis(pub(crate) Duration);

impl Serialize for Millis {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let micros = u64::try_from(self.0.as_micros()).unwrap_or(u64::MAX);
        match micros % 1000 {
            0 => serializer.serialize_u64(micros / 1000),
            // Exact below 2^53 microseconds, which is 285 years.
            _ => serializer.serialize_f64(micros as f64 / 1000.0),
        }
    }
}

/// A duration for people: `1.26 ms`, `112 ms`, `2.31 s`, `1h 5m`.
pub(crate) fn span(duration: Duration) -> String {
    let ms = duration.as_secs_f64() * 1000.0;
    match ms {
        0.0 => "0 ms".to_owned(),
        _ if ms < 9.995 => format!("{ms:.2} ms"),
        _ if ms < 99.95 => format!("{ms:.1} ms"),
        _ if ms < 999.5 => format!("{ms:.0} ms"),
        _ if ms < 9_995.0 => format!("{:.2} s", ms / 1000.0),
        _ if ms < 99_950.0 => format!("{:.1} s", ms / 1000.0),
        _ => humantime::format_duration(Duration::from_secs(duration.as_secs())).to_string(),
    }
}

/// A number with separators: `10,000`.
pub(crate) fn number(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A number and its noun, which takes an `s` unless there is one of it.
pub(crate) fn counted(n: u64, noun: &str) -> String {
    let plural = if n == 1 { "" } else { "s" };
    format!("{} {noun}{plural}", number(n))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_that_of_the_rfc() {
        for (plain, coded) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(base64(plain.as_bytes()), coded);
        }
        assert_eq!(base64(b"\xff\xfe\xfd\0"), "//79AA==");
    }

    #[test]
    fn bytes_are_text_where_they_can_be() {
        let json = |bytes| serde_json::to_string(&Bytes::new(bytes)).unwrap();
        assert_eq!(json(b"a\0"), r#"{"value":"a\u0000"}"#);
        assert_eq!(json(b"\xff"), r#"{"value_base64":"/w=="}"#);
    }

    #[test]
    fn milliseconds_have_a_fraction_only_where_there_is_one() {
        let json = |micros| serde_json::to_string(&Millis(Duration::from_micros(micros))).unwrap();
        assert_eq!(json(100_000), "100");
        assert_eq!(json(100_250), "100.25");
    }

    #[test]
    fn figures_are_short() {
        assert_eq!(number(0), "0");
        assert_eq!(number(999), "999");
        assert_eq!(number(1_234_567), "1,234,567");
        assert_eq!(counted(1, "task"), "1 task");
        assert_eq!(counted(2000, "key"), "2,000 keys");
        let of = |micros| span(Duration::from_micros(micros));
        assert_eq!(of(0), "0 ms");
        assert_eq!(of(1_256), "1.26 ms");
        assert_eq!(of(12_345), "12.3 ms");
        assert_eq!(of(112_345), "112 ms");
        assert_eq!(of(2_312_345), "2.31 s");
        assert_eq!(of(3_900_000_000), "1h 5m");
    }
}
