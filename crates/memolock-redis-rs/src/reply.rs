//! Reading replies. Anything may come back; what makes no sense is an error, never a panic.

use std::time::Duration;

use bytes::Bytes;
use memolock_core::{
    Acquired, ErrorKind, Fulfilled, Inspection, LockInfo, Remaining, ValueInfo, scripts,
};
use redis::Value;

use crate::error::Fault;

/// A lock that stays longer than this was not taken for a compute.
const ABSURD_LEASE: Duration = Duration::from_secs(24 * 60 * 60);

/// `GET`.
pub(crate) fn value(reply: Value) -> Result<Option<Bytes>, Fault> {
    match reply {
        Value::Nil => Ok(None),
        reply => bytes(reply).map(Some),
    }
}

/// [`scripts::ACQUIRE`].
pub(crate) fn acquired(reply: Value) -> Result<Acquired, Fault> {
    let mut items = array(reply)?.into_iter();
    let code = int(next(&mut items)?)?;
    match code {
        scripts::ACQUIRE_VALUE => Ok(Acquired::Value(bytes(next(&mut items)?)?)),
        scripts::ACQUIRE_GRANTED => Ok(Acquired::Granted),
        scripts::ACQUIRE_HELD => Ok(Acquired::Held(remaining(int(next(&mut items)?)?))),
        code => Err(senseless(&format!("the code {code}"))),
    }
}

/// [`scripts::FULFIL`].
pub(crate) fn fulfilled(reply: Value) -> Result<Fulfilled, Fault> {
    Ok(match flag(reply)? {
        true => Fulfilled::Stored,
        false => Fulfilled::Lost,
    })
}

/// [`scripts::RENEW`] of so many locks.
pub(crate) fn renewed(reply: Value, locks: usize) -> Result<Vec<bool>, Fault> {
    let items = array(reply)?;
    if items.len() != locks {
        return Err(senseless(&format!(
            "{} answers for {locks} locks",
            items.len()
        )));
    }
    items.into_iter().map(flag).collect()
}

/// 1 or 0.
pub(crate) fn flag(reply: Value) -> Result<bool, Fault> {
    match int(reply)? {
        0 => Ok(false),
        1 => Ok(true),
        other => Err(senseless(&format!("the number {other}"))),
    }
}

/// [`scripts::INSPECT`].
pub(crate) fn inspection(reply: Value) -> Result<Inspection, Fault> {
    let mut items = array(reply)?.into_iter();
    let value_type = text(next(&mut items)?)?;
    let length = int(next(&mut items)?)?;
    let value_ttl = remaining(int(next(&mut items)?)?);
    let lock_type = text(next(&mut items)?)?;
    let holder = bytes(next(&mut items)?)?;
    let lock_ttl = remaining(int(next(&mut items)?)?);

    let mut found = Inspection::default();
    if value_type != "none" {
        if value_type != "string" {
            found.oddities.push(format!(
                "the value is a {value_type} and not a string: delete it or choose another tag"
            ));
        }
        if value_ttl == Remaining::Forever {
            found.oddities.push("the value never expires".to_owned());
        }
        found.value = Some(ValueInfo {
            bytes: u64::try_from(length).unwrap_or(0),
            remaining: value_ttl,
        });
    }
    if lock_type != "none" {
        if lock_type != "string" {
            found.oddities.push(format!(
                "the lock is a {lock_type} and not a string: nobody can take it until it is deleted"
            ));
        }
        match lock_ttl {
            Remaining::Forever => found.oddities.push(
                "the lock never expires: nobody computes until it is released or deleted"
                    .to_owned(),
            ),
            Remaining::Expires(ttl) if ttl > ABSURD_LEASE => found.oddities.push(format!(
                "the lock expires only in {} hours: if its holder is gone, delete it",
                ttl.as_secs() / 3600
            )),
            Remaining::Expires(_) => {}
        }
        found.lock = Some(LockInfo {
            holder,
            remaining: lock_ttl,
        });
    }
    Ok(found)
}

/// A `PTTL`: -1 is without expiry, and -2 is gone.
fn remaining(pttl: i64) -> Remaining {
    match u64::try_from(pttl) {
        Ok(millis) => Remaining::Expires(Duration::from_millis(millis)),
        Err(_) if pttl == -1 => Remaining::Forever,
        Err(_) => Remaining::Expires(Duration::ZERO),
    }
}

/// Bytes, however they are wrapped.
pub(crate) fn bytes(reply: Value) -> Result<Bytes, Fault> {
    match reply {
        Value::BulkString(bytes) => Ok(Bytes::from(bytes)),
        Value::SimpleString(text) | Value::VerbatimString { text, .. } => Ok(Bytes::from(text)),
        Value::Okay => Ok(Bytes::from_static(b"OK")),
        Value::Attribute { data, .. } => bytes(*data),
        other => Err(unexpected(&other)),
    }
}

fn text(reply: Value) -> Result<String, Fault> {
    Ok(String::from_utf8_lossy(&bytes(reply)?).into_owned())
}

fn int(reply: Value) -> Result<i64, Fault> {
    match reply {
        Value::Int(number) => Ok(number),
        Value::Attribute { data, .. } => int(*data),
        other => Err(unexpected(&other)),
    }
}

fn array(reply: Value) -> Result<Vec<Value>, Fault> {
    match reply {
        Value::Array(items) => Ok(items),
        Value::Attribute { data, .. } => array(*data),
        other => Err(unexpected(&other)),
    }
}

fn next(items: &mut impl Iterator<Item = Value>) -> Result<Value, Fault> {
    items.next().ok_or_else(|| senseless("too few items"))
}

/// Its kind only: what is in it may be a secret.
fn unexpected(reply: &Value) -> Fault {
    senseless(match reply {
        Value::Nil => "nil",
        Value::Int(_) => "a number",
        Value::BulkString(_) | Value::SimpleString(_) | Value::Okay => "a string",
        Value::Array(_) | Value::Set(_) => "an array",
        Value::Map(_) => "a map",
        Value::Push { .. } => "a push",
        _ => "something else",
    })
}

fn senseless(got: &str) -> Fault {
    Fault::new(ErrorKind::Protocol, format!("unexpected reply: {got}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bulk(text: &str) -> Value {
        Value::BulkString(text.into())
    }

    fn inspect(items: [Value; 6]) -> Inspection {
        inspection(Value::Array(items.into())).unwrap()
    }

    #[test]
    fn the_empty_string_is_a_value_and_nil_is_none() {
        assert_eq!(value(bulk("")).unwrap(), Some(Bytes::new()));
        assert_eq!(value(Value::Nil).unwrap(), None);
        let wrapped = Value::Attribute {
            data: Box::new(bulk("x")),
            attributes: vec![],
        };
        assert_eq!(value(wrapped).unwrap(), Some(Bytes::from("x")));
    }

    #[test]
    fn acquire_has_three_answers() {
        let of = |items: Vec<Value>| acquired(Value::Array(items)).unwrap();
        assert_eq!(
            of(vec![Value::Int(1), bulk("v")]),
            Acquired::Value("v".into())
        );
        assert_eq!(of(vec![Value::Int(2)]), Acquired::Granted);
        let held = |pttl| of(vec![Value::Int(3), Value::Int(pttl)]);
        let expires = |millis| Acquired::Held(Remaining::Expires(Duration::from_millis(millis)));
        assert_eq!(held(250), expires(250));
        assert_eq!(held(i64::MAX), expires(i64::MAX.unsigned_abs()));
        assert_eq!(held(-1), Acquired::Held(Remaining::Forever));
        assert_eq!(held(-2), expires(0));
    }

    #[test]
    fn nonsense_is_a_protocol_error() {
        let nonsense = [
            Value::Nil,
            Value::Okay,
            Value::Int(7),
            Value::Array(vec![]),
            Value::Array(vec![Value::Int(9)]),
            Value::Array(vec![Value::Int(1)]),
            Value::Array(vec![Value::Int(1), Value::Array(vec![])]),
            Value::Array(vec![Value::Nil; 6]),
            Value::Map(vec![]),
            Value::Boolean(true),
            Value::Double(f64::NAN),
        ];
        for reply in nonsense {
            let faults = [
                acquired(reply.clone()).err(),
                fulfilled(reply.clone()).err(),
                renewed(reply.clone(), 3).err(),
                inspection(reply.clone()).err(),
            ];
            for fault in faults {
                assert_eq!(
                    fault.map(|f| f.kind()),
                    Some(ErrorKind::Protocol),
                    "{reply:?}"
                );
            }
        }
        assert!(value(Value::Int(1)).is_err() && value(Value::Array(vec![])).is_err());
    }

    #[test]
    fn answers_to_renewals_are_counted() {
        let two = Value::Array(vec![Value::Int(1), Value::Int(0)]);
        assert_eq!(renewed(two.clone(), 2).unwrap(), [true, false]);
        assert!(renewed(two, 3).is_err());
    }

    #[test]
    fn nothing_stored_is_nothing_odd() {
        let nothing = [
            bulk("none"),
            Value::Int(-1),
            Value::Int(-2),
            bulk("none"),
            bulk(""),
            Value::Int(-2),
        ];
        assert_eq!(inspect(nothing), Inspection::default());
    }

    #[test]
    fn oddities_are_told() {
        let found = inspect([
            bulk("list"),
            Value::Int(-1),
            Value::Int(-1),
            bulk("string"),
            bulk("an ancestor's token"),
            Value::Int(100_000_000),
        ]);
        assert_eq!(found.oddities.len(), 3, "{:?}", found.oddities);
        assert!(found.oddities[0].contains("list") && found.oddities[2].contains("27 hours"));
        assert_eq!(found.lock.unwrap().holder, "an ancestor's token");
        let found = inspect([
            bulk("string"),
            Value::Int(3),
            Value::Int(5),
            bulk("hash"),
            bulk(""),
            Value::Int(-1),
        ]);
        assert_eq!(found.oddities.len(), 2, "{:?}", found.oddities);
        assert_eq!(found.value.unwrap().bytes, 3);
    }
}
