//! The client's values, as replies.

use bytes::Bytes;
use memolock_core::redis::Reply;
use redis::Value;

/// An answer in the terms of every adapter.
pub(crate) fn neutral(value: Value) -> Reply {
    match value {
        Value::Nil => Reply::Nil,
        Value::Int(number) => Reply::Int(number),
        Value::BulkString(bytes) => Reply::Bytes(bytes.into()),
        Value::SimpleString(text) | Value::VerbatimString { text, .. } => Reply::Bytes(text.into()),
        Value::Okay => Reply::Bytes(Bytes::from_static(b"OK")),
        Value::Array(items) => Reply::Array(items.into_iter().map(neutral).collect()),
        Value::Attribute { data, .. } => neutral(*data),
        Value::Set(_) => Reply::Other("a set"),
        Value::Map(pairs) => {
            let pairs = pairs.into_iter();
            Reply::Map(pairs.map(|(a, b)| (neutral(a), neutral(b))).collect())
        }
        Value::Push { .. } => Reply::Other("a push"),
        _ => Reply::Other("something else"),
    }
}

/// A string, if it is one.
pub(crate) fn bytes(value: Value) -> Option<Bytes> {
    match neutral(value) {
        Reply::Bytes(bytes) => Some(bytes),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_strings_however_they_were_sent() {
        let wrapped = Value::Attribute {
            data: Box::new(Value::BulkString(b"x".into())),
            attributes: vec![],
        };
        assert_eq!(bytes(wrapped), Some("x".into()));
        assert_eq!(bytes(Value::Okay), Some("OK".into()));
        assert_eq!(bytes(Value::SimpleString("x".into())), Some("x".into()));
        assert_eq!(bytes(Value::Int(1)), None);
    }

    #[test]
    fn what_no_script_answers_keeps_only_its_kind() {
        assert_eq!(neutral(Value::Set(vec![])), Reply::Other("a set"));
        assert_eq!(
            neutral(Value::Double(f64::NAN)),
            Reply::Other("something else")
        );
        let list = Value::Array(vec![Value::Nil, Value::Int(7)]);
        assert_eq!(neutral(list), Reply::Array(vec![Reply::Nil, Reply::Int(7)]));
    }
}
