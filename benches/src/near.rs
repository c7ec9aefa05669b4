//! The near cache, or its place: what is to be changed here when memolock has one is [`open`], and nothing else.

use anyhow::Result;

use crate::hits::Ours;

/// memolock with a near cache that holds so many values; `None` as long as there is no near cache.
///
/// # Errors
/// If it cannot connect.
#[allow(clippy::unused_async)] // It will connect.
pub async fn open(_url: &str, _keys: usize) -> Result<Option<Ours>> {
    Ok(None)
}
