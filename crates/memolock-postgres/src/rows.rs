//! Reading rows. Anything may come back; what makes no sense is an error, never a panic.

use std::time::Duration;

use bytes::Bytes;
use memolock_core::connection::Fault;
use memolock_core::{Acquired, ErrorKind, Inspection, LockInfo, Remaining, ValueInfo};
use tokio_postgres::Row;
use tokio_postgres::types::FromSqlOwned;

pub(crate) fn acquired(rows: &[Row]) -> Result<Acquired, Fault> {
    let row = rows.first().ok_or_else(|| senseless("no row"))?;
    let value: Option<Vec<u8>> = column(row, 0)?;
    let ours: Option<bool> = column(row, 1)?;
    Ok(match (value, ours) {
        (Some(value), _) => Acquired::Value(value.into()),
        (None, Some(true)) => Acquired::Granted,
        (None, _) => Acquired::Held(remaining(row, 2)?),
    })
}

pub(crate) fn inspection(row: &Row) -> Result<Inspection, Fault> {
    let mut found = Inspection::default();
    if let Some(length) = column::<Option<i64>>(row, 0)? {
        found.value = Some(ValueInfo {
            bytes: u64::try_from(length).unwrap_or(0),
            remaining: remaining(row, 1)?,
        });
    }
    if let Some(holder) = column::<Option<Vec<u8>>>(row, 2)? {
        let remaining = remaining(row, 3)?;
        if remaining == Remaining::Forever {
            let sentence = "the lock never expires: somebody else than memolock wrote it";
            found.oddities.push(sentence.to_owned());
        }
        found.lock = Some(LockInfo {
            holder: holder.into(),
            remaining,
        });
    }
    Ok(found)
}

/// Time left, as a column says it. None is without end; what has just passed is a millisecond.
pub(crate) fn remaining(row: &Row, nth: usize) -> Result<Remaining, Fault> {
    let left: Option<i64> = column(row, nth)?;
    Ok(match left {
        Some(left) => Remaining::Expires(Duration::from_millis(
            u64::try_from(left).unwrap_or(0).max(1),
        )),
        None => Remaining::Forever,
    })
}

pub(crate) fn bytes(row: &Row, nth: usize) -> Result<Bytes, Fault> {
    column::<Vec<u8>>(row, nth).map(Bytes::from)
}

pub(crate) fn column<T: FromSqlOwned>(row: &Row, nth: usize) -> Result<T, Fault> {
    row.try_get(nth)
        .map_err(|error| senseless(&error.to_string()))
}

pub(crate) fn senseless(detail: &str) -> Fault {
    Fault::new(ErrorKind::Protocol, detail)
}
