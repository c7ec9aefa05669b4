//! Work that outlives its caller: `cargo run -p memolock --example detach`.

use std::time::Duration;

use memolock::Memolock;
use memolock::memory::MemoryBackend;

async fn render() -> Result<String, std::io::Error> {
    println!("rendering");
    tokio::time::sleep(Duration::from_millis(200)).await;
    println!("rendered");
    Ok("a page".to_owned())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let pages: Memolock<String> = Memolock::builder("pages", MemoryBackend::new())
        .build()
        .await?;
    let soon = Duration::from_millis(50);

    // An ordinary call ends with its caller: the work is dropped and the lease given back.
    let call = pages.entry("plain").or_compute(|_lease| render());
    let gone = tokio::time::timeout(soon, call).await.is_err();
    println!("plain: the caller has left: {gone}");

    // A detached one runs in a task of its own, and the next caller finds the value or joins the work.
    let call = pages.entry("kept").detach().or_compute(|_lease| render());
    let gone = tokio::time::timeout(soon, call).await.is_err();
    println!("kept: the caller has left: {gone}");
    let page = pages.entry("kept").or_compute(|_lease| render()).await?;
    println!("kept: {} ({:?})", *page, page.source());

    println!("plain is stored: {}", pages.get("plain").await?.is_some());
    pages.close().await;
    Ok(())
}
