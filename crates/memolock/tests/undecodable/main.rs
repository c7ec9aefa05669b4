//! Stored bytes that the codec cannot decode count as none: they are computed again and replaced. Or, where that is
//! wanted, they are an error. They are counted and logged by either policy, and are never a hit.
#![cfg(feature = "json")]
#![allow(clippy::unwrap_used)]

#[path = "../common/mod.rs"]
mod common;
mod external;
mod loops;
mod many;
mod policies;
mod waiting;

use std::time::Duration;

use bytes::Bytes;
use common::{SECOND, Spy, key};
use memolock::core::{Backend, PutMode};
use memolock::{Error, Memolock};

/// No JSON.
const GARBAGE: Bytes = Bytes::from_static(b"\xff\xfe");

/// Whatever may have stood there before.
const OTHER_GARBAGE: Bytes = Bytes::from_static(b"{");

/// A stranger stores bytes, and leaves a lock alone.
async fn scribble(spy: &Spy, likes: &Memolock<String>, id: &str, bytes: Bytes) {
    let key = key(likes, id);
    let put = spy.store().put(&key, bytes, MINUTE, PutMode::Resolve);
    put.await.unwrap();
}

const MINUTE: Duration = Duration::from_secs(60);

/// A compute that takes a second.
async fn slow(text: &str) -> Result<String, String> {
    tokio::time::sleep(SECOND).await;
    Ok(text.to_owned())
}

fn is_codec<T: std::fmt::Debug>(ended: &Result<T, Error>) -> bool {
    matches!(ended, Err(Error::Codec { .. }))
}
