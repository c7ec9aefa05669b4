//! Another program keeps the promise: `cargo run -p memolock --example external`.
//!
//! Here the other program is a task; in real life it is a job in a queue, in any language, that does
//! `SET reports:q3 …` and `PUBLISH reports/notif:q3 …`.

use std::time::Duration;

use memolock::memory::MemoryBackend;
use memolock::{Error, Memolock};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let backend = MemoryBackend::new();
    let here: Memolock<String> = Memolock::builder("reports", backend.clone())
        .build()
        .await?;
    let program: Memolock<String> = Memolock::builder("reports", backend).build().await?;

    // Two callers; the trigger is fired once, and both are woken when the value is published.
    let trigger = || async {
        println!("the job is started");
        let program = program.clone();
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(200)).await;
            let made = "a page of figures".to_owned();
            program.entry("q3").resolve(&made).await
        });
        Ok::<_, std::io::Error>(())
    };
    let (a, b) = tokio::join!(
        here.entry("q3").or_external(trigger),
        here.entry("q3").or_external(trigger),
    );
    println!("both have it: {:?} and {:?}", *a?, *b?);

    // A job that never answers: the wait is bounded, and the lock is left to expire, so that a second
    // job is not started over a slow first one.
    let silent = here
        .entry("q4")
        .wait_timeout(Duration::from_millis(100))
        .or_external(|| async { Ok::<_, std::io::Error>(()) })
        .await;
    match silent {
        Err(error @ Error::Timeout { .. }) => println!("{error}"),
        other => println!("unexpected: {other:?}"),
    }
    here.close().await;
    Ok(())
}
