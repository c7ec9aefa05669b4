//! Options of the backend, their defaults and why.

use std::fmt;
use std::time::Duration;

use memolock_core::connection::{Fault, Options};
use memolock_core::{BackendError, ErrorKind, Operation};
use tokio::runtime::Handle;
use tokio::task::JoinSet;

use crate::backend::PgBackend;
use crate::dial::Dialer;
use crate::link::Link;
use crate::table::Table;

const DEFAULT_TABLE: &str = "memolock";
const DEFAULT_SWEEP: Duration = Duration::from_secs(30);
const SHORTEST_SWEEP: Duration = Duration::from_millis(1);

/// Makes a [`PgBackend`] with other than the default options.
///
/// ```no_run
/// # use memolock_postgres::PgBackend;
/// # use std::time::Duration;
/// # async fn example() -> Result<(), memolock_core::BackendError> {
/// let backend = PgBackend::builder("postgres://app:secret@127.0.0.1/app")
///     .table("cache.promises")
///     .command_timeout(Duration::from_millis(300))
///     .connect()
///     .await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[must_use = "a builder does nothing until it connects"]
pub struct PgBackendBuilder {
    url: String,
    table: String,
    sweep_interval: Duration,
    options: Options,
    /// None: the one that it is connected in.
    runtime: Option<Handle>,
}

impl PgBackendBuilder {
    pub(crate) fn new(url: String) -> Self {
        Self {
            url,
            table: DEFAULT_TABLE.to_owned(),
            sweep_interval: DEFAULT_SWEEP,
            options: Options::default(),
            runtime: None,
        }
    }

    /// The table: `table`, which the role's search path finds, or `schema.table`; small letters, digits
    /// and underscores. Processes share promises if they share the table.
    ///
    /// Default: `memolock`.
    pub fn table(mut self, name: impl Into<String>) -> Self {
        self.table = name.into();
        self
    }

    /// How often this process deletes rows that have expired, in at most 8 MiB of the table at a time.
    /// What has expired is as if it were not there even before; sweeping is for space alone.
    ///
    /// Default: 30 s. A fleet of ten goes through 2.7 MiB a second then. At least 1 ms; `Duration::MAX` means never,
    /// which suits a role that may not delete.
    pub fn sweep_interval(mut self, interval: Duration) -> Self {
        self.sweep_interval = interval;
        self
    }

    /// How long one attempt to connect may take: name resolution, TCP, TLS, authentication, preparing.
    ///
    /// Default: 1 s. A server that is near answers in milliseconds; one that hangs shall not hold up
    /// the start of a service, nor the next attempt.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.options.connect_timeout = timeout;
        self
    }

    /// How long a command may take, the wait for a first attempt to reconnect included. Subscribing
    /// has the same bound, and so has each statement on the server. While the server answers other
    /// commands of this process, a command waits longer: it is queued behind them, and the server does
    /// not hang. Behind a large value that was sent it counts from when that has passed.
    /// A row that takes longer than this is too late, however large it is.
    ///
    /// Default: 1 s. Long enough for a checkpoint, short enough that callers who can compute the value
    /// themselves do not wait in vain.
    pub fn command_timeout(mut self, timeout: Duration) -> Self {
        self.options.command_timeout = timeout;
        self
    }

    /// How often the connection is checked, by a notification to ourselves.
    ///
    /// Default: 5 s. Connections that break say so; this is for servers and networks that hang without
    /// a word, and bounds how long a listener may be deaf without knowing. A command that times out
    /// has the connection checked at once, so shorter is rarely needed.
    pub fn heartbeat(mut self, interval: Duration) -> Self {
        self.options.heartbeat = interval;
        self
    }

    /// The least and the greatest delay between attempts to reconnect. The first attempt after a
    /// break is immediate; then delays double, with jitter, and attempts never end.
    ///
    /// Default: 10 ms and 2 s. A server that restarts is used again within 2 s of its return, and one
    /// that stays away sees one attempt every second or two.
    pub fn reconnect_delay(mut self, min: Duration, max: Duration) -> Self {
        self.options.reconnect_min_delay = min;
        self.options.reconnect_max_delay = max;
        self
    }

    /// The runtime that drives the connections and all their tasks. Default: the one that the backend is connected in.
    ///
    /// Give one if that does not run all the time: a `current_thread` runtime runs only while a thread is in its
    /// `block_on`. Callers may be on any runtime. It must have IO and timers, and live as long as the backend: once it
    /// has shut down, commands fail at once with [`NoRuntime`](ErrorKind::NoRuntime).
    pub fn runtime(mut self, runtime: Handle) -> Self {
        self.runtime = Some(runtime);
        self
    }

    /// The connection's name in `pg_stat_activity`; one in the URL comes first. Printable ASCII without
    /// spaces.
    ///
    /// Default: `memolock`, so that an operator sees whose connections they are.
    pub fn application_name(mut self, name: impl Into<String>) -> Self {
        self.options.client_name = Some(name.into());
        self
    }

    /// The SQL that makes the table, for an administrator. A role that uses it needs
    /// `SELECT, INSERT, UPDATE, DELETE` on it (`DELETE` only to sweep) and nothing else.
    ///
    /// # Errors
    /// [`Config`](ErrorKind::Config) for a table name that is not plain.
    pub fn schema(&self) -> Result<String, BackendError> {
        Ok(Table::parse(&self.table).map_err(refused)?.schema())
    }

    /// Makes the table if it is not there, over a connection of its own. The role needs the right to
    /// create tables, and to own the table if there is one.
    ///
    /// Cancellation: dropping the future makes the table or does not.
    ///
    /// # Errors
    /// As [`connect`](Self::connect); [`Denied`](ErrorKind::Denied) if the role may not create tables.
    pub async fn create_table(&self) -> Result<(), BackendError> {
        let (dialer, home) = (
            self.dialer().map_err(refused)?,
            self.home().map_err(refused)?,
        );
        // At home, for a caller that has no runtime; it is dropped with this future.
        let mut task = JoinSet::new();
        task.spawn_on(async move { dialer.create_table().await }, &home);
        // It is one task, which only a runtime that shuts down keeps from its end.
        let created = task.join_next().await.and_then(Result::ok);
        let created = created.unwrap_or_else(|| Err(Fault::no_runtime()));
        created.map_err(refused)
    }

    /// Connects, and fails fast if that is not possible: within the [bound](Self::connect_timeout) of
    /// one attempt.
    ///
    /// Cancellation: dropping the future ends the attempt and leaves nothing behind.
    ///
    /// # Errors
    /// [`Config`](ErrorKind::Config) for the URL or an option, or a database that does not exist,
    /// [`Denied`](ErrorKind::Denied) for wrong credentials, [`Refused`](ErrorKind::Refused) if the table
    /// does not exist, the server is a standby, starting or full,
    /// [`Unavailable`](ErrorKind::Unavailable) or [`Timeout`](ErrorKind::Timeout) if there is nobody.
    pub async fn connect(self) -> Result<PgBackend, BackendError> {
        let backend = self.connect_lazy()?;
        backend.ready().await?;
        Ok(backend)
    }

    /// Makes the backend and connects in the background, for ever: a service can start before its
    /// database does. Must be called within a tokio runtime, unless [one was given](Self::runtime).
    ///
    /// # Errors
    /// [`Config`](ErrorKind::Config) for the URL or an option, or if there is no runtime.
    pub fn connect_lazy(self) -> Result<PgBackend, BackendError> {
        let dialer = self.dialer().map_err(refused)?;
        let runtime = self.home().map_err(refused)?;
        let place = dialer.to_string();
        let link = Link::open(dialer, &self.options, self.sweep_interval, &runtime);
        Ok(PgBackend::over(link, place))
    }

    /// The runtime that was given, or this one.
    fn home(&self) -> Result<Handle, Fault> {
        let home = self.runtime.clone().or_else(|| Handle::try_current().ok());
        home.ok_or_else(|| Fault::new(ErrorKind::Config, "there is no tokio runtime here"))
    }

    fn dialer(&self) -> Result<Dialer, Fault> {
        self.options.check()?;
        if self.sweep_interval < SHORTEST_SWEEP {
            let given = self.sweep_interval;
            let detail = format!("sweep_interval is {given:?}: at least {SHORTEST_SWEEP:?}");
            return Err(Fault::new(ErrorKind::Config, detail));
        }
        Dialer::new(&self.url, Table::parse(&self.table)?, &self.options)
    }
}

fn refused(fault: Fault) -> BackendError {
    fault.outward(Operation::Connect)
}

/// Without the URL: it may hold a password.
impl fmt::Debug for PgBackendBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PgBackendBuilder")
            .field("table", &self.table)
            .field("sweep_interval", &self.sweep_interval)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const URL: &str = "postgres://u:hunter2@127.0.0.1:1/d";

    fn lazy(builder: PgBackendBuilder) -> ErrorKind {
        builder.connect_lazy().unwrap_err().kind()
    }

    #[tokio::test]
    async fn options_that_cannot_work_are_refused() {
        let builder = || PgBackend::builder(URL);
        let zero = Duration::ZERO;
        assert_eq!(lazy(builder().connect_timeout(zero)), ErrorKind::Config);
        assert_eq!(lazy(builder().sweep_interval(zero)), ErrorKind::Config);
        assert_eq!(lazy(builder().table("a b")), ErrorKind::Config);
        assert_eq!(lazy(builder().application_name("a b")), ErrorKind::Config);
    }

    #[test]
    fn without_a_runtime_it_says_so_and_does_not_panic() {
        let error = PgBackend::connect_lazy(URL).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(error.to_string().contains("tokio"), "{error}");
    }

    #[tokio::test]
    async fn debug_and_errors_show_no_password() {
        let builder = PgBackend::builder(URL);
        assert!(!format!("{builder:?}").contains("hunter2"));
        let backend = builder.clone().connect_lazy().unwrap();
        assert!(!format!("{backend:?}").contains("hunter2"));
        let error = builder.connect().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        let said = error.to_string();
        assert!(
            said.contains("127.0.0.1:1/d") && !said.contains("hunter2"),
            "{said}"
        );
    }
}
