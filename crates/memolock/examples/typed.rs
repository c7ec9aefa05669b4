//! A serde struct, memoized: `cargo run -p memolock --example typed`.

use std::time::Duration;

use memolock::memory::MemoryBackend;
use memolock::{Computed, Memolock};
use serde::{Deserialize, Serialize};

#[derive(Debug, Serialize, Deserialize)]
struct Profile {
    name: String,
    likes: u64,
}

/// Stands for a query that the database should see once.
async fn query(user: &str) -> Result<Profile, std::io::Error> {
    println!("the database is asked for {user}");
    tokio::time::sleep(Duration::from_millis(50)).await;
    Ok(Profile {
        name: user.to_owned(),
        likes: 42,
    })
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let profiles: Memolock<Profile> = Memolock::builder("profiles", MemoryBackend::new())
        .ttl(Duration::from_secs(60))
        .build()
        .await?;

    // A thousand callers at once: one query.
    let callers: Vec<_> = (0..1000)
        .map(|_| {
            let profiles = profiles.clone();
            tokio::spawn(async move {
                let profile = profiles.get_or_compute("kristoff", |_lease| query("kristoff"));
                profile.await.map(|p| p.likes)
            })
        })
        .collect();
    let mut likes = 0;
    for caller in callers {
        likes += caller.await??;
    }
    println!("a thousand callers counted {likes} likes");

    // One call with its own terms: a value that is good for a second only.
    let memo = profiles
        .entry("elsa")
        .wait_timeout(Duration::from_secs(2))
        .or_compute_with(|_lease| async {
            let profile = query("elsa").await?;
            Ok::<_, std::io::Error>(Computed::new(profile).ttl(Duration::from_secs(1)))
        })
        .await?;
    println!(
        "{} has {} likes ({:?})",
        memo.name,
        memo.likes,
        memo.source()
    );

    profiles.invalidate("kristoff").await?;
    println!("after invalidating: {:?}", profiles.get("kristoff").await?);
    println!("{:#?}", profiles.stats());
    profiles.close().await;
    Ok(())
}
