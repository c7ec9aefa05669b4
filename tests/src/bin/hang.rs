//! What a server that hangs costs: `cargo run --release -p memolock-tests --bin hang [SECONDS]`.
#![forbid(unsafe_code)]

use std::time::Duration;

use memolock_tests::Adapter;
use memolock_tests::hang::{Row, measure};

#[tokio::main]
async fn main() {
    let seconds = std::env::args().nth(1).and_then(|s| s.parse().ok());
    let phase = Duration::from_secs(seconds.unwrap_or(5));
    println!("{}", Row::HEAD);
    for adapter in Adapter::ALL {
        for row in measure(adapter, 32, phase).await {
            println!("{row}");
        }
    }
}
