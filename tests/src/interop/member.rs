//! A member of the fleet: a process over one adapter, and what it has said.

use std::collections::VecDeque;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use memolock::Notifications;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

use super::wire::{Order, Told};
use crate::{Adapter, Ground, HANG};

/// How a call of a member ended.
pub type Ending = Result<Option<(String, String)>, String>;

/// The process. It is killed when it is dropped.
pub struct Member {
    child: Child,
    orders: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
    /// Said, and not asked for yet.
    said: VecDeque<Told>,
    calls: u64,
}

impl Member {
    /// Starts the member's `program` and waits until it is connected.
    ///
    /// # Panics
    /// If it does not come up.
    pub async fn start(
        program: &Path,
        adapter: Adapter,
        url: &str,
        tag: &str,
        lease: Duration,
    ) -> Self {
        Self::start_with(program, adapter, url, tag, lease, &[]).await
    }

    /// The same on a ground, which it trusts.
    ///
    /// # Panics
    /// If it does not come up.
    pub async fn start_on(
        program: &Path,
        adapter: Adapter,
        ground: &Ground,
        tag: &str,
        lease: Duration,
    ) -> Self {
        let trusts = trusts(ground);
        let more: Vec<&str> = trusts.iter().map(String::as_str).collect();
        Self::start_with(program, adapter, ground.url(), tag, lease, &more).await
    }

    /// The same with the adapter's own bounds for commands: it meets outages.
    ///
    /// # Panics
    /// If it does not come up.
    pub async fn start_hasty(
        program: &Path,
        adapter: Adapter,
        ground: &Ground,
        tag: &str,
        lease: Duration,
        notifications: Notifications,
    ) -> Self {
        let trusts = trusts(ground);
        let mut more = vec!["default"];
        if notifications.is_sharded() {
            more.push("sharded");
        }
        more.extend(trusts.as_deref());
        Self::start_with(program, adapter, ground.url(), tag, lease, &more).await
    }

    async fn start_with(
        program: &Path,
        adapter: Adapter,
        url: &str,
        tag: &str,
        lease: Duration,
        more: &[&str],
    ) -> Self {
        let mut child = Command::new(program)
            .args([&adapter.to_string(), url, tag])
            .arg(lease.as_millis().to_string())
            .args(more)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|e| panic!("{}: {e}", program.display()));
        let (orders, output) = child.stdin.take().zip(child.stdout.take()).expect("pipes");
        let mut member = Self {
            child,
            orders,
            output: BufReader::new(output).lines(),
            said: VecDeque::new(),
            calls: 0,
        };
        member.hear(|told| *told == Told::Ready).await;
        member
    }

    /// Asks for `id`; what becomes of it is told by [`computes`](Self::computes) and [`ended`](Self::ended).
    pub async fn ask(&mut self, id: &str) -> u64 {
        let id = id.to_owned();
        self.order(|call| Order::Ask { call, id }).await
    }

    /// Asks for `id`, which another program makes.
    pub async fn external(&mut self, id: &str) -> u64 {
        let id = id.to_owned();
        self.order(|call| Order::External { call, id }).await
    }

    /// Ends a compute.
    pub async fn end(&mut self, call: u64, result: Result<&str, &str>) {
        let result = result.map(str::to_owned).map_err(str::to_owned);
        self.send(&Order::End { call, result }).await;
    }

    /// Stores a value as an external program does.
    pub async fn resolve(&mut self, id: &str, value: &str) -> Ending {
        let (id, value) = (id.to_owned(), value.to_owned());
        let call = self.order(|call| Order::Resolve { call, id, value }).await;
        self.ended(call).await
    }

    /// Deletes a value.
    pub async fn invalidate(&mut self, id: &str) -> Ending {
        let id = id.to_owned();
        let call = self.order(|call| Order::Invalidate { call, id }).await;
        self.ended(call).await
    }

    /// What is stored.
    pub async fn get(&mut self, id: &str) -> Ending {
        let id = id.to_owned();
        let call = self.order(|call| Order::Get { call, id }).await;
        self.ended(call).await
    }

    /// Closes it.
    pub async fn close(&mut self) -> Ending {
        let call = self.order(|call| Order::Close { call }).await;
        self.ended(call).await
    }

    /// Waits until the call computes.
    ///
    /// # Panics
    /// If it ends without, or hangs.
    pub async fn computes(&mut self, which: u64) {
        let told = self
            .hear(|told| matches!(told, Told::Computing { call } | Told::Ended { call, .. } if *call == which))
            .await;
        assert_eq!(told, Told::Computing { call: which }, "it should compute");
    }

    /// Waits until all of `calls` have ended with `value`; one that computes is told to make just that. Returns
    /// how many computed.
    ///
    /// # Panics
    /// If a call ends otherwise, or hangs.
    pub async fn herd(&mut self, calls: &[u64], value: &str) -> u32 {
        let mut computes = 0;
        let mut open = calls.len();
        while open > 0 {
            let told = self
                .hear(|told| matches!(told, Told::Computing { .. } | Told::Ended { .. }))
                .await;
            match told {
                Told::Ended { result, .. } => {
                    let found = result.unwrap_or_else(|e| panic!("{e}"));
                    assert_eq!(found.map(|(found, _)| found).as_deref(), Some(value));
                    open -= 1;
                }
                Told::Computing { call } => {
                    computes += 1;
                    self.end(call, Ok(value)).await;
                }
                _ => {}
            }
        }
        computes
    }

    /// Waits until the call's trigger has run.
    pub async fn triggers(&mut self, which: u64) {
        self.hear(|told| *told == Told::Triggered { call: which })
            .await;
    }

    /// How the call ended.
    ///
    /// # Panics
    /// If it computes, or hangs.
    pub async fn ended(&mut self, which: u64) -> Ending {
        let told = self
            .hear(|told| matches!(told, Told::Computing { call } | Told::Ended { call, .. } if *call == which))
            .await;
        match told {
            Told::Ended { result, .. } => result,
            other => panic!("it should not compute: {other:?}"),
        }
    }

    /// Its process id, until it has been waited for.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// Kills it, as the system does: it has no time for anything.
    ///
    /// # Panics
    /// If it cannot be killed.
    pub async fn kill(mut self) {
        self.child.kill().await.unwrap_or_else(|e| panic!("{e}"));
    }

    async fn order(&mut self, order: impl FnOnce(u64) -> Order) -> u64 {
        self.calls += 1;
        self.send(&order(self.calls)).await;
        self.calls
    }

    async fn send(&mut self, order: &Order) {
        let line = serde_json::to_string(order).expect("plain data is JSON") + "\n";
        let sent = self.orders.write_all(line.as_bytes()).await;
        sent.unwrap_or_else(|e| panic!("the member is gone: {e}"));
    }

    /// The first thing said, or to be said, that `is` what is waited for. The rest is kept.
    async fn hear(&mut self, is: impl Fn(&Told) -> bool) -> Told {
        if let Some(at) = self.said.iter().position(&is) {
            return self.said.remove(at).expect("it was just found");
        }
        loop {
            let line = timeout(HANG, self.output.next_line()).await;
            let line = line.unwrap_or_else(|_| panic!("a hang; said: {:?}", self.said));
            let line = line.unwrap_or_else(|e| panic!("{e}"));
            let line = line.unwrap_or_else(|| panic!("it died; said: {:?}", self.said));
            let told = serde_json::from_str(&line).unwrap_or_else(|e| panic!("{line}: {e}"));
            if is(&told) {
                return told;
            }
            self.said.push_back(told);
        }
    }
}

/// What a member is told of the authority that it has to trust.
fn trusts(ground: &Ground) -> Option<String> {
    let file = ground.authority()?;
    Some(format!("trusts={}", file.display()))
}
