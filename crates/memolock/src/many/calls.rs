//! The calls for many ids, as users make them.

use memolock_codec::Codec;

use crate::{BoxError, Entries, Many, Memo, Memolock};

impl<T: Send + Sync + 'static, C: Codec<T>> Memolock<T, C> {
    /// The values of many ids, in one look at the store: what is stored, each id with its own answer. Never
    /// waits for a compute.
    ///
    /// It costs one command for 500 ids. What stands in the place of a value and is of another type counts
    /// as none here. Dropping the future leaves nothing behind.
    ///
    /// ```
    /// # use memolock::{Memolock, memory::MemoryBackend};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let likes: Memolock<u64> = Memolock::builder("likes", MemoryBackend::new()).build().await?;
    /// likes.put("anna", &3).await?;
    /// let found = likes.get_many(["anna", "olaf"]).await.into_result()?;
    /// assert_eq!(found[0].as_deref(), Some(&3));
    /// assert!(found[1].is_none());
    /// # likes.close().await;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn get_many<I>(&self, ids: I) -> Many<Option<Memo<T>>>
    where
        I: IntoIterator<Item: Into<String>>,
    {
        self.entries(ids).get().await
    }

    /// The values of many ids: what is stored, or awaited from whoever is computing it, and for all the
    /// others one compute together. Each id has its own answer.
    ///
    /// `compute` is called with exactly the ids that this call won, in the order asked, and gives pairs of id
    /// and value, in any order. It is called once in most calls; again for ids that are won later, because
    /// somebody else failed at them, and never for an id that was computed. Nothing waits for all: what is
    /// won is computed at once, while the others are awaited, so calls with the same ids in any order cannot
    /// block each other.
    ///
    /// * An id for which it gives nothing has the error [`Error::Missing`](crate::Error::Missing); let `T` be an `Option` if that is
    ///   an answer. What it gives beyond what it was asked for is ignored; of two values for one id the
    ///   last one counts.
    /// * Its error, or panic, is that of each id of the batch, and of whoever joined them.
    /// * If the store is failing it computes here, all ids at once in one place of
    ///   [`local_computes`](crate::Builder::local_computes).
    /// * Dropping the future hands over the ids that others of this process wait for, and gives the leases
    ///   of the rest back. The future must be polled, as that of
    ///   [`get_or_compute`](Memolock::get_or_compute); there is no lease in its hands: the heartbeat renews.
    ///
    /// Cold, it costs three commands for 500 ids, one after another: a look, the leases, and the values; and
    /// one warm. [`entries`](Memolock::entries) has options.
    ///
    /// ```
    /// # use memolock::{Memolock, memory::MemoryBackend};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let likes: Memolock<u64> = Memolock::builder("likes", MemoryBackend::new()).build().await?;
    /// async fn count_likes(users: Vec<String>) -> Result<Vec<(String, u64)>, std::io::Error> {
    ///     // SELECT name, likes FROM users WHERE name = ANY($1), in real life
    ///     Ok(users.into_iter().map(|user| (user, 42)).collect())
    /// }
    /// let all = likes.get_or_compute_many(["kristoff", "sven"], count_likes).await.into_result()?;
    /// assert!(all.iter().all(|n| **n == 42));
    /// # likes.close().await;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn get_or_compute_many<I, F, Fut, R, K, E>(&self, ids: I, compute: F) -> Many<Memo<T>>
    where
        I: IntoIterator<Item: Into<String>>,
        F: Fn(Vec<String>) -> Fut,
        Fut: Future<Output = Result<R, E>>,
        R: IntoIterator<Item = (K, T)>,
        K: Into<String>,
        E: Into<BoxError>,
    {
        self.entries(ids).or_compute(compute).await
    }

    /// One call for many ids with its own options.
    pub fn entries<I>(&self, ids: I) -> Entries<'_, T, C>
    where
        I: IntoIterator<Item: Into<String>>,
    {
        Entries::new(self, ids.into_iter().map(Into::into).collect())
    }
}
