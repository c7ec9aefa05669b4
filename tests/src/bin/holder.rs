//! A process of ours that takes a lease and computes until it is told the value, or killed.

use std::io::{Write, stdin, stdout};
use std::process::ExitCode;
use std::time::Duration;

use memolock_tests::{Adapter, Ours};

/// `holder ADAPTER URL TAG ID LEASE_MS`: prints `computing`; the next line of its input is the value, and the end
/// of it an end without one.
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [adapter, url, tag, id, lease] = &args[..] else {
        return usage();
    };
    let (Some(adapter), Ok(lease)) = (Adapter::named(adapter), lease.parse()) else {
        return usage();
    };
    let lease = Duration::from_millis(lease);
    let ours = Ours::start(adapter, url, tag, |builder| builder.lease(lease)).await;
    let compute = |_| async {
        say("computing");
        // Apart, so that the lease is renewed meanwhile.
        let line = tokio::task::spawn_blocking(|| stdin().lines().next());
        match line.await {
            Ok(Some(Ok(value))) => Ok(value),
            other => Err(format!("no value: {other:?}")),
        }
    };
    match ours.likes.get_or_compute(id, compute).await {
        Ok(value) => {
            say(&value);
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// One line, at once.
fn say(line: &str) {
    let mut out = stdout().lock();
    // Whoever listened may be gone: nothing to do about that.
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

fn usage() -> ExitCode {
    eprintln!("holder redis-rs|redis-rs-pooled|fred URL TAG ID LEASE_MS");
    ExitCode::from(2)
}
