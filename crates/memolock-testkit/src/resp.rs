//! RESP2, as much of it as tests need: values, their encoding and their decoding.

use std::fmt;

use crate::ServerError;

/// Deeper nesting than any reply has; keeps a hostile peer from exhausting the stack.
const MAX_DEPTH: usize = 32;

/// A reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// No value.
    Nil,
    /// A number.
    Integer(i64),
    /// A word such as `OK`.
    Status(String),
    /// A string of bytes.
    Bytes(Vec<u8>),
    /// An error inside an array; on its own it is [`ServerError::Refused`].
    Error(String),
    /// Several.
    Array(Vec<Value>),
}

impl Value {
    /// The bytes of a string or a word.
    #[must_use]
    pub fn as_bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Bytes(bytes) => Some(bytes),
            Self::Status(word) => Some(word.as_bytes()),
            _ => None,
        }
    }

    /// The text of a string or a word, where it is UTF-8.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        self.as_bytes()
            .and_then(|bytes| std::str::from_utf8(bytes).ok())
    }

    /// The number.
    #[must_use]
    pub fn as_int(&self) -> Option<i64> {
        match self {
            Self::Integer(number) => Some(*number),
            _ => None,
        }
    }

    /// Whether there is no value.
    #[must_use]
    pub fn is_nil(&self) -> bool {
        *self == Self::Nil
    }

    /// The elements of an array; none for anything else.
    #[must_use]
    pub fn items(&self) -> &[Value] {
        match self {
            Self::Array(items) => items,
            _ => &[],
        }
    }
}

/// As `redis-cli` would, one element a line.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nil => f.write_str("(nil)"),
            Self::Integer(number) => write!(f, "{number}"),
            Self::Status(word) => f.write_str(word),
            Self::Bytes(bytes) => f.write_str(&String::from_utf8_lossy(bytes)),
            Self::Error(message) => write!(f, "(error) {message}"),
            Self::Array(items) => {
                for (i, item) in items.iter().enumerate() {
                    let newline = if i == 0 { "" } else { "\n" };
                    write!(f, "{newline}{item}")?;
                }
                Ok(())
            }
        }
    }
}

impl PartialEq<str> for Value {
    fn eq(&self, other: &str) -> bool {
        self.as_bytes() == Some(other.as_bytes())
    }
}

impl PartialEq<&str> for Value {
    fn eq(&self, other: &&str) -> bool {
        *self == **other
    }
}

/// A command on the wire.
pub(crate) fn encode<A: AsRef<[u8]>>(args: &[A]) -> Vec<u8> {
    let mut out = format!("*{}\r\n", args.len()).into_bytes();
    for arg in args {
        let arg = arg.as_ref();
        out.extend_from_slice(format!("${}\r\n", arg.len()).as_bytes());
        out.extend_from_slice(arg);
        out.extend_from_slice(b"\r\n");
    }
    out
}

/// The first value in `input` and how many bytes it took; `None` if more must be read.
pub(crate) fn decode(input: &[u8]) -> Result<Option<(Value, usize)>, ServerError> {
    let mut reader = Reader { input, at: 0 };
    Ok(reader.value(MAX_DEPTH)?.map(|value| (value, reader.at)))
}

struct Reader<'a> {
    input: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn value(&mut self, depth: usize) -> Result<Option<Value>, ServerError> {
        let Some(line) = self.line() else {
            return Ok(None);
        };
        let (Some(kind), Some(rest)) = (line.first(), line.get(1..)) else {
            return Err(ServerError::Malformed("an empty line".into()));
        };
        let text = || String::from_utf8_lossy(rest).into_owned();
        match kind {
            b'+' => Ok(Some(Value::Status(text()))),
            b'-' => Ok(Some(Value::Error(text()))),
            b':' => Ok(Some(Value::Integer(number(rest)?))),
            b'$' => match length(rest)? {
                Some(length) => Ok(self.bytes(length)),
                None => Ok(Some(Value::Nil)),
            },
            b'*' if depth == 0 => Err(ServerError::Malformed("arrays nested too deep".into())),
            b'*' => match length(rest)? {
                Some(length) => self.array(length, depth - 1),
                None => Ok(Some(Value::Nil)),
            },
            _ => Err(ServerError::Malformed(format!(
                "{:?}",
                String::from_utf8_lossy(line)
            ))),
        }
    }

    fn array(&mut self, length: usize, depth: usize) -> Result<Option<Value>, ServerError> {
        let mut items = Vec::new();
        for _ in 0..length {
            match self.value(depth)? {
                Some(item) => items.push(item),
                None => return Ok(None),
            }
        }
        Ok(Some(Value::Array(items)))
    }

    fn bytes(&mut self, length: usize) -> Option<Value> {
        let end = self.at.checked_add(length)?;
        let bytes = self.input.get(self.at..end)?.to_vec();
        self.at = end.checked_add(2).filter(|at| *at <= self.input.len())?;
        Some(Value::Bytes(bytes))
    }

    fn line(&mut self) -> Option<&'a [u8]> {
        let rest = &self.input[self.at..];
        let end = rest.windows(2).position(|pair| pair == b"\r\n")?;
        self.at += end + 2;
        Some(&rest[..end])
    }
}

fn number(digits: &[u8]) -> Result<i64, ServerError> {
    let text = String::from_utf8_lossy(digits);
    text.parse()
        .map_err(|_| ServerError::Malformed(format!("{text:?} is no number")))
}

/// The length of a string or an array; `None` where it is nil.
fn length(digits: &[u8]) -> Result<Option<usize>, ServerError> {
    let number = number(digits)?;
    match usize::try_from(number) {
        Ok(length) => Ok(Some(length)),
        Err(_) if number == -1 => Ok(None),
        Err(_) => Err(ServerError::Malformed(format!("a length of {number}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(input: &[u8]) -> Value {
        let (value, used) = decode(input).unwrap().expect("a whole value");
        assert_eq!(used, input.len());
        value
    }

    #[test]
    fn every_kind_is_read() {
        assert_eq!(whole(b"+OK\r\n"), "OK");
        assert_eq!(whole(b":-3\r\n").as_int(), Some(-3));
        assert_eq!(whole(b"$0\r\n\r\n"), "");
        assert!(whole(b"$-1\r\n").is_nil() && whole(b"*-1\r\n").is_nil());
        let nested = whole(b"*3\r\n:1\r\n*1\r\n$4\r\na\r\nb\r\n-ERR no\r\n");
        assert_eq!(nested.items()[1].items()[0], "a\r\nb");
        assert_eq!(nested.items()[2], Value::Error("ERR no".into()));
        assert_eq!(nested.to_string(), "1\na\r\nb\n(error) ERR no");
    }

    #[test]
    fn every_prefix_asks_for_more() {
        let input = b"*2\r\n$3\r\nfoo\r\n:12\r\n";
        for end in 0..input.len() {
            assert_eq!(decode(&input[..end]), Ok(None), "{end}");
        }
    }

    #[test]
    fn nonsense_is_an_error() {
        for input in [&b"?\r\n"[..], b"\r\n", b":x\r\n", b"$-2\r\n", b"$9x\r\n"] {
            assert!(decode(input).is_err(), "{input:?}");
        }
        assert!(decode(&b"*1\r\n".repeat(MAX_DEPTH + 2)).is_err());
        assert_eq!(decode(format!("${}\r\n", i64::MAX).as_bytes()), Ok(None));
    }

    #[test]
    fn commands_are_arrays_of_strings() {
        assert_eq!(
            encode(&["GET", "ü"]),
            "*2\r\n$3\r\nGET\r\n$2\r\nü\r\n".as_bytes()
        );
    }
}
