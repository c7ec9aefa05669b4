//! A server as a child process on a loopback port.

use std::ffi::OsString;
use std::fs::File;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::watcher::Watcher;
use super::{Address, STARTUP};
use crate::connection::Connection;

/// How often another port is tried.
const PORTS: usize = 8;
/// Ports below those that systems hand out to outgoing connections: a client that keeps connecting
/// to a stopped server can then never meet itself there, nor anybody else take the port.
const FIRST_PORT: u16 = 10_240;
const PORT_COUNT: u64 = 22_000;

/// One server program, its directory and its port.
#[derive(Debug)]
pub(super) struct Local {
    program: PathBuf,
    options: Vec<OsString>,
    dir: tempfile::TempDir,
    address: Address,
    process: Mutex<Option<Process>>,
}

/// The child, and who ends it if we cannot.
#[derive(Debug)]
struct Process {
    child: Child,
    watcher: Option<Watcher>,
}

impl Local {
    pub(super) async fn start(program: &Path, options: &[&str]) -> Result<Self, String> {
        let dir =
            tempfile::tempdir().map_err(|error| format!("no temporary directory: {error}"))?;
        let mut local = Self {
            program: program.to_owned(),
            options: options.iter().map(Into::into).collect(),
            dir,
            address: Address::plain("127.0.0.1", 0),
            process: Mutex::new(None),
        };
        let mut last = String::new();
        for _ in 0..PORTS {
            local.address = Address::plain("127.0.0.1", free_port()?);
            match local.run().await {
                Ok(()) => return Ok(local),
                // Somebody else was quicker to take the port.
                Err(error) if error.contains("already in use") => last = error,
                Err(error) => return Err(error),
            }
        }
        Err(last)
    }

    pub(super) fn address(&self) -> &Address {
        &self.address
    }

    /// Starts the program and waits until it answers. Its data is gone, whatever it held before.
    pub(super) async fn run(&self) -> Result<(), String> {
        self.kill();
        let process = Process::spawn(self.command(), &self.log())
            .map_err(|error| format!("{} does not start: {error}", self.program.display()))?;
        *self.lock() = Some(process);
        let deadline = Instant::now() + STARTUP;
        while Instant::now() < deadline {
            if let Some(status) = self.exited() {
                let log = self.last_words();
                return Err(format!(
                    "{} ended with {status}: {log}",
                    self.program.display()
                ));
            }
            if self.answers().await {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        self.kill();
        Err(format!(
            "{} gave no answer within {STARTUP:?}",
            self.program.display()
        ))
    }

    /// Ends it at once, as a power cut would.
    pub(super) fn kill(&self) {
        *self.lock() = None;
    }

    /// Ends it in good order.
    pub(super) async fn stop(&self) -> Result<(), String> {
        self.signal(Signal::Terminate)?;
        let deadline = Instant::now() + STARTUP;
        while Instant::now() < deadline && self.exited().is_none() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        self.kill();
        Ok(())
    }

    pub(super) fn signal(&self, signal: Signal) -> Result<(), String> {
        match self.lock().as_ref() {
            Some(process) => signal.send(&process.child),
            None => Err("it is not running".into()),
        }
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command
            .args(["--port", &self.address.port().to_string()])
            .args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
            .args(["--daemonize", "no", "--dir"])
            .arg(self.dir.path())
            .args(&self.options)
            .current_dir(self.dir.path());
        command
    }

    /// Whether our child answers, and not another server that took the port first.
    async fn answers(&self) -> bool {
        let Ok(mut connection) = Connection::open(&self.address).await else {
            return false;
        };
        if connection.command(&["PING"]).await.is_err() {
            return false;
        }
        let dir = connection.command(&["CONFIG", "GET", "dir"]).await;
        let ours = self.dir.path().canonicalize();
        match (dir, ours) {
            (Ok(reply), Ok(ours)) => reply
                .items()
                .get(1)
                .and_then(crate::Value::as_str)
                .is_some_and(|dir| Path::new(dir) == ours),
            _ => false,
        }
    }

    fn exited(&self) -> Option<String> {
        let mut guard = self.lock();
        let process = guard.as_mut()?;
        match process.child.try_wait() {
            Ok(status) => status.map(|status| status.to_string()),
            Err(error) => Some(error.to_string()),
        }
    }

    fn log(&self) -> PathBuf {
        self.dir.path().join("server.log")
    }

    fn last_words(&self) -> String {
        let log = std::fs::read_to_string(self.log()).unwrap_or_default();
        super::last_words(&log)
    }

    fn lock(&self) -> MutexGuard<'_, Option<Process>> {
        // What it guards is replaced whole, so a panic elsewhere leaves nothing half done.
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Process {
    /// Output goes to `log`: a program that does not like an option says so there.
    fn spawn(mut command: Command, log: &Path) -> std::io::Result<Self> {
        let output = File::create(log)?;
        let child = command
            .stdin(Stdio::null())
            .stderr(output.try_clone()?)
            .stdout(output)
            .spawn()?;
        let watcher = Watcher::spawn("kill -9 \"$1\"", &child.id().to_string());
        Ok(Self { child, watcher })
    }
}

/// A paused process is killed all the same; waiting for it takes its process id off the table.
impl Drop for Process {
    fn drop(&mut self) {
        // The watcher goes first: once the child is gone, its process id may be somebody else's.
        drop(self.watcher.take());
        // Both fail only if the child is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a server process is told.
#[derive(Debug, Clone, Copy)]
pub(super) enum Signal {
    Terminate,
    Pause,
    Resume,
}

impl Signal {
    #[cfg(unix)]
    fn send(self, child: &Child) -> Result<(), String> {
        use rustix::process::{Pid, Signal, kill_process};
        let signal = match self {
            Self::Terminate => Signal::TERM,
            Self::Pause => Signal::STOP,
            Self::Resume => Signal::CONT,
        };
        kill_process(Pid::from_child(child), signal).map_err(|error| error.to_string())
    }

    #[cfg(not(unix))]
    fn send(self, _: &Child) -> Result<(), String> {
        Err("only Unix can do this to a local process, use Docker".into())
    }
}

/// A port that nobody listens on at this moment.
pub(super) fn free_port() -> Result<u16, String> {
    for _ in 0..100 {
        let random = RandomState::new().build_hasher().finish();
        // Below PORT_COUNT, which fits.
        let port = FIRST_PORT + (random % PORT_COUNT) as u16;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return Ok(port);
        }
    }
    Err("no free port on 127.0.0.1".into())
}
