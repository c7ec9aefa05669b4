//! fred's frames and values, as replies.

use bytes::Bytes;
use fred::interfaces::Resp3Frame as Frame;
use fred::types::Value;
use memolock_core::redis::{Fault, Reply};

/// An answer in the terms of every adapter. An error reply is an error.
pub(crate) fn of_frame(frame: Frame) -> Result<Reply, Fault> {
    Ok(match frame {
        Frame::Null => Reply::Nil,
        Frame::Number { data, .. } => Reply::Int(data),
        Frame::BlobString { data, .. }
        | Frame::SimpleString { data, .. }
        | Frame::VerbatimString { data, .. } => Reply::Bytes(data),
        Frame::SimpleError { data, .. } => return Err(Fault::answered(&data)),
        Frame::BlobError { data, .. } => {
            return Err(Fault::answered(&String::from_utf8_lossy(&data)));
        }
        Frame::Array { data, .. } => {
            let items: Result<_, _> = data.into_iter().map(of_frame).collect();
            Reply::Array(items?)
        }
        Frame::Set { .. } => Reply::Other("a set"),
        Frame::Map { data, .. } => {
            let pairs = data.into_iter();
            let pairs = pairs.map(|(a, b)| Ok((of_frame(a)?, of_frame(b)?)));
            Reply::Map(pairs.collect::<Result<_, Fault>>()?)
        }
        Frame::Push { .. } => Reply::Other("a push"),
        _ => Reply::Other("something else"),
    })
}

/// The same of an answer that fred has turned into a value.
pub(crate) fn of_value(value: Value) -> Reply {
    match value {
        Value::Null => Reply::Nil,
        Value::Integer(number) => Reply::Int(number),
        Value::Bytes(bytes) => Reply::Bytes(bytes),
        Value::String(text) => Reply::Bytes(text.into_inner()),
        // What fred makes of the simple string of that name, which only a transaction sends.
        Value::Queued => Reply::Bytes(Bytes::from_static(b"QUEUED")),
        Value::Array(items) => Reply::Array(items.into_iter().map(of_value).collect()),
        Value::Map(_) => Reply::Other("a map"),
        _ => Reply::Other("something else"),
    }
}

/// A string, if it is one.
pub(crate) fn bytes(value: Value) -> Option<Bytes> {
    match of_value(value) {
        Reply::Bytes(bytes) => Some(bytes),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blob(bytes: &'static [u8]) -> Frame {
        let data = Bytes::from_static(bytes);
        Frame::BlobString {
            data,
            attributes: None,
        }
    }

    fn list(data: Vec<Frame>) -> Frame {
        Frame::Array {
            data,
            attributes: None,
        }
    }

    #[test]
    fn frames_are_read_as_they_are() {
        let number = Frame::Number {
            data: 7,
            attributes: None,
        };
        let reply = of_frame(list(vec![Frame::Null, number, blob(b"\xff\0")])).unwrap();
        let bytes = Reply::Bytes(Bytes::from_static(b"\xff\0"));
        assert_eq!(reply, Reply::Array(vec![Reply::Nil, Reply::Int(7), bytes]));
        let yes = Frame::Boolean {
            data: true,
            attributes: None,
        };
        assert_eq!(of_frame(yes).unwrap(), Reply::Other("something else"));
    }

    #[test]
    fn an_error_reply_is_an_error_wherever_it_stands() {
        let error = || Frame::SimpleError {
            data: "NOPERM no".into(),
            attributes: None,
        };
        assert_eq!(of_frame(error()).unwrap_err(), Fault::answered("NOPERM no"));
        assert!(of_frame(list(vec![error()])).is_err());
    }

    #[test]
    fn strings_are_strings_whether_utf8_or_not() {
        assert_eq!(bytes(Value::String("x".into())), Some("x".into()));
        let raw = Bytes::from_static(b"\xff");
        assert_eq!(bytes(Value::Bytes(raw.clone())), Some(raw));
        assert_eq!(bytes(Value::Integer(1)), None);
        assert_eq!(of_value(Value::Null), Reply::Nil);
    }
}
