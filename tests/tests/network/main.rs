//! Both adapters over a line to which things happen, against a real server: one row a fault.
//!
//! `cargo test -p memolock-tests --test network -- --nocapture` prints the table.

// Helpers are not test functions to the lint, and a failed one is a failed test.
#![allow(clippy::unwrap_used)]

mod cases;
mod scenario;
mod side;

use futures_util::StreamExt;
use futures_util::stream::iter;
use memolock_tests::{Adapter, own_server};

use self::cases::cases;
use self::scenario::run;

/// Cases at a time: most of each is waiting.
const AT_A_TIME: usize = 8;

async fn table(adapter: Adapter) {
    let server = own_server().await;
    let rows = iter(cases()).map(|case| run(adapter, &server, case));
    let mut rows = rows.buffered(AT_A_TIME);
    while let Some(row) = rows.next().await {
        println!("{row}");
    }
}

#[tokio::test]
async fn redis_rs_bears_every_fault_of_a_line() {
    table(Adapter::RedisRs).await;
}

#[tokio::test]
async fn redis_rs_over_a_pool_bears_every_fault_of_a_line() {
    table(Adapter::Pooled).await;
}

#[tokio::test]
async fn fred_bears_every_fault_of_a_line() {
    table(Adapter::Fred).await;
}
