//! Bytes on a cluster's bus, as the kernel counts them: `ss -tin`.

use std::collections::HashMap;

use anyhow::{Context, Result, ensure};
use memolock_testkit::TestServer;
use tokio::process::Command;

/// A node's bus listens this far above its port, unless it is told otherwise.
const ABOVE: u16 = 10_000;

/// Bytes received by each socket, by its own place and its peer's.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Bus(HashMap<(String, String), u64>);

impl Bus {
    /// Asks the kernel.
    ///
    /// # Errors
    /// Where there is no `ss`, or it fails.
    pub(super) async fn look() -> Result<Self> {
        let said = Command::new("ss").arg("-tinH").output().await;
        let said = said.context("cannot start ss, which is in the package iproute2")?;
        ensure!(said.status.success(), "ss failed");
        Ok(Self::parse(&String::from_utf8_lossy(&said.stdout)))
    }

    /// Two lines a socket: state, queues and places; then, indented, what is known of it.
    fn parse(said: &str) -> Self {
        let mut sockets = HashMap::new();
        let mut place = None;
        for line in said.lines() {
            let mut words = line.split_whitespace();
            if !line.starts_with(char::is_whitespace) {
                let mut places = words.skip(3).map(str::to_owned);
                place = places.next().zip(places.next());
                continue;
            }
            let received = words.find_map(|word| word.strip_prefix("bytes_received:"));
            let received = received.and_then(|bytes| bytes.parse().ok());
            if let Some((place, bytes)) = place.take().zip(received) {
                sockets.insert(place, bytes);
            }
        }
        Self(sockets)
    }

    /// What peers have sent to the bus of `node` since `before`, answers to its own pings aside: these come by
    /// connections that it made.
    pub(super) fn received(&self, node: &TestServer, before: &Self) -> u64 {
        self.received_by(node.port().saturating_add(ABOVE), before)
    }

    fn received_by(&self, port: u16, before: &Self) -> u64 {
        let suffix = format!(":{port}");
        let its = self.0.iter().filter(|((own, _), _)| own.ends_with(&suffix));
        its.map(|(place, bytes)| bytes.saturating_sub(before.0.get(place).copied().unwrap_or(0)))
            .sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(first: u64, second: u64) -> String {
        format!(
            "ESTAB 0 0 127.0.0.1:17001 127.0.0.1:50001\n\
             \t cubic wscale:7,7 rto:204 bytes_sent:11 bytes_acked:11 bytes_received:{first} segs_out:2\n\
             ESTAB 0      0          127.0.0.1:17001    127.0.0.1:50002   \n\
             \t cubic bytes_received:{second} segs_out:2\n\
             ESTAB 0 0 127.0.0.1:7001 127.0.0.1:50003\n\t cubic bytes_received:999\n\
             SYN-SENT 0 1 127.0.0.1:17001 127.0.0.1:50004\n\t cubic rto:1000\n"
        )
    }

    #[test]
    fn sockets_of_a_bus_are_added_up() {
        let (before, after) = (Bus::parse(&said(100, 10)), Bus::parse(&said(180, 30)));
        assert_eq!(after.received_by(17_001, &before), 100);
        assert_eq!(
            after.received_by(17_001, &Bus::default()),
            210,
            "new ones count whole"
        );
        assert_eq!(after.received_by(7_001, &Bus::default()), 999);
        assert_eq!(after.received_by(1, &before), 0);
    }

    #[test]
    fn nonsense_has_no_sockets() {
        for said in [
            "",
            "\t bytes_received:1\n",
            "ESTAB 0\n\t bytes_received:1\n",
            "a b c d e\n\t x\n",
        ] {
            assert_eq!(Bus::parse(said), Bus::default(), "{said:?}");
        }
    }
}
