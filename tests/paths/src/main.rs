//! `paths NAME TIMES`: goes down one hot path so many times, and prints the allocations of it. Under callgrind the
//! same run says how many instructions it takes: neither varies with the load of the machine.

mod local;
mod path;
mod remote;
mod wire;

use std::alloc::System;

use anyhow::{Context, Result};
use clap::Parser;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use tokio::runtime::Runtime;

use crate::path::Path;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Goes down one hot path, for a counter of instructions.
#[derive(Debug, Parser)]
struct Arguments {
    /// Prints the paths' names and what they are, and nothing else.
    #[arg(long, exclusive = true)]
    list: bool,
    /// Prints how many bytes the futures of calls take, and nothing else.
    #[arg(long, exclusive = true)]
    sizes: bool,
    /// The path's name.
    #[arg(required_unless_present_any = ["list", "sizes"])]
    name: Option<String>,
    /// How often.
    #[arg(default_value_t = 1000)]
    times: u64,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    if arguments.sizes {
        return runtime()?.block_on(async {
            for (call, bytes) in local::Local::new().await?.sizes() {
                println!("{call:<24} {bytes:>5} bytes");
            }
            Ok(())
        });
    }
    let Some(name) = arguments.name else {
        for path in Path::ALL {
            println!("{:<12} {}", path.name(), path.what());
        }
        return Ok(());
    };
    let path = Path::find(&name).with_context(|| format!("no path `{name}`: see --list"))?;
    runtime()?.block_on(async {
        let mut walk = path.prepare().await?;
        walk.go(path.warm_up()).await?;
        let region = Region::new(ALLOCATOR);
        walk.go(arguments.times).await?;
        let change = region.change();
        println!(
            "{} allocations, {} reallocations, {} bytes",
            change.allocations, change.reallocations, change.bytes_allocated
        );
        Ok(())
    })
}

/// One thread: what is counted is the path's own, and the same each time.
fn runtime() -> Result<Runtime> {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder
        .enable_time()
        .build()
        .context("cannot start a runtime")
}
