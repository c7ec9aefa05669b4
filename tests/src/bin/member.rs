//! A process of ours that is steered by lines of JSON: see `memolock_tests::interop`.

use std::collections::HashMap;
use std::io::{Write, stdin, stdout};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use memolock::{Error, Memo, Notifications};
use memolock_tests::interop::{Order, Told};
use memolock_tests::{Adapter, HANG, Ours};
use tokio::sync::{mpsc, oneshot};

type Verdict = Result<String, String>;
/// Computes that wait to be told what comes of them.
type Computes = Arc<Mutex<HashMap<u64, oneshot::Sender<Verdict>>>>;

/// `member ADAPTER URL TAG LEASE_MS [default] [sharded] [trusts=FILE]`: with `default`, the adapter's own bounds for
/// commands, in place of bounds that only a hang would miss; with `sharded`, notifications that stay in their shard;
/// with `trusts`, the authority of a server with TLS.
#[tokio::main(flavor = "current_thread")]
async fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [adapter, url, tag, lease, more @ ..] = &args[..] else {
        panic!("member ADAPTER URL TAG LEASE_MS [default] [sharded] [trusts=FILE]");
    };
    let adapter = Adapter::named(adapter).expect("the name of an adapter");
    let lease = Duration::from_millis(lease.parse().expect("milliseconds"));
    let is = |name| more.iter().any(|word| word == name);
    let bound = (!is("default")).then_some(HANG);
    let kind = match is("sharded") {
        true => Notifications::Sharded,
        false => Notifications::Classic,
    };
    let trusts = more.iter().find_map(|word| word.strip_prefix("trusts="));
    let backend = adapter
        .connect_trusting(url, bound, trusts.map(Path::new))
        .await;
    let ours = Ours::over(backend, tag, |b| b.lease(lease).notifications(kind)).await;
    let (ours, computes) = (Arc::new(ours), Computes::default());
    say(&Told::Ready);

    let (tell, mut orders) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        for line in stdin().lines().map_while(Result::ok) {
            let _ = tell.send(line);
        }
    });
    while let Some(line) = orders.recv().await {
        let order: Order = serde_json::from_str(&line).expect("an order");
        if let Order::End { call, result } = order {
            let compute = lock(&computes).remove(&call).expect("a compute");
            // Its call may have been closed.
            let _ = compute.send(result);
        } else {
            tokio::spawn(carry_out(Arc::clone(&ours), Arc::clone(&computes), order));
        }
    }
}

async fn carry_out(ours: Arc<Ours>, computes: Computes, order: Order) {
    let likes = &ours.likes;
    let (call, result) = match order {
        Order::Ask { call, id } => {
            let compute = |_| async {
                let (end, ended) = oneshot::channel();
                lock(&computes).insert(call, end);
                say(&Told::Computing { call });
                ended.await.unwrap_or_else(|_| Err("nobody".to_owned()))
            };
            (call, found(likes.entry(&id).or_compute(compute).await))
        }
        Order::External { call, id } => {
            let trigger = || async {
                say(&Told::Triggered { call });
                Ok::<_, String>(())
            };
            (call, found(likes.entry(&id).or_external(trigger).await))
        }
        Order::Resolve { call, id, value } => {
            (call, nothing(likes.entry(&id).resolve(&value).await))
        }
        Order::Invalidate { call, id } => (call, nothing(likes.invalidate(&id).await)),
        Order::Get { call, id } => {
            let got = likes.get(&id).await.map_err(|e| e.to_string());
            let stored = |v: Arc<String>| ((*v).clone(), "Hit".to_owned());
            (call, got.map(|value| value.map(stored)))
        }
        Order::Close { call } => {
            likes.close().await;
            (call, Ok(None))
        }
        Order::End { .. } => return,
    };
    say(&Told::Ended { call, result });
}

type Found = Result<Option<(String, String)>, String>;

fn found(result: Result<Memo<String>, Error>) -> Found {
    let memo = result.map_err(|e| e.to_string())?;
    let source = format!("{:?}", memo.source());
    Ok(Some(((*memo).clone(), source)))
}

fn nothing(result: Result<(), Error>) -> Found {
    result.map(|()| None).map_err(|e| e.to_string())
}

fn lock<T>(shared: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One line, at once.
fn say(told: &Told) {
    let line = serde_json::to_string(told).expect("plain data is JSON");
    let mut out = stdout().lock();
    // Whoever listened may be gone: nothing to do about that.
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}
