//! `memolock-weigh one-key|many-keys|near-copies COUNT URL`: has callers wait, or copies kept, and prints what they
//! weigh, as JSON.
#![forbid(unsafe_code)]
// The futures of a call over a cluster are nested deeper than the compiler looks by itself.
#![recursion_limit = "256"]

use std::alloc::System;
use std::process::ExitCode;

use anyhow::Result;
use memolock_benches::weight::{Load, weigh};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

#[tokio::main]
async fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let parsed = match &args[..] {
        [load, waiters, url] => Load::named(load).zip(waiters.parse().ok().zip(Some(url))),
        _ => None,
    };
    let Some((load, (waiters, url))) = parsed else {
        eprintln!("memolock-weigh one-key|many-keys|near-copies COUNT URL");
        return ExitCode::from(2);
    };
    match print(load, waiters, url).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn print(load: Load, waiters: u32, url: &str) -> Result<()> {
    let weight = weigh(load, waiters, url, allocated).await?;
    println!("{}", serde_json::to_string(&weight)?);
    Ok(())
}

fn allocated() -> i64 {
    let stats = ALLOCATOR.stats();
    stats.bytes_allocated as i64 - stats.bytes_deallocated as i64
}
