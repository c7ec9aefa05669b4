//! Running the binary against a server of the test's own, never longer than a hang would show.

// Each test file uses its own part of this.
#![allow(dead_code)]

use std::process::{Output, Stdio};
use std::time::Duration;

use memolock_testkit::{Monitor, TestServer};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStderr, Command};
use tokio::time::timeout;

/// Far beyond what anything here takes, and short enough for a test that hangs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// The binary, with nothing of the tester's own environment that would change what it does.
pub(crate) fn memolock(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_memolock"));
    command
        .args(args)
        .env_remove("MEMOLOCK_URL")
        .env_remove("MEMOLOCK_TLS_CA")
        .env_remove("MEMOLOCK_TLS_CERT")
        .env_remove("MEMOLOCK_TLS_KEY")
        .env_remove("RUST_LOG")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

/// The same, with its stdin as descriptor 3 too: the command of a `run` has no stdin of its own, and may read that.
#[cfg(unix)]
pub(crate) fn with_descriptor_3(command: &Command) -> Command {
    in_shell("exec \"$0\" \"$@\" 3<&0", command)
}

/// The same, by a shell: its script has the program as `$0` and the words behind it as `$@`.
#[cfg(unix)]
pub(crate) fn in_shell(script: &str, command: &Command) -> Command {
    let inner = command.as_std();
    let mut outer = Command::new("sh");
    outer
        .args(["-c", script])
        .arg(inner.get_program())
        .args(inner.get_args())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    for (name, value) in inner.get_envs() {
        match value {
            Some(value) => outer.env(name, value),
            None => outer.env_remove(name),
        };
    }
    outer
}

/// The names of the backends over Redis.
pub(crate) fn backends() -> Vec<&'static str> {
    let mut backends = vec!["redis-rs"];
    #[cfg(feature = "deadpool")]
    backends.push("redis-rs-pooled");
    #[cfg(feature = "fred")]
    backends.push("fred");
    backends
}

/// A server that nobody else uses.
pub(crate) async fn server() -> TestServer {
    TestServer::start_local().await.expect("a server")
}

/// The binary with this server as its default.
pub(crate) fn on(server: &TestServer, args: &[&str]) -> Command {
    let mut command = memolock(args);
    command.env("MEMOLOCK_URL", server.url());
    command
}

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
}

impl Ended {
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.stdout).expect("UTF-8 on stdout")
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.stdout).unwrap_or_else(|e| panic!("{e} in {self:?}"))
    }

    /// Exit code and one line on stderr that begins with our name.
    pub(crate) fn fails(&self, code: i32) -> &str {
        assert_eq!(self.code, Some(code), "{self:?}");
        assert_eq!(self.stderr.lines().count(), 1, "{self:?}");
        let line = self.stderr.trim_end().strip_prefix("memolock: ");
        line.unwrap_or_else(|| panic!("{self:?}"))
    }

    /// Exit code 0 and nothing on stderr.
    pub(crate) fn succeeds(&self) -> &Self {
        assert_eq!((self.code, &*self.stderr), (Some(0), ""), "{self:?}");
        self
    }
}

impl From<Output> for Ended {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: output.stdout,
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

pub(crate) async fn run(mut command: Command) -> Ended {
    finish(command.spawn().expect("the binary")).await
}

pub(crate) async fn run_with_input(mut command: Command, input: &[u8]) -> Ended {
    let mut child = command.stdin(Stdio::piped()).spawn().expect("the binary");
    let mut stdin = child.stdin.take().expect("a pipe");
    stdin.write_all(input).await.expect("it reads");
    drop(stdin);
    finish(child).await
}

/// Waits for the end, and takes the rest of its output.
pub(crate) async fn finish(child: Child) -> Ended {
    let output = timeout(PATIENCE, child.wait_with_output()).await;
    output.expect("it ends").expect("its output").into()
}

/// Waits until a client sends this command.
pub(crate) async fn sees(monitor: &mut Monitor, name: &str) {
    sees_one_of(monitor, &[name]).await;
}

/// Waits until a client runs a script.
pub(crate) async fn sees_script(monitor: &mut Monitor) {
    sees_one_of(monitor, &["EVAL", "EVALSHA"]).await;
}

async fn sees_one_of(monitor: &mut Monitor, names: &[&str]) {
    let seen = async {
        loop {
            let next = monitor.next().await.expect("a command");
            if !next.from_script() && names.contains(&&*next.name()) {
                return;
            }
        }
    };
    let seen = timeout(PATIENCE, seen).await;
    seen.unwrap_or_else(|_| panic!("no {names:?}"));
}

/// A `run` whose command has begun, and goes on until its descriptor 3 ends: our stdin.
#[cfg(unix)]
pub(crate) struct Holder {
    pub(crate) child: Child,
    stderr: Lines<BufReader<ChildStderr>>,
}

#[cfg(unix)]
impl Holder {
    /// Of the key `likes:x`.
    pub(crate) async fn start(server: &TestServer, lease: &str) -> Self {
        Self::begin(server.url(), &["--lease", lease]).await
    }

    /// Of the same key, with these options.
    pub(crate) async fn begin(url: &str, options: &[&str]) -> Self {
        Self::running(url, options, "echo begun >&2; exec cat <&3").await
    }

    /// Runs a script that says so when it has begun.
    pub(crate) async fn running(url: &str, options: &[&str], script: &str) -> Self {
        let key = ["run", "--url", url, "--tag", "likes", "--id", "x"];
        let args = [&key[..], options, &["--", "sh", "-c", script]].concat();
        Self::spawn(&mut with_descriptor_3(&memolock(&args))).await
    }

    /// Whatever runs such a script.
    pub(crate) async fn spawn(command: &mut Command) -> Self {
        let mut child = command.spawn().expect("the binary");
        let stderr = BufReader::new(child.stderr.take().expect("a pipe")).lines();
        let mut holder = Self { child, stderr };
        assert_eq!(holder.line().await.as_deref(), Some("begun"));
        holder
    }

    /// The next line of its stderr.
    async fn line(&mut self) -> Option<String> {
        let line = timeout(PATIENCE, self.stderr.next_line()).await;
        line.expect("a line or the end").expect("UTF-8")
    }

    /// Gives the command its output, ends its stdin, and waits.
    pub(crate) async fn end(mut self, output: &str) -> Ended {
        let mut stdin = self.child.stdin.take().expect("a pipe");
        stdin.write_all(output.as_bytes()).await.expect("it reads");
        drop(stdin);
        self.finish().await
    }

    /// Waits for the end of whoever has its stderr: the command, too.
    pub(crate) async fn finish(mut self) -> Ended {
        let mut stderr = String::new();
        while let Some(line) = self.line().await {
            stderr = stderr + &line + "\n";
        }
        Ended {
            stderr,
            ..finish(self.child).await
        }
    }
}
