//! What a server says of itself: commands, bytes and processor time.

use std::ops::Sub;
use std::time::Duration;

use anyhow::{Context, Result};
use memolock_testkit::TestServer;

/// What a server has done so far. The difference of two says what happened between.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Facts {
    /// Commands executed, those within scripts included.
    pub executed: u64,
    /// Bytes received.
    pub received: u64,
    /// Bytes sent.
    pub sent: u64,
    /// Processor time, user and system.
    pub cpu: Duration,
}

impl Facts {
    /// Asks the server; costs a command and a few kilobytes, which count from there on.
    ///
    /// # Errors
    /// If it does not answer, or not all.
    pub async fn of(server: &TestServer) -> Result<Self> {
        let info = server.command(&["INFO"]).await?;
        Self::parse(info.as_str().context("INFO is text")?)
    }

    fn parse(info: &str) -> Result<Self> {
        let field = |name: &str| {
            let line = info.lines().filter_map(|line| line.split_once(':'));
            let mut found = line.filter(|(key, _)| *key == name);
            let (_, value) = found
                .next()
                .with_context(|| format!("INFO has no {name}"))?;
            value
                .trim()
                .parse::<f64>()
                .with_context(|| format!("{name} is no number"))
        };
        let cpu = field("used_cpu_user")? + field("used_cpu_sys")?;
        Ok(Self {
            executed: field("total_commands_processed")? as u64,
            received: field("total_net_input_bytes")? as u64,
            sent: field("total_net_output_bytes")? as u64,
            cpu: Duration::try_from_secs_f64(cpu).context("no time")?,
        })
    }

    /// Its version, such as `Redis 7.0.15`.
    ///
    /// # Errors
    /// If it does not answer.
    pub async fn version(server: &TestServer) -> Result<String> {
        let info = server.command(&["INFO", "server"]).await?;
        let info = info.as_str().context("INFO is text")?;
        let field = |name| {
            let mut lines = info.lines().filter_map(|line| line.split_once(':'));
            lines.find(|(key, _)| *key == name)
        };
        Ok(match (field("valkey_version"), field("redis_version")) {
            (Some((_, version)), _) => format!("Valkey {version}"),
            (None, Some((_, version))) => format!("Redis {version}"),
            (None, None) => "a server without a version".to_owned(),
        })
    }
}

impl Sub for Facts {
    type Output = Self;

    fn sub(self, before: Self) -> Self {
        Self {
            executed: self.executed.saturating_sub(before.executed),
            received: self.received.saturating_sub(before.received),
            sent: self.sent.saturating_sub(before.sent),
            cpu: self.cpu.saturating_sub(before.cpu),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INFO: &str = "# Stats\r\ntotal_commands_processed:7\r\ntotal_net_input_bytes:100\r\n\
        total_net_output_bytes:2000\r\n# CPU\r\nused_cpu_sys:0.25\r\nused_cpu_user:1.5\r\n";

    #[test]
    fn info_is_read() {
        let facts = Facts::parse(INFO).unwrap();
        assert_eq!((facts.executed, facts.received, facts.sent), (7, 100, 2000));
        assert_eq!(facts.cpu, Duration::from_millis(1750));
        assert_eq!(facts - facts, Facts::default());
    }

    #[test]
    fn what_is_missing_is_named() {
        let error = Facts::parse(&INFO.replace("input", "x")).unwrap_err();
        assert!(error.to_string().contains("total_net_input_bytes"));
        assert!(Facts::parse(&INFO.replace(":7", ":seven")).is_err());
        assert!(Facts::parse(&INFO.replace("1.5", "-9.5")).is_err());
    }
}
