//! Values of the core's types out of arbitrary bytes.

use std::time::Duration;

use arbitrary::{Arbitrary, Result, Unstructured};
use bytes::Bytes;
use memolock_core::{
    BackendError, ErrorKind, Event, Key, Keyspace, Layout, Message, Notice, Operation, Remaining,
    Tag,
};

/// Some text: what is not UTF-8 is replaced.
///
/// # Errors
/// If the bytes are used up.
pub fn text(from: &mut Unstructured<'_>) -> Result<String> {
    let bytes = <&[u8]>::arbitrary(from)?;
    Ok(String::from_utf8_lossy(bytes).into_owned())
}

/// Some bytes.
///
/// # Errors
/// If the bytes are used up.
pub fn bytes(from: &mut Unstructured<'_>) -> Result<Bytes> {
    Ok(Bytes::copy_from_slice(<&[u8]>::arbitrary(from)?))
}

/// A time: of the usual size, or of any.
///
/// # Errors
/// If the bytes are used up.
pub fn duration(from: &mut Unstructured<'_>) -> Result<Duration> {
    Ok(match from.int_in_range(0..=7_u8)? {
        0 => Duration::MAX,
        1 => Duration::ZERO,
        2 => Duration::new(from.arbitrary()?, from.int_in_range(0..=999_999_999)?),
        3 => Duration::from_nanos(from.arbitrary()?),
        _ => Duration::from_millis(from.arbitrary::<u16>()?.into()),
    })
}

/// A notice, as a peer or a stranger publishes it.
///
/// # Errors
/// If the bytes are used up.
pub fn notice(from: &mut Unstructured<'_>) -> Result<Notice> {
    Ok(match from.int_in_range(0..=3_u8)? {
        0 => Notice::Released,
        1 => Notice::Invalidated,
        2 => Notice::failed(&text(from)?),
        _ => Notice::decode(&bytes(from)?),
    })
}

/// What a subscription may say.
///
/// # Errors
/// If the bytes are used up.
pub fn event(from: &mut Unstructured<'_>) -> Result<Event> {
    Ok(match from.int_in_range(0..=3_u8)? {
        0 => Event::Gap,
        1 => Event::Resumed,
        2 => Message::Value(bytes(from)?).into(),
        _ => Message::Notice(notice(from)?).into(),
    })
}

/// A backend's error of any kind.
///
/// # Errors
/// If the bytes are used up.
pub fn error(from: &mut Unstructured<'_>) -> Result<BackendError> {
    let kind = *from.choose(&[
        ErrorKind::Unavailable,
        ErrorKind::Timeout,
        ErrorKind::Refused,
        ErrorKind::Denied,
        ErrorKind::WrongType,
        ErrorKind::Protocol,
        ErrorKind::Config,
        ErrorKind::Unsupported,
        ErrorKind::Closed,
    ])?;
    Ok(BackendError::new(kind, Operation::Get, text(from)?))
}

/// What remains of a lock or a value.
///
/// # Errors
/// If the bytes are used up.
pub fn remaining(from: &mut Unstructured<'_>) -> Result<Remaining> {
    Ok(match from.ratio(1, 8)? {
        true => Remaining::Forever,
        false => Remaining::Expires(duration(from)?),
    })
}

/// One of the two layouts.
///
/// # Errors
/// If the bytes are used up.
pub fn layout(from: &mut Unstructured<'_>) -> Result<Layout> {
    Ok(*from.choose(&[Layout::Classic, Layout::HashTagged])?)
}

/// One of [`keys`].
///
/// # Errors
/// If the bytes are used up.
pub fn key(from: &mut Unstructured<'_>) -> Result<Key> {
    Ok(from.choose(&keys())?.clone())
}

/// A few keys, some of which share their names: classic `{a}` and hash-tagged `a`.
#[must_use]
pub fn keys() -> [Key; 4] {
    let key = |(layout, id)| {
        let tag = Tag::new("likes").expect("it is an ordinary tag");
        let space = Keyspace::new(tag, layout).expect("the tag has no brace");
        space.key(id).expect("these ids are allowed")
    };
    [
        (Layout::Classic, "a"),
        (Layout::Classic, "{a}"),
        (Layout::HashTagged, "a"),
        (Layout::Classic, ""),
    ]
    .map(key)
}
