//! Many ids at once: what a page of a service asks for.

use std::convert::Infallible;
use std::sync::Arc;

use anyhow::{Result, ensure};
use futures_util::future::try_join_all;
use redis::aio::MultiplexedConnection;

use crate::hits::{BYTES, Ours};
use crate::raw;
use crate::rounds::Work;

/// As many calls of memolock's `get_or_compute` as there are ids, at once in one task.
#[derive(Clone)]
pub struct SideBySide(Ours);

/// memolock's `get_or_compute_many`.
#[derive(Clone)]
pub struct Together(Ours);

/// The `redis` crate's MGET.
#[derive(Clone)]
pub struct Mget {
    connection: MultiplexedConnection,
    names: Arc<[String]>,
}

impl SideBySide {
    /// Of the ids of `ours`.
    #[must_use]
    pub fn new(ours: &Ours) -> Self {
        Self(ours.clone())
    }
}

impl Work for SideBySide {
    /// A turn takes all of them.
    fn keys(&self) -> usize {
        1
    }

    async fn once(&mut self, _: usize) -> Result<()> {
        let call = |key| {
            let mut ours = self.0.clone();
            async move { ours.once(key).await }
        };
        try_join_all((0..self.0.keys()).map(call)).await?;
        Ok(())
    }
}

impl Together {
    /// Of the ids of `ours`.
    #[must_use]
    pub fn new(ours: &Ours) -> Self {
        Self(ours.clone())
    }
}

impl Work for Together {
    fn keys(&self) -> usize {
        1
    }

    async fn once(&mut self, _: usize) -> Result<()> {
        let ids = self.0.ids().iter().cloned();
        // Nobody deletes the values: a compute would be seen by its lack of answers.
        let compute = |_| async { Ok::<_, Infallible>(Vec::<(String, String)>::new()) };
        let many = self.0.memolock().get_or_compute_many(ids, compute).await;
        for value in many.into_result()? {
            ensure!(value.len() == BYTES, "another value");
        }
        Ok(())
    }
}

impl Mget {
    /// Connects to where the values of `ours` are.
    ///
    /// # Errors
    /// If it cannot.
    pub async fn open(url: &str, ours: &Ours) -> Result<Self> {
        Ok(Self {
            connection: raw::redis_rs(url).await?,
            names: ours.names()?,
        })
    }
}

impl Work for Mget {
    fn keys(&self) -> usize {
        1
    }

    async fn once(&mut self, _: usize) -> Result<()> {
        let mut get = redis::cmd("MGET");
        get.arg(&self.names[..]);
        let values: Vec<Option<String>> = get.query_async(&mut self.connection).await?;
        let whole = |value: &Option<String>| value.as_ref().is_some_and(|it| it.len() == BYTES);
        ensure!(values.iter().all(whole), "a value is missing");
        Ok(())
    }
}
