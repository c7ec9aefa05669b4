//! A pgbouncer before a PostgreSQL, for tests of what poolers do.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tokio::net::TcpStream;

use super::STARTUP;
use super::local::free_port;
use super::postgres::{PgServer, user};
use super::watcher::Watcher;
use crate::ServerError;

/// Where Debian puts it, which is not on every user's `PATH`.
const DEBIAN: &str = "/usr/sbin/pgbouncer";

/// A pgbouncer from the `PATH` or from Debian's package, before a server that lets everybody in. Dropping
/// it ends it.
#[derive(Debug)]
pub struct PgBouncer {
    child: Child,
    watcher: Option<Watcher>,
    dir: tempfile::TempDir,
    port: u16,
    url: String,
}

impl PgBouncer {
    /// Whether there is one to start. Tests that need one say so and pass where there is none.
    #[must_use]
    pub fn is_there() -> bool {
        program().is_some()
    }

    /// Starts one with these lines of its section `[pgbouncer]`, such as `pool_mode = session`.
    ///
    /// # Errors
    /// [`ServerError::NoPostgres`], which says what is missing.
    pub async fn start(server: &PgServer, lines: &str) -> Result<Self, ServerError> {
        let started = Self::run(server, lines).await;
        started.map_err(|why| ServerError::NoPostgres { why })
    }

    async fn run(server: &PgServer, lines: &str) -> Result<Self, String> {
        let program = program().ok_or("no pgbouncer (apt-get install pgbouncer)")?;
        let dir = tempfile::tempdir().map_err(|error| error.to_string())?;
        let port = free_port()?;
        let (host, server_port) = server.address().rsplit_once(':').ok_or("no port")?;
        let log = dir.path().join("pgbouncer.log");
        // With `auth_type = any` the user of the server is named here.
        let config = format!(
            "[databases]\n* = host={host} port={server_port} user=postgres\n\
             [pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n\
             auth_type = any\nadmin_users = postgres\nlogfile = {}\n{lines}\n",
            log.display()
        );
        let file = dir.path().join("pgbouncer.ini");
        std::fs::write(&file, config).map_err(|error| error.to_string())?;
        let mut command = Command::new(program);
        command.arg("-q").arg(&file);
        if let Some(user) = user()? {
            use std::os::unix::fs::chown;
            use std::os::unix::process::CommandExt as _;
            for path in [dir.path(), &file] {
                let given = chown(path, Some(user.uid), Some(user.gid));
                given.map_err(|error| error.to_string())?;
            }
            command.uid(user.uid).gid(user.gid);
        }
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let child = command
            .spawn()
            .map_err(|error| format!("pgbouncer: {error}"))?;
        let watcher = Watcher::spawn("kill -3 \"$1\"", &[child.id().to_string().as_ref()]);
        let url = server
            .url()
            .replace(server.address(), &format!("127.0.0.1:{port}"));
        let mut started = Self {
            child,
            watcher,
            dir,
            port,
            url,
        };
        started.answers().await.map(|()| started)
    }

    async fn answers(&mut self) -> Result<(), String> {
        let deadline = Instant::now() + STARTUP;
        while Instant::now() < deadline {
            if let Ok(Some(status)) = self.child.try_wait() {
                let log = std::fs::read_to_string(self.dir.path().join("pgbouncer.log"));
                let log = super::last_words(&log.unwrap_or_default());
                return Err(format!("pgbouncer ended with {status}: {log}"));
            }
            if TcpStream::connect(("127.0.0.1", self.port)).await.is_ok() {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Err(format!("pgbouncer gave no answer within {STARTUP:?}"))
    }

    /// As the server's URL, but by way of the pooler.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The URL of its console, where `SHOW SERVERS` and `RELOAD` are understood.
    #[must_use]
    pub fn console(&self) -> String {
        let (front, _) = self.url.rsplit_once('/').unwrap_or((&self.url, ""));
        format!("{front}/pgbouncer")
    }
}

impl Drop for PgBouncer {
    fn drop(&mut self) {
        // First: once the child is gone, its process id may be somebody else's.
        self.watcher = None;
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn program() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path: Vec<PathBuf> = std::env::split_paths(&path)
        .map(|dir| dir.join("pgbouncer"))
        .collect();
    on_path
        .into_iter()
        .chain([PathBuf::from(DEBIAN)])
        .find(|program| program.is_file())
}
