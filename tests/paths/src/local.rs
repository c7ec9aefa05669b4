//! Paths over the embedded backend: what memolock itself costs.

use anyhow::{Context, Result};
use futures_util::future::join_all;
use memolock::codec::Text;
use memolock::memory::MemoryBackend;
use memolock::{Coherence, Memolock, NearCache};

/// A memolock over the embedded backend, with a value at `id`.
pub(crate) struct Local {
    memolock: Memolock<String, Text>,
    /// Numbers ids that nobody has asked for.
    fresh: u64,
}

/// Callers at a time who want one value.
const HERD: u64 = 1000;

impl Local {
    pub(crate) async fn new() -> Result<Self> {
        let builder = Memolock::<String>::builder("paths", MemoryBackend::new());
        let memolock = builder.codec(Text).build().await?;
        memolock.put("id", &"a value".to_owned()).await?;
        Ok(Self { memolock, fresh: 0 })
    }

    /// The same with a near cache in front, which has the value.
    pub(crate) async fn near() -> Result<Self> {
        let builder = Memolock::<String>::builder("paths", MemoryBackend::new());
        let builder = builder.codec(Text).near_cache(NearCache::entries(1000));
        let memolock = builder.build().await?;
        while memolock.stats().near.coherence != Coherence::Live {
            tokio::task::yield_now().await;
        }
        memolock.put("id", &"a value".to_owned()).await?;
        // The echo of the write, and the look that it is answered with.
        while memolock.stats().near.read_backs == 0 {
            tokio::task::yield_now().await;
        }
        Ok(Self { memolock, fresh: 0 })
    }

    pub(crate) async fn get(&self, times: u64) -> Result<()> {
        for _ in 0..times {
            self.memolock.get("id").await?.context("stored")?;
        }
        Ok(())
    }

    pub(crate) async fn hit(&self, times: u64) -> Result<()> {
        for _ in 0..times {
            self.memolock.get_or_compute("id", |_| unasked()).await?;
        }
        Ok(())
    }

    pub(crate) async fn miss(&mut self, times: u64) -> Result<()> {
        for _ in 0..times {
            let id = self.id();
            let value = async { Ok::<_, std::convert::Infallible>("a value".to_owned()) };
            self.memolock.get_or_compute(&id, |_| value).await?;
        }
        Ok(())
    }

    /// The first caller of a herd leads; its work lasts until all have joined.
    pub(crate) async fn join(&mut self, times: u64) -> Result<()> {
        for _ in 0..times.div_ceil(HERD) {
            let (id, memolock) = (self.id(), &self.memolock);
            let callers = (0..HERD).map(|_| {
                memolock.get_or_compute(&id, |_| async {
                    tokio::task::yield_now().await;
                    Ok::<_, std::convert::Infallible>("a value".to_owned())
                })
            });
            for answer in join_all(callers).await {
                answer?;
            }
        }
        Ok(())
    }

    /// What the futures of calls take, with a compute that has nothing in it.
    pub(crate) fn sizes(&self) -> [(&'static str, usize); 3] {
        let memolock = &self.memolock;
        [
            ("get", size_of_val(&memolock.get("id"))),
            (
                "get_or_compute",
                size_of_val(&memolock.get_or_compute("id", |_| unasked())),
            ),
            (
                "entry().or_compute",
                size_of_val(&memolock.entry("id").or_compute(|_| unasked())),
            ),
        ]
    }

    fn id(&mut self) -> String {
        self.fresh += 1;
        format!("fresh {}", self.fresh)
    }
}

async fn unasked() -> Result<String, std::convert::Infallible> {
    Ok("this is stored already".to_owned())
}
