//! One running instance of the web example, asked by real HTTP.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use serde_json::Value;

use crate::built::example;

/// A bound that only a hang would miss, however loaded the machine is.
pub(crate) const HANG: Duration = Duration::from_secs(60);

/// It is killed when it is dropped.
pub(crate) struct Website {
    child: Child,
    printed: Receiver<String>,
    address: String,
}

impl Website {
    /// Starts one over the server at `url`, or over the embedded backend, on a port of its own.
    pub(crate) fn start(url: Option<&str>) -> Self {
        Self::with(url, &[])
    }

    /// With more in its environment.
    pub(crate) fn with(url: Option<&str>, env: &[(&str, &str)]) -> Self {
        let mut child = Command::new(example("web"))
            .args(["--listen", "127.0.0.1:0"])
            .env("MEMOLOCK_URL", url.unwrap_or_default())
            .envs(env.iter().copied())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let (tell, printed) = channel();
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                let _ = tell.send(line);
            }
        });
        let mut site = Self {
            child,
            printed,
            address: String::new(),
        };
        let line = site.says("listening on ");
        let address = line.split_whitespace().nth(2).unwrap();
        site.address = address.to_owned();
        site
    }

    /// Asks for a path: the status and the JSON that came back.
    pub(crate) fn get(&self, path: &str) -> (u16, Value) {
        get(&self.address, path)
    }

    /// The same from a thread of its own.
    pub(crate) fn getting(&self, path: &str) -> std::thread::JoinHandle<(u16, Value)> {
        let (address, path) = (self.address.clone(), path.to_owned());
        std::thread::spawn(move || get(&address, &path))
    }

    /// How often it has computed.
    pub(crate) fn computes(&self) -> u64 {
        let (status, health) = self.get("/health");
        assert_eq!(status, 200);
        health["computes"].as_u64().unwrap()
    }

    /// Waits for a line that begins so.
    pub(crate) fn says(&self, begin: &str) -> String {
        loop {
            let line = self.printed.recv_timeout(HANG);
            let line = line.unwrap_or_else(|_| panic!("it never said `{begin}`"));
            if line.starts_with(begin) {
                return line;
            }
        }
    }

    /// Tells it to stop, as an orchestrator does.
    pub(crate) fn terminate(&self) {
        let pid = self.child.id().to_string();
        let kill = Command::new("kill").args(["-TERM", &pid]).status();
        assert!(kill.unwrap().success());
    }

    /// Waits until it has ended.
    pub(crate) fn ended(mut self) -> ExitStatus {
        self.says("closed");
        self.child.wait().unwrap()
    }
}

impl Drop for Website {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn get(address: &str, path: &str) -> (u16, Value) {
    let config = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(HANG))
        .build();
    let agent = ureq::Agent::new_with_config(config);
    let mut answer = agent.get(format!("http://{address}{path}")).call().unwrap();
    let text = answer.body_mut().read_to_string().unwrap();
    let json = serde_json::from_str(&text).unwrap_or(Value::String(text));
    (answer.status().as_u16(), json)
}
