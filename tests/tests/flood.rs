//! A flood of published values: what it takes of a process whose waiter does not come to read them.
#![cfg(target_os = "linux")]

use futures_util::StreamExt;
use memolock::core::{Event, Keyspace, Layout, Message, Tag};
use memolock_tests::{Adapter, HANG, cli, own_server};
use tokio::time::timeout;

const VALUE: usize = 16 << 20;

/// No more of them than a mailbox has room for, by their number: half a gigabyte.
const VALUES: usize = 31;

/// One value, what is on its way, and what allocators keep.
const BOUND: usize = 160 << 20;

/// The memory of this process that is in use now.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("this is Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<usize>().ok());
    kilobytes.expect("a number") << 10
}

/// One test alone, for it measures its process.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_flood_a_waiter_keeps_one_value_and_a_gap() {
    let server = own_server().await;
    // The server would drop a subscriber that is slow: here it shall not help.
    let unlimited = "pubsub 0 0 0";
    let words = ["CONFIG", "SET", "client-output-buffer-limit", unlimited];
    cli(&server, &words).await;
    let space = Keyspace::new(Tag::new("likes").expect("a tag"), Layout::Classic);
    let space = space.expect("a space");
    let [flooded, after] = ["a", "b"].map(|id| space.key(id).expect("an id"));
    let value = vec![7; VALUE];
    // Over a pool subscriptions are the same.
    for adapter in [Adapter::RedisRs, Adapter::Fred] {
        let backend = adapter.connect(server.url()).await;
        let mut unread = backend.subscribe(&flooded).await.expect("a listener");
        let mut fence = backend.subscribe(&after).await.expect("a listener");
        let mut publisher = server.connect().await.expect("a connection");
        let before = resident();
        for _ in 0..VALUES {
            let channel = flooded.notif_channel();
            let words: [&[u8]; 3] = [b"PUBLISH", channel.as_bytes(), &value];
            publisher.command(&words).await.expect("it is heard");
        }
        let end = after.notif_channel();
        let words = ["PUBLISH", &end, "the end"];
        publisher.command(&words).await.expect("it is heard");
        // It comes over the same connection, after all the others.
        let heard = timeout(HANG, fence.next()).await.expect("a hang");
        let more = resident().saturating_sub(before);
        assert!(more < BOUND, "{adapter}: {} MiB", more >> 20);
        println!(
            "{adapter}: {} MiB of {} MiB",
            more >> 20,
            (VALUES * VALUE) >> 20
        );
        // Whoever reads at last is told to look.
        let mut last = None;
        while let Ok(event) = timeout(std::time::Duration::ZERO, unread.next()).await {
            last = event.or(last);
        }
        let told = matches!(
            last,
            Some(Event::Resumed | Event::Gap | Event::Message(Message::Value(_)))
        );
        assert!(told && heard.is_some(), "{adapter}: {last:?} {heard:?}");
        backend.close().await;
    }
}
