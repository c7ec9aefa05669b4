//! R11: a server that hangs opens the circuit breaker, nobody fails, and its return closes it.

use std::time::Duration;

use memolock_tests::Adapter;
use memolock_tests::hang::{Phase, measure};

async fn hangs_and_returns(adapter: Adapter) {
    for row in measure(adapter, 8, Duration::from_millis(300)).await {
        println!("{row}");
        assert_eq!(row.failed, 0, "{row}");
        let degrades = row.phase == Phase::Open;
        assert!(!degrades || row.degraded > 0, "{row}");
    }
}

#[tokio::test]
async fn r11_over_redis_rs() {
    hangs_and_returns(Adapter::RedisRs).await;
}

#[tokio::test]
async fn r11_over_redis_rs_pooled() {
    hangs_and_returns(Adapter::Pooled).await;
}

#[tokio::test]
async fn r11_over_fred() {
    hangs_and_returns(Adapter::Fred).await;
}
