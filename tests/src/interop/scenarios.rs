//! What can happen between a holder and a waiter, whatever their adapters.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use super::{Ending, Meeting};

/// A scenario panics where it fails.
pub type Outcome = Pin<Box<dyn Future<Output = ()> + Send>>;

/// One scenario and its name.
#[derive(Clone, Copy)]
pub struct Scenario {
    /// For reports.
    pub name: &'static str,
    /// Plays it.
    pub play: fn(Meeting) -> Outcome,
}

/// All of them.
pub const SCENARIOS: [Scenario; 8] = [
    Scenario {
        name: "value",
        play: |m| Box::pin(value(m)),
    },
    Scenario {
        name: "failure",
        play: |m| Box::pin(failure(m)),
    },
    Scenario {
        name: "crash",
        play: |m| Box::pin(crash(m)),
    },
    Scenario {
        name: "invalidation",
        play: |m| Box::pin(invalidation(m)),
    },
    Scenario {
        name: "external",
        play: |m| Box::pin(external(m)),
    },
    Scenario {
        name: "stranger",
        play: |m| Box::pin(stranger(m)),
    },
    Scenario {
        name: "renewal",
        play: |m| Box::pin(renewal(m)),
    },
    Scenario {
        name: "close",
        play: |m| Box::pin(close(m)),
    },
];

fn found(value: &str, source: &str) -> Ending {
    Ok(Some((value.to_owned(), source.to_owned())))
}

/// The holder computes, the waiter is woken with the value and computes nothing.
async fn value(meeting: Meeting) {
    let (mut holder, mut waiter) = meeting.both().await;
    let held = holder.ask("a").await;
    holder.computes(held).await;
    let awaited = waiter.ask("a").await;
    meeting.listening("a", 1).await;
    holder.end(held, Ok("v")).await;
    assert_eq!(holder.ended(held).await, found("v", "Computed"));
    assert_eq!(waiter.ended(awaited).await, found("v", "Awaited"));
    assert_eq!(waiter.get("a").await, found("v", "Hit"));
    meeting.unlocked("a").await;
}

/// The holder's compute fails: its caller has the error, and the waiter goes on at once.
async fn failure(meeting: Meeting) {
    let (mut holder, mut waiter) = meeting.both().await;
    let held = holder.ask("a").await;
    holder.computes(held).await;
    let awaited = waiter.ask("a").await;
    meeting.listening("a", 1).await;
    holder.end(held, Err("no luck")).await;
    let failed = holder.ended(held).await.expect_err("it ends with an error");
    assert!(failed.contains("no luck"), "{failed}");
    waiter.computes(awaited).await;
    waiter.end(awaited, Ok("second")).await;
    assert_eq!(waiter.ended(awaited).await, found("second", "Computed"));
    assert_eq!(holder.get("a").await, found("second", "Hit"));
    meeting.unlocked("a").await;
}

/// The holder is killed: the waiter goes on when the lease has run out.
async fn crash(meeting: Meeting) {
    let (mut holder, mut waiter) = meeting.both_brief().await;
    let held = holder.ask("a").await;
    holder.computes(held).await;
    let awaited = waiter.ask("a").await;
    meeting.listening("a", 1).await;
    holder.kill().await;
    waiter.computes(awaited).await;
    waiter.end(awaited, Ok("second")).await;
    assert_eq!(waiter.ended(awaited).await, found("second", "Computed"));
    meeting.unlocked("a").await;
}

/// The value is invalidated while the holder computes: it keeps its value for itself, and the waiter
/// computes anew.
async fn invalidation(meeting: Meeting) {
    let (mut holder, mut waiter) = meeting.both().await;
    let held = holder.ask("a").await;
    holder.computes(held).await;
    assert_eq!(waiter.invalidate("a").await, Ok(None));
    let anew = waiter.ask("a").await;
    waiter.computes(anew).await;
    holder.end(held, Ok("old")).await;
    assert_eq!(holder.ended(held).await, found("old", "Computed"));
    assert_eq!(waiter.get("a").await, Ok(None));
    waiter.end(anew, Ok("new")).await;
    assert_eq!(waiter.ended(anew).await, found("new", "Computed"));
    assert_eq!(holder.get("a").await, found("new", "Hit"));
}

/// The holder has triggered a program elsewhere; the waiter's process happens to be it.
async fn external(meeting: Meeting) {
    let (mut holder, mut waiter) = meeting.both().await;
    let held = holder.external("a").await;
    holder.triggers(held).await;
    let awaited = waiter.ask("a").await;
    // The holder listens too: it does not compute.
    meeting.listening("a", 2).await;
    assert_eq!(waiter.resolve("a", "made").await, Ok(None));
    assert_eq!(holder.ended(held).await, found("made", "Awaited"));
    assert_eq!(waiter.ended(awaited).await, found("made", "Awaited"));
    meeting.unlocked("a").await;
}

/// The same with a program that knows nothing but the wire.
async fn stranger(meeting: Meeting) {
    let (mut holder, mut waiter) = meeting.both().await;
    let held = holder.external("a").await;
    holder.triggers(held).await;
    let awaited = waiter.ask("a").await;
    meeting.listening("a", 2).await;
    let key = meeting.key("a");
    let (name, notif) = (key.value_name(), key.notif_channel());
    let set = ["SET", &name, "made", "PX", "60000"];
    meeting.ground.command(&name, &set).await;
    let publish = ["PUBLISH", &notif, "made"];
    meeting.ground.command(&name, &publish).await;
    assert_eq!(holder.ended(held).await, found("made", "Awaited"));
    assert_eq!(waiter.ended(awaited).await, found("made", "Awaited"));
    meeting.unlocked("a").await;
}

/// Work that takes twice its lease: the holder keeps it, the waiter waits.
async fn renewal(meeting: Meeting) {
    let (mut holder, mut waiter) = meeting.both_brief().await;
    let held = holder.ask("a").await;
    holder.computes(held).await;
    let awaited = waiter.ask("a").await;
    meeting.listening("a", 1).await;
    // The work itself.
    tokio::time::sleep(Duration::from_secs(4)).await;
    holder.end(held, Ok("v")).await;
    assert_eq!(holder.ended(held).await, found("v", "Computed"));
    assert_eq!(waiter.ended(awaited).await, found("v", "Awaited"));
}

/// The holder closes in the middle of its work: its caller is told, and the waiter goes on at once.
async fn close(meeting: Meeting) {
    let (mut holder, mut waiter) = meeting.both().await;
    let held = holder.ask("a").await;
    holder.computes(held).await;
    let awaited = waiter.ask("a").await;
    meeting.listening("a", 1).await;
    assert_eq!(holder.close().await, Ok(None));
    let closed = holder.ended(held).await.expect_err("it ends with an error");
    assert!(closed.contains("closed"), "{closed}");
    waiter.computes(awaited).await;
    waiter.end(awaited, Ok("second")).await;
    assert_eq!(waiter.ended(awaited).await, found("second", "Computed"));
    meeting.unlocked("a").await;
}
