//! Acts on what a server remembers: flushed, full, evicted, forgotten scripts.

use std::time::Duration;

use crate::HANG;
use crate::faults::act::act;
use crate::faults::stage::{HELD, Stage};

/// How often scripts are forgotten.
const FLUSHES: u32 = 20;
const BETWEEN: Duration = Duration::from_millis(20);

/// What a server that evicts has for data.
const ROOM: u64 = 1 << 20;

act!(
    /// Values and locks are gone, and nobody is told.
    flush_all, |stage| {
        stage.cli(&["FLUSHALL"]).await;
    }
);

act!(
    /// Scripts are gone, again and again.
    flush_scripts, |stage| {
        for _ in 0..FLUSHES {
            stage.cli(&["SCRIPT", "FLUSH"]).await;
            tokio::time::sleep(BETWEEN).await;
        }
    }
);

act!(
    /// Whatever takes memory is refused.
    fill, |stage| {
        policy(&stage, "noeviction").await;
        limit(&stage, "1").await;
    }
);

act!(
    /// Others write so much that even the holder's lock is evicted.
    evict, |stage| {
        let used = stage.counted("memory", "used_memory").await;
        policy(&stage, "allkeys-lru").await;
        limit(&stage, &(used + ROOM).to_string()).await;
        let junk = "x".repeat(10_000);
        let mut writer = stage.server().connect().await.unwrap_or_else(|e| panic!("{e}"));
        let began = std::time::Instant::now();
        let lock = stage.key(HELD).lock_name();
        for n in 0_u64.. {
            let name = format!("junk-{n}");
            let written = writer.command(&["SET", &name, &junk]).await;
            written.unwrap_or_else(|e| panic!("{e}"));
            if n % 100 == 0 {
                let left = writer.command(&["EXISTS", &lock]).await;
                if left.is_ok_and(|left| left.as_int() == Some(0)) {
                    break;
                }
            }
            assert!(began.elapsed() < HANG, "never evicted: {lock}");
        }
    }
);

act!(
    /// There is room again.
    make_room, |stage| {
        limit(&stage, "0").await;
        policy(&stage, "noeviction").await;
    }
);

async fn limit(stage: &Stage, bytes: &str) {
    stage.cli(&["CONFIG", "SET", "maxmemory", bytes]).await;
}

async fn policy(stage: &Stage, name: &str) {
    stage
        .cli(&["CONFIG", "SET", "maxmemory-policy", name])
        .await;
}
