//! A server as a child process on a loopback port.

use std::ffi::OsString;
use std::fs::File;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::ground::BUS;
use super::watcher::Watcher;
use super::{Address, Role, STARTUP};
use crate::connection::Connection;
use crate::info::field;

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
    role: Role,
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
    pub(super) async fn start(
        program: &Path,
        options: &[&str],
        role: Role,
    ) -> Result<Self, String> {
        let dir =
            tempfile::tempdir().map_err(|error| format!("no temporary directory: {error}"))?;
        let mut local = Self {
            program: program.to_owned(),
            options: options.iter().map(Into::into).collect(),
            role,
            dir,
            address: Address::plain("127.0.0.1", 0),
            process: Mutex::new(None),
        };
        let mut last = String::new();
        for _ in 0..PORTS {
            local.address = Address::plain("127.0.0.1", local.free_port()?);
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

    /// Its Unix socket, if it was asked for.
    pub(super) fn socket(&self) -> Option<PathBuf> {
        (self.role == Role::Unix).then(|| self.dir.path().join("server.sock"))
    }

    /// Starts the program and waits until it answers. Its data is gone, whatever it held before; what
    /// it wrote down of its peers is not.
    pub(super) async fn run(&self) -> Result<(), String> {
        self.kill();
        self.prepare()
            .map_err(|error| format!("no file for its settings: {error}"))?;
        let process = Process::spawn(self.command(), &self.log(), self.dir.path())
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
        if self.role == Role::Sentinel {
            command.arg(self.settings()).arg("--sentinel");
        }
        command
            .args(["--port", &self.address.port().to_string()])
            .args(["--bind", "127.0.0.1"])
            .args(["--daemonize", "no", "--dir"])
            .arg(self.dir.path());
        if self.role != Role::Sentinel {
            command.args(["--save", "", "--appendonly", "no"]);
        }
        if self.role == Role::Node {
            command.args(["--cluster-enabled", "yes"]);
            // It would learn its own address from the first peer only.
            command.args(["--cluster-announce-ip", "127.0.0.1"]);
        }
        if let Some(socket) = self.socket() {
            command.arg("--unixsocket").arg(socket);
            command.args(["--unixsocketperm", "700"]);
        }
        command.args(&self.options).current_dir(self.dir.path());
        command
    }

    /// Sees to the file that a sentinel keeps what it knows in, and wants to find.
    fn prepare(&self) -> std::io::Result<()> {
        match self.role {
            Role::Sentinel => File::options()
                .create(true)
                .append(true)
                .open(self.settings())
                .map(drop),
            Role::Server | Role::Unix | Role::Node => Ok(()),
        }
    }

    fn settings(&self) -> PathBuf {
        self.dir.path().join("server.conf")
    }

    fn free_port(&self) -> Result<u16, String> {
        match self.role {
            Role::Node => free_pair(),
            Role::Server | Role::Unix | Role::Sentinel => free_port(),
        }
    }

    /// Whether our child answers, and not another server that took the port first.
    async fn answers(&self) -> bool {
        let Ok(mut connection) = Connection::open(&self.address).await else {
            return false;
        };
        if connection.command(&["PING"]).await.is_err() {
            return false;
        }
        let ours = self.dir.path().canonicalize().ok();
        let dir = match self.role {
            // A sentinel has no CONFIG, and tells the file.
            Role::Sentinel => connection.command(&["INFO", "server"]).await.map(|info| {
                let file = info.as_str().and_then(|info| field(info, "config_file"));
                file.and_then(|file| Path::new(file).parent()?.canonicalize().ok())
            }),
            Role::Server | Role::Unix | Role::Node => {
                let reply = connection.command(&["CONFIG", "GET", "dir"]).await;
                reply.map(|reply| Some(PathBuf::from(reply.items().get(1)?.as_str()?)))
            }
        };
        ours.is_some() && dir.is_ok_and(|dir| dir == ours)
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
    /// Output goes to `log`: a program that does not like an option says so there. `dir` goes with the
    /// process if we are killed.
    fn spawn(mut command: Command, log: &Path, dir: &Path) -> std::io::Result<Self> {
        let output = File::create(log)?;
        let child = command
            .stdin(Stdio::null())
            .stderr(output.try_clone()?)
            .stdout(output)
            .spawn()?;
        let id = child.id().to_string();
        let watcher = Watcher::spawn(
            "kill -9 \"$1\"; rm -rf \"$2\"",
            &[id.as_ref(), dir.as_os_str()],
        );
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
pub(crate) fn free_port() -> Result<u16, String> {
    free(PORT_COUNT, |_| true)
}

/// The same, with its bus port, which stays below those of outgoing connections too.
pub(crate) fn free_pair() -> Result<u16, String> {
    free(PORT_COUNT - u64::from(BUS), |port| is_free(port + BUS))
}

fn free(count: u64, fits: impl Fn(u16) -> bool) -> Result<u16, String> {
    for _ in 0..100 {
        let random = RandomState::new().build_hasher().finish();
        // Below PORT_COUNT, which fits.
        let port = FIRST_PORT + (random % count) as u16;
        if is_free(port) && fits(port) {
            return Ok(port);
        }
    }
    Err("no free port on 127.0.0.1".into())
}

fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}
