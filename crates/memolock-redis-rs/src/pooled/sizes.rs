//! How large a value is that does not come: asked over another connection of the pool.

use std::fmt;
use std::pin::Pin;

use deadpool_redis::Pool;
use memolock_core::redis::{Fault, calls, reply};
use memolock_redis_common::Sizes;

use super::errand::ask;
use crate::command::{by_digest, by_text};

/// An application's pool.
pub(super) struct SizesInPool(pub(super) Pool);

impl fmt::Debug for SizesInPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SizesInPool")
    }
}

impl Sizes for SizesInPool {
    fn size_of(&self, name: &str) -> Pin<Box<dyn Future<Output = Option<usize>> + Send + '_>> {
        let call = calls::size_of(name);
        Box::pin(async move {
            let mut connection = self.0.get().await.ok()?;
            let mut answer = ask(&mut connection, &by_digest(&call)).await;
            if answer.as_ref().is_err_and(Fault::is_noscript) {
                answer = ask(&mut connection, &by_text(&call)).await;
            }
            let value = reply::inspection(answer.ok()?).ok()?.value?;
            usize::try_from(value.bytes).ok()
        })
    }
}
