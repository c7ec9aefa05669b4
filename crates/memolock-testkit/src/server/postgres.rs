//! A PostgreSQL for tests of backends that are not Redis: a child process on a loopback port.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::STARTUP;
use super::local::free_port;
use super::watcher::Watcher;
use crate::ServerError;

const URL: &str = "MEMOLOCK_TEST_POSTGRES_URL";
/// Where Debian puts each release's programs, which are not on the `PATH`.
const DEBIAN: &str = "/usr/lib/postgresql";
/// The settings of a server whose data nobody will miss, with room for many tests' connections.
const SETTINGS: [&str; 6] = [
    "fsync=off",
    "full_page_writes=off",
    "max_connections=200",
    "shared_buffers=32MB",
    "autovacuum_naptime=10s",
    "listen_addresses=127.0.0.1",
];

/// A PostgreSQL with an empty database. Dropping it ends it, unless it is shared.
///
/// It is the one that `MEMOLOCK_TEST_POSTGRES_URL` names, if that is set; else one of its own, from the
/// `PATH` or from where Debian's package `postgresql` puts it.
#[derive(Debug)]
pub struct PgServer {
    url: String,
    own: Option<Own>,
}

/// What a server of a test's own has besides the ordinary.
#[derive(Debug, Clone, Default)]
pub struct PgOptions {
    settings: Vec<String>,
    files: Vec<(String, Vec<u8>)>,
}

impl PgOptions {
    /// A setting, as in `postgresql.conf`: `ssl=on`.
    #[must_use]
    pub fn setting(mut self, setting: &str) -> Self {
        self.settings.push(setting.to_owned());
        self
    }

    /// A file among its data, such as `pg_hba.conf` or `server.key`.
    #[must_use]
    pub fn file(mut self, name: &str, contents: impl Into<Vec<u8>>) -> Self {
        self.files.push((name.to_owned(), contents.into()));
        self
    }
}

/// A cluster in a directory of its own, and its process.
#[derive(Debug)]
struct Own {
    programs: PathBuf,
    dir: tempfile::TempDir,
    /// The server refuses to run as root: who it is then.
    user: Option<User>,
    port: u16,
    settings: Vec<String>,
    process: Option<(Child, Option<Watcher>)>,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct User {
    pub(super) uid: u32,
    pub(super) gid: u32,
}

impl PgServer {
    /// A server, ready for connections: in a second or two where it has to be made.
    ///
    /// # Errors
    /// [`ServerError::NoPostgres`], which says what to install.
    pub async fn start() -> Result<Self, ServerError> {
        match std::env::var(URL) {
            Ok(url) if !url.is_empty() => Ok(Self { url, own: None }),
            _ => Self::start_own().await,
        }
    }

    /// A server that nobody else uses, and that can be restarted.
    ///
    /// # Errors
    /// [`ServerError::NoPostgres`], which says what to install.
    pub async fn start_own() -> Result<Self, ServerError> {
        Self::start_with(&PgOptions::default()).await
    }

    /// The same with other options.
    ///
    /// # Errors
    /// As [`start_own`](Self::start_own).
    pub async fn start_with(options: &PgOptions) -> Result<Self, ServerError> {
        let why = |why| ServerError::NoPostgres { why };
        let mut own = Own::make(options).map_err(why)?;
        own.run().await.map_err(why)?;
        let url = format!("postgres://postgres@127.0.0.1:{}/postgres", own.port);
        let own = Some(own);
        Ok(Self { url, own })
    }

    /// Whether there is one to start. Tests that need one say so and pass where there is none.
    #[must_use]
    pub fn is_there() -> bool {
        std::env::var_os(URL).is_some_and(|url| !url.is_empty()) || programs().is_some()
    }

    /// Its URL: a superuser's, without a password.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Replaces `pg_hba.conf` and has the server read it: who may connect, how.
    ///
    /// # Errors
    /// [`ServerError::Shared`]; [`ServerError::NoPostgres`] if the file cannot be written.
    pub fn set_hba(&self, lines: &str) -> Result<(), ServerError> {
        let Some(own) = &self.own else {
            return Err(ServerError::Shared {
                verb: "told whom to let in",
            });
        };
        own.write("pg_hba.conf", lines.as_bytes())
            .map_err(|why| ServerError::NoPostgres { why })?;
        if let Some((child, _)) = &own.process {
            let pid = rustix::process::Pid::from_child(child);
            // Fails only if it is gone.
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::HUP);
        }
        Ok(())
    }

    /// The directory of its Unix socket, if it is a server of its own.
    #[must_use]
    pub fn socket_dir(&self) -> Option<&Path> {
        self.own.as_ref().map(|own| own.dir.path())
    }

    /// Host and port, for a [`Proxy`](crate::Proxy).
    #[must_use]
    pub fn address(&self) -> &str {
        let rest = self
            .url
            .split_once("://")
            .map_or(&*self.url, |(_, rest)| rest);
        let place = rest.split(['/', '?']).next().unwrap_or(rest);
        place.rsplit_once('@').map_or(place, |(_, place)| place)
    }

    /// Ends it as a crash would, without a word to its clients, and starts it again at the same place.
    ///
    /// # Errors
    /// [`ServerError::Shared`]; [`ServerError::NoPostgres`] if it does not come back.
    pub async fn crash(&mut self) -> Result<(), ServerError> {
        self.end()?;
        let Some(own) = &mut self.own else {
            return Err(ServerError::Shared { verb: "crashed" });
        };
        let started = own.run().await;
        started.map_err(|why| ServerError::NoPostgres { why })
    }

    /// Ends it as a crash would.
    ///
    /// # Errors
    /// [`ServerError::Shared`].
    pub fn end(&mut self) -> Result<(), ServerError> {
        match &mut self.own {
            Some(own) => own.end(),
            None => return Err(ServerError::Shared { verb: "stopped" }),
        }
        Ok(())
    }

    /// Starts it again after [`end`](Self::end).
    ///
    /// # Errors
    /// As [`crash`](Self::crash).
    pub async fn begin(&mut self) -> Result<(), ServerError> {
        self.crash().await
    }
}

impl Own {
    /// Makes a cluster's files.
    fn make(options: &PgOptions) -> Result<Self, String> {
        let programs = programs().ok_or("PATH: no initdb and postgres")?;
        let dir =
            tempfile::tempdir().map_err(|error| format!("no temporary directory: {error}"))?;
        let user = user()?;
        if let Some(user) = user {
            let given = std::os::unix::fs::chown(dir.path(), Some(user.uid), Some(user.gid));
            given.map_err(|error| format!("its directory cannot be given away: {error}"))?;
        }
        let own = Self {
            programs,
            dir,
            user,
            port: free_port()?,
            settings: options.settings.clone(),
            process: None,
        };
        let mut initdb = own.command("initdb");
        initdb.args(["--no-sync", "--auth=trust", "--username=postgres"]);
        initdb
            .args(["--encoding=UTF8", "--locale=C", "-D"])
            .arg(own.data());
        let made = initdb
            .output()
            .map_err(|error| format!("initdb: {error}"))?;
        if !made.status.success() {
            return Err(super::last_words(&String::from_utf8_lossy(&made.stderr)));
        }
        for (name, contents) in &options.files {
            own.write(name, contents)?;
        }
        Ok(own)
    }

    /// Writes a file among its data, which nobody else may read.
    fn write(&self, name: &str, contents: &[u8]) -> Result<(), String> {
        use std::os::unix::fs::{PermissionsExt as _, chown};
        let path = self.data().join(name);
        let written = std::fs::write(&path, contents).and_then(|()| {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
            match self.user {
                Some(user) => chown(&path, Some(user.uid), Some(user.gid)),
                None => Ok(()),
            }
        });
        written.map_err(|error| format!("cannot write {name}: {error}"))
    }

    /// Starts the server and waits until it answers.
    async fn run(&mut self) -> Result<(), String> {
        self.end();
        let log = File::create(self.log()).map_err(|error| error.to_string())?;
        let mut command = self.command("postgres");
        command.arg("-D").arg(self.data());
        command.args(["-p", &self.port.to_string()]);
        command.arg("-c").arg(format!(
            "unix_socket_directories={}",
            self.dir.path().display()
        ));
        let own = self.settings.iter().map(String::as_str);
        for setting in SETTINGS.into_iter().chain(own) {
            command.args(["-c", setting]);
        }
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log);
        let child = command
            .spawn()
            .map_err(|error| format!("postgres: {error}"))?;
        let watcher = Watcher::spawn("kill -3 \"$1\"", &[child.id().to_string().as_ref()]);
        self.process = Some((child, watcher));
        let deadline = Instant::now() + STARTUP;
        while Instant::now() < deadline {
            if let Some((child, _)) = &mut self.process
                && let Ok(Some(status)) = child.try_wait()
            {
                let log = std::fs::read_to_string(self.log()).unwrap_or_default();
                return Err(format!(
                    "postgres ended with {status}: {}",
                    super::last_words(&log)
                ));
            }
            let mut ready = self.command("pg_isready");
            ready.args(["-q", "-h", "127.0.0.1", "-p", &self.port.to_string()]);
            if ready.status().is_ok_and(|status| status.success()) {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Err(format!("postgres gave no answer within {STARTUP:?}"))
    }

    /// Ends it at once. It is asked to, rather than killed: it takes its own children with it, and its
    /// shared memory.
    fn end(&mut self) {
        let Some((mut child, watcher)) = self.process.take() else {
            return;
        };
        // First: once the child is gone, its process id may be somebody else's.
        drop(watcher);
        let quit = rustix::process::Signal::QUIT;
        // Fails only if it is gone already.
        let _ = rustix::process::kill_process(rustix::process::Pid::from_child(&child), quit);
        let deadline = Instant::now() + Duration::from_secs(5);
        while Instant::now() < deadline {
            if child.try_wait().is_ok_and(|status| status.is_some()) {
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        let _ = child.kill();
        let _ = child.wait();
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.programs.join(program));
        command.current_dir(self.dir.path());
        if let Some(user) = self.user {
            use std::os::unix::process::CommandExt as _;
            command.uid(user.uid).gid(user.gid);
        }
        command
    }

    fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    fn log(&self) -> PathBuf {
        self.dir.path().join("server.log")
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        self.end();
    }
}

/// The directory of the newest release's programs.
fn programs() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path = std::env::split_paths(&path).collect::<Vec<_>>();
    let debian = std::fs::read_dir(DEBIAN).into_iter().flatten().flatten();
    let mut releases: Vec<PathBuf> = debian.map(|entry| entry.path()).collect();
    releases.sort_by_key(|release| {
        let name = release
            .file_name()
            .map(|name| name.to_string_lossy().into_owned());
        std::cmp::Reverse(name.and_then(|name| name.parse::<u32>().ok()))
    });
    let bins = releases.into_iter().map(|release| release.join("bin"));
    let has = |dir: &Path| {
        ["initdb", "postgres", "pg_isready"]
            .iter()
            .all(|p| dir.join(p).is_file())
    };
    on_path.into_iter().chain(bins).find(|dir| has(dir))
}

/// Who shall run the server: nobody else, unless we are root.
pub(super) fn user() -> Result<Option<User>, String> {
    if !rustix::process::geteuid().is_root() {
        return Ok(None);
    }
    let id = |flag: &str, name: &str| {
        let output = Command::new("id").args([flag, name]).output().ok()?;
        String::from_utf8(output.stdout)
            .ok()?
            .trim()
            .parse::<u32>()
            .ok()
    };
    let known = ["postgres", "nobody"].into_iter().find_map(|name| {
        let (uid, gid) = (id("-u", name)?, id("-g", name)?);
        Some(User { uid, gid })
    });
    known
        .map(Some)
        .ok_or_else(|| "root may not run it, and there is no user postgres or nobody".to_owned())
}
