//! Reading replies. Anything may come back; what makes no sense is an error, never a panic.

use std::time::Duration;

use bytes::Bytes;

use super::Fault;
use crate::{
    Acquired, BackendError, ErrorKind, Fulfilled, Inspection, Key, LockInfo, Operation, Remaining,
    Timed, ValueInfo, scripts,
};

/// An answer in a form that no client owns: adapters turn theirs into it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// Nothing.
    Nil,
    /// A number.
    Int(i64),
    /// A string, however it was sent.
    Bytes(Bytes),
    /// A list.
    Array(Vec<Reply>),
    /// Pairs. What a sentinel answers; no script does.
    Map(Vec<(Reply, Reply)>),
    /// What no answer to us is made of: its kind, such as `a set`.
    Other(&'static str),
}

/// The answer to `GET`.
///
/// # Errors
/// [`ErrorKind::Protocol`] if it is something else.
pub fn value(reply: Reply) -> Result<Option<Bytes>, Fault> {
    match reply {
        Reply::Nil => Ok(None),
        reply => bytes(reply).map(Some),
    }
}

/// The answer to [`scripts::ACQUIRE`].
///
/// # Errors
/// [`ErrorKind::Protocol`] if it is something else.
pub fn acquired(reply: Reply) -> Result<Acquired, Fault> {
    let mut items = array(reply)?.into_iter();
    let code = int(next(&mut items)?)?;
    match code {
        scripts::ACQUIRE_VALUE => Ok(Acquired::Value(bytes(next(&mut items)?)?)),
        scripts::ACQUIRE_GRANTED => Ok(Acquired::Granted),
        scripts::ACQUIRE_HELD => Ok(Acquired::Held(remaining(int(next(&mut items)?)?))),
        code => Err(senseless(&format!("the code {code}"))),
    }
}

/// The answer to `MGET` of so many keys.
///
/// # Errors
/// [`ErrorKind::Protocol`] if it is something else.
pub fn values(reply: Reply, keys: usize) -> Result<Vec<Result<Option<Bytes>, Fault>>, Fault> {
    each(reply, keys, value)
}

/// The answer to [`scripts::ACQUIRE_MANY`] of so many keys.
///
/// # Errors
/// [`ErrorKind::Protocol`] if it is something else.
pub fn acquired_many(reply: Reply, keys: usize) -> Result<Vec<Result<Acquired, Fault>>, Fault> {
    each(reply, keys, |item| acquired(unless_failed(item)?))
}

/// The answer to [`scripts::FULFIL_MANY`] of so many keys.
///
/// # Errors
/// [`ErrorKind::Protocol`] if it is something else.
pub fn fulfilled_many(reply: Reply, keys: usize) -> Result<Vec<Result<Fulfilled, Fault>>, Fault> {
    each(reply, keys, |item| fulfilled(unless_failed(item)?))
}

/// The answers for many keys, or what failed them all, as the front door takes them.
pub fn on_each<A>(
    answers: Result<Vec<Result<A, Fault>>, Fault>,
    operation: Operation,
    keys: &[&Key],
) -> Vec<Result<A, BackendError>> {
    match answers {
        Ok(answers) => {
            let answers = answers.into_iter().zip(keys);
            let answers = answers.map(|(answer, key)| answer.map_err(|f| f.on(operation, key)));
            answers.collect()
        }
        Err(fault) => {
            let fault = |key: &&Key| Err(fault.clone().on(operation, key));
            keys.iter().map(fault).collect()
        }
    }
}

/// The answer to [`scripts::FULFIL`].
///
/// # Errors
/// [`ErrorKind::Protocol`] if it is something else.
pub fn fulfilled(reply: Reply) -> Result<Fulfilled, Fault> {
    Ok(match flag(reply)? {
        true => Fulfilled::Stored,
        false => Fulfilled::Lost,
    })
}

/// The answer to [`scripts::RENEW`] of so many locks.
///
/// # Errors
/// [`ErrorKind::Protocol`] if it is something else.
pub fn renewed(reply: Reply, locks: usize) -> Result<Vec<bool>, Fault> {
    each(reply, locks, flag)?.into_iter().collect()
}

/// The answer to [`scripts::TIMED`] of so many keys.
///
/// # Errors
/// [`ErrorKind::Protocol`] if it is something else.
pub fn timed(reply: Reply, keys: usize) -> Result<Vec<Option<Timed>>, Fault> {
    let items = array(reply)?;
    if items.len() != 2 * keys {
        let items = items.len();
        return Err(senseless(&format!("{items} items for {keys} values")));
    }
    let mut items = items.into_iter();
    let mut found = Vec::with_capacity(keys);
    while let (Some(stored), Some(pttl)) = (items.next(), items.next()) {
        let (stored, remaining) = (value(stored)?, remaining(int(pttl)?));
        found.push(stored.map(|value| Timed { value, remaining }));
    }
    Ok(found)
}

/// 1 or 0, as [`scripts::RELEASE`] answers.
///
/// # Errors
/// [`ErrorKind::Protocol`] if it is something else.
pub fn flag(reply: Reply) -> Result<bool, Fault> {
    match int(reply)? {
        0 => Ok(false),
        1 => Ok(true),
        other => Err(senseless(&format!("the number {other}"))),
    }
}

/// The answer to [`scripts::REPEAT`] for so many keys: how many of them are done, from the first one, and how many
/// values were published.
///
/// # Errors
/// [`ErrorKind::Protocol`] if it is something else, or says that nothing was done.
pub fn repeated(reply: Reply, keys: usize) -> Result<(usize, u64), Fault> {
    let mut items = array(reply)?.into_iter();
    let done = usize::try_from(int(next(&mut items)?)?).unwrap_or(0);
    let published = u64::try_from(int(next(&mut items)?)?).unwrap_or(0);
    match (1..=keys).contains(&done) {
        true => Ok((done, published)),
        false => Err(senseless(&format!("{done} keys done of {keys}"))),
    }
}

/// The answer to [`scripts::INSPECT`].
///
/// # Errors
/// [`ErrorKind::Protocol`] if it is something else.
pub fn inspection(reply: Reply) -> Result<Inspection, Fault> {
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
        found.oddities.extend(lock_ttl.odd_for_a_lock());
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

/// An answer for each key, in order.
fn each<A>(
    reply: Reply,
    keys: usize,
    read: impl FnMut(Reply) -> Result<A, Fault>,
) -> Result<Vec<Result<A, Fault>>, Fault> {
    let items = array(reply)?;
    if items.len() != keys {
        let got = items.len();
        return Err(senseless(&format!("{got} answers for {keys} keys")));
    }
    Ok(items.into_iter().map(read).collect())
}

/// One key's answer among many; an error of that key alone comes as its line.
fn unless_failed(item: Reply) -> Result<Reply, Fault> {
    match item {
        Reply::Bytes(line) => Err(Fault::answered(&String::from_utf8_lossy(&line))),
        item => Ok(item),
    }
}

fn bytes(reply: Reply) -> Result<Bytes, Fault> {
    match reply {
        Reply::Bytes(bytes) => Ok(bytes),
        other => Err(unexpected(&other)),
    }
}

fn text(reply: Reply) -> Result<String, Fault> {
    Ok(String::from_utf8_lossy(&bytes(reply)?).into_owned())
}

fn int(reply: Reply) -> Result<i64, Fault> {
    match reply {
        Reply::Int(number) => Ok(number),
        other => Err(unexpected(&other)),
    }
}

fn array(reply: Reply) -> Result<Vec<Reply>, Fault> {
    match reply {
        Reply::Array(items) => Ok(items),
        other => Err(unexpected(&other)),
    }
}

fn next(items: &mut impl Iterator<Item = Reply>) -> Result<Reply, Fault> {
    items.next().ok_or_else(|| senseless("too few items"))
}

/// Its kind only: what is in it may be a secret.
fn unexpected(reply: &Reply) -> Fault {
    senseless(match reply {
        Reply::Nil => "nil",
        Reply::Int(_) => "a number",
        Reply::Bytes(_) => "a string",
        Reply::Array(_) => "an array",
        Reply::Map(_) => "a map",
        Reply::Other(kind) => kind,
    })
}

fn senseless(got: &str) -> Fault {
    Fault::new(ErrorKind::Protocol, format!("unexpected reply: {got}"))
}

#[cfg(test)]
mod tests;
