//! The machine that figures are from: they mean nothing without it.

use std::fs;

use anyhow::Result;
use memolock_testkit::TestServer;
use serde::Serialize;

use crate::server::Facts;

/// A machine, its server, and what else it was doing.
#[derive(Debug, Clone, Serialize)]
pub struct Machine {
    /// The processor's name.
    pub cpu: String,
    /// How many of them this process may use.
    pub cores: usize,
    /// The kernel.
    pub kernel: String,
    /// The server.
    pub server: String,
    /// How many processes wanted a core over the last minute, before anything was measured.
    pub load: Option<f64>,
}

impl Machine {
    /// Looks at it. What cannot be found out is called unknown.
    ///
    /// # Errors
    /// If the server does not answer.
    pub async fn look(server: &TestServer) -> Result<Self> {
        let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease");
        let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
        Ok(Self {
            cpu: model(&cpuinfo).unwrap_or("unknown").to_owned(),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            kernel: kernel.map_or("unknown".to_owned(), |kernel| kernel.trim().to_owned()),
            server: Facts::version(server).await?,
            load: load.split(' ').next().and_then(|load| load.parse().ok()),
        })
    }

    /// One line.
    #[must_use]
    pub fn line(&self) -> String {
        let load = self
            .load
            .map_or("unknown".to_owned(), |load| format!("{load:.1}"));
        let Self {
            cpu,
            cores,
            kernel,
            server,
            ..
        } = self;
        format!("{cpu}, {cores} cores, Linux {kernel}, {server} on loopback, load {load}")
    }
}

fn model(cpuinfo: &str) -> Option<&str> {
    let mut fields = cpuinfo.lines().filter_map(|line| line.split_once(':'));
    fields
        .find(|(key, _)| key.trim() == "model name")
        .map(|(_, value)| value.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_processor_is_named() {
        let info = "processor\t: 0\nmodel name\t: A Good One @ 2.0GHz\nflags\t: x\n";
        assert_eq!(model(info), Some("A Good One @ 2.0GHz"));
        assert_eq!(model("processor: 0"), None);
    }
}
