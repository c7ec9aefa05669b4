//! Stopping cleanly: `cargo run -p memolock --example close`.
//!
//! `close` ends waiting calls with an error, gives leases back so that other processes go on at once, and
//! returns when nothing is left running. The backend may serve others, and is closed by itself.

use std::time::Duration;

use memolock::memory::MemoryBackend;
use memolock::{Backend, Memolock};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let backend = MemoryBackend::new();
    let likes: Memolock<u64> = Memolock::builder("likes", backend.clone()).build().await?;

    let at_work = likes.clone();
    let (begun, has_begun) = tokio::sync::oneshot::channel();
    let caller = tokio::spawn(async move {
        let compute = |_lease| async {
            let _ = begun.send(());
            tokio::time::sleep(Duration::from_secs(3600)).await;
            Ok::<_, std::io::Error>(42)
        };
        at_work.get_or_compute("kristoff", compute).await
    });
    has_begun.await?;
    println!("under way: {:?}", likes.in_flight());

    likes.close().await;
    if let Err(error) = caller.await? {
        println!("the caller under way: {error}");
    }
    if let Err(error) = likes.get("kristoff").await {
        println!("a later caller: {error}");
    }
    println!("under way: {:?}", likes.in_flight());

    // Nobody has to wait for the lease to run out.
    let next: Memolock<u64> = Memolock::builder("likes", backend.clone()).build().await?;
    let count = |_| async { Ok::<_, std::io::Error>(7) };
    println!(
        "another one computes: {}",
        next.get_or_compute("kristoff", count).await?
    );
    next.close().await;
    backend.close().await;
    Ok(())
}
