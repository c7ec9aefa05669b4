//! Choosing an adapter at run time: `cargo run -p memolock --all-features --example adapter [NAME URL]`.
//!
//! NAME is `redis-rs` or `fred`; without one it is the embedded backend. The rest of the program does not
//! know which it is: every backend is an `Arc<dyn Backend>`.

use std::sync::Arc;

use memolock::memory::MemoryBackend;
use memolock::{Backend, Memolock};

type Failed = Box<dyn std::error::Error + Send + Sync>;

async fn open(name: Option<&str>, url: &str) -> Result<Arc<dyn Backend>, Failed> {
    Ok(match name {
        None | Some("memory") => Arc::new(MemoryBackend::new()),
        #[cfg(feature = "redis-rs")]
        Some("redis-rs") => Arc::new(memolock::redis_rs::RedisBackend::connect(url).await?),
        #[cfg(feature = "fred")]
        Some("fred") => Arc::new(memolock::fred::FredBackend::connect(url).await?),
        Some(other) => {
            return Err(format!("no adapter `{other}` is compiled in (asked for {url})").into());
        }
    })
}

#[tokio::main]
async fn main() -> Result<(), Failed> {
    let mut args = std::env::args().skip(1);
    let (name, url) = (args.next(), args.next());
    let url = url.as_deref().unwrap_or("redis://127.0.0.1:6379");
    let backend = open(name.as_deref(), url).await?;
    println!("over {}", backend.capabilities().name);

    let likes: Memolock<u64> = Memolock::builder("likes", Arc::clone(&backend))
        .build()
        .await?;
    for _ in 0..2 {
        let count = |_| async { Ok::<_, std::io::Error>(42) };
        let memo = likes.entry("kristoff").or_compute(count).await?;
        println!("{} likes ({:?})", *memo, memo.source());
    }
    likes.invalidate("kristoff").await?;
    likes.close().await;
    backend.close().await;
    Ok(())
}
