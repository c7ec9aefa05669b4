//! Servers for tests: whichever provider has one.

mod address;
#[cfg(feature = "docker")]
mod bridge;
#[cfg(feature = "docker")]
mod docker;
mod engine;
mod ground;
mod local;
#[cfg(feature = "docker")]
mod member;
#[cfg(unix)]
mod pgbouncer;
#[cfg(unix)]
mod postgres;
mod search;
mod settings;
mod watcher;

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

pub(crate) use address::Address;
#[cfg(feature = "docker")]
use bridge::Bridge;
use engine::Engine;
pub(crate) use ground::{Ground, Role};
use local::Local;
#[cfg(feature = "tls")]
pub(crate) use local::{free_pair, free_port};
#[cfg(unix)]
pub use pgbouncer::PgBouncer;
#[cfg(unix)]
pub use postgres::{PgOptions, PgServer};
pub(crate) use search::{Search, Source};
pub(crate) use settings::Settings;
pub use settings::{DEFAULT_IMAGE, PUBLIC_IMAGE};
#[cfg(feature = "tls")]
pub(crate) use watcher::Watcher;

use crate::{Connection, Monitor, ServerError, Value};

/// How long a server may take to start. It takes 30 ms, or half a second in a container.
const STARTUP: Duration = Duration::from_secs(20);

#[cfg(not(feature = "docker"))]
const NO_DOCKER: &str = "the feature `docker` of memolock-testkit is off";

/// A Redis or Valkey for a test. Dropping it ends it, unless it is shared.
#[derive(Debug)]
pub struct TestServer {
    engine: Engine,
    provider: Provider,
}

/// Where a server came from.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Provider {
    /// `MEMOLOCK_TEST_URL`: others use it too.
    Url,
    /// A container of this image.
    Docker {
        /// Its name and tag.
        image: String,
    },
    /// A child process of this program.
    Local {
        /// Where it was found on the `PATH`.
        program: PathBuf,
    },
}

/// For reports: `docker (memolock-test-redis:local)`.
impl fmt::Display for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url => f.write_str("MEMOLOCK_TEST_URL"),
            Self::Docker { image } => write!(f, "docker ({image})"),
            Self::Local { program } => write!(f, "a local process ({})", program.display()),
        }
    }
}

impl TestServer {
    /// A server: `MEMOLOCK_TEST_URL`, Docker or a program on the `PATH`, in this order. It may be
    /// shared: see [`is_private`](Self::is_private).
    ///
    /// # Errors
    /// [`ServerError::NoServer`], which says what was tried and what to install.
    pub async fn start() -> Result<Self, ServerError> {
        Self::first_of(&Settings::from_env()?, false, &[]).await
    }

    /// A server that nobody else uses, and that can be killed and paused: a program on the `PATH`,
    /// which is ready in 30 ms, or else Docker.
    ///
    /// # Errors
    /// [`ServerError::NoServer`]; [`ServerError::Shared`] if `MEMOLOCK_TEST_PROVIDER=url` forbids it.
    pub async fn start_local() -> Result<Self, ServerError> {
        Self::start_local_with(&[]).await
    }

    /// The same with more options of the server program, such as `["--maxmemory", "2mb"]`. What would
    /// keep the kit itself out (a password, TLS) is better set by `CONFIG SET` once it runs.
    ///
    /// # Errors
    /// As [`start_local`](Self::start_local), and if the program does not like an option.
    pub async fn start_local_with(options: &[&str]) -> Result<Self, ServerError> {
        Self::first_of(&Settings::from_env()?, true, options).await
    }

    /// A container, whatever else there is; private, like [`start_local`](Self::start_local).
    ///
    /// # Errors
    /// [`ServerError::NoServer`], which says what keeps Docker from it.
    pub async fn start_docker() -> Result<Self, ServerError> {
        Self::first_of(&Settings::from_env()?.docker_only(), true, &[]).await
    }

    /// A container of this image and of no other, pulled if it is missing; private.
    ///
    /// # Errors
    /// [`ServerError::NoServer`], which says what keeps Docker from it.
    pub async fn start_image(image: &str) -> Result<Self, ServerError> {
        Self::first_of(&Settings::from_env()?.image_only(image), true, &[]).await
    }

    /// A child process that listens on a Unix socket too, which is [`unix_url`](Self::unix_url); private,
    /// like [`start_local`](Self::start_local).
    ///
    /// # Errors
    /// [`ServerError::NoServer`]; a container's sockets are its own.
    pub async fn start_unix() -> Result<Self, ServerError> {
        Self::start_process("a Unix socket", &[], Role::Unix).await
    }

    /// A child process for what containers do not do.
    pub(crate) async fn start_process(
        what: &str,
        options: &[&str],
        role: Role,
    ) -> Result<Self, ServerError> {
        let mut search = Search::new(&Settings::from_env()?, true)?;
        while let Some(source) = search.next() {
            match source {
                Source::Local(program) => match Self::local(program, options, role).await {
                    Ok(server) => return Ok(server.announced()),
                    Err(why) => search.failed(&why),
                },
                _ => search.failed(&format!("{what} takes a local process")),
            }
        }
        Err(search.nothing())
    }

    async fn first_of(
        settings: &Settings,
        private: bool,
        options: &[&str],
    ) -> Result<Self, ServerError> {
        let mut search = Search::new(settings, private)?;
        while let Some(source) = search.next() {
            let started = match source {
                Source::Url => return Self::shared(settings.url.as_deref()).await,
                Source::Docker { image, pull } => Self::docker(&image, options, pull).await,
                Source::Local(program) => Self::local(program, options, Role::Server).await,
            };
            match started {
                Ok(server) => return Ok(server.announced()),
                Err(why) => search.failed(&why),
            }
        }
        Err(search.nothing())
    }

    async fn local(program: PathBuf, options: &[&str], role: Role) -> Result<Self, String> {
        Ok(Self {
            engine: Engine::Local(Local::start(&program, options, role).await?),
            provider: Provider::Local { program },
        })
    }

    async fn shared(url: Option<&str>) -> Result<Self, ServerError> {
        let unusable = |why: String| ServerError::Setting {
            name: "MEMOLOCK_TEST_URL",
            why,
        };
        let url = url.ok_or_else(|| {
            unusable("it is not set, and MEMOLOCK_TEST_PROVIDER=url wants it".into())
        })?;
        let address = Address::parse(url).map_err(unusable)?;
        let greeted = async { Connection::open(&address).await?.command(&["PING"]).await };
        greeted.await.map_err(|error| unusable(error.to_string()))?;
        Ok(Self {
            engine: Engine::Shared(address),
            provider: Provider::Url,
        }
        .announced())
    }

    #[cfg(feature = "docker")]
    async fn docker(image: &str, options: &[&str], pull: bool) -> Result<Self, String> {
        let container = docker::Container::start(image, options, pull).await?;
        Ok(Self {
            engine: Engine::Docker(Box::new(container)),
            provider: Provider::Docker {
                image: image.into(),
            },
        })
    }

    #[cfg(feature = "docker")]
    async fn member(bridge: &Bridge, options: &[&str], role: Role) -> Result<Self, String> {
        Ok(Self {
            engine: Engine::Member(Box::new(bridge.start(options, role).await?)),
            provider: Provider::Docker {
                image: bridge.image().into(),
            },
        })
    }

    #[cfg(not(feature = "docker"))]
    #[allow(clippy::unused_async)] // As its twin.
    async fn docker(_: &str, _: &[&str], _: bool) -> Result<Self, String> {
        Err(NO_DOCKER.into())
    }

    /// Test runners show it where a test fails.
    fn announced(self) -> Self {
        eprintln!(
            "test server: {} at {}",
            self.provider,
            self.address().place()
        );
        self
    }

    /// Where it came from, for reports.
    #[must_use]
    pub fn provider(&self) -> &Provider {
        &self.provider
    }

    /// Whether nobody else uses it, so that it may be stopped, paused, counted and flushed. On a
    /// shared one a test uses its own [`unique_tag`](crate::unique_tag) and leaves the rest alone.
    #[must_use]
    pub fn is_private(&self) -> bool {
        self.provider != Provider::Url
    }

    /// Its URL, credentials included: `redis://127.0.0.1:20000`. The same after a restart.
    #[must_use]
    pub fn url(&self) -> &str {
        self.address().url()
    }

    /// The URL of its Unix socket, `redis+unix:///…/server.sock`, if it was
    /// [started](Self::start_unix) with one. The same after a restart.
    #[must_use]
    pub fn unix_url(&self) -> Option<String> {
        match &self.engine {
            Engine::Local(local) => Some(format!("redis+unix://{}", local.socket()?.display())),
            _ => None,
        }
    }

    /// Its host, as clients on this side reach it: `127.0.0.1`, or a container's own address.
    #[must_use]
    pub fn host(&self) -> &str {
        self.address().host()
    }

    /// Its port on this side. The same after a restart.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.address().port()
    }

    /// [`unique_tag`](crate::unique_tag), where a server is at hand.
    #[must_use]
    pub fn unique_tag(&self, prefix: &str) -> String {
        crate::unique_tag(prefix)
    }

    /// Sends one command on a connection of its own and returns the reply.
    ///
    /// # Errors
    /// [`ServerError::Refused`] for an error reply, or if the server cannot be reached.
    pub async fn command<A: AsRef<[u8]>>(&self, args: &[A]) -> Result<Value, ServerError> {
        self.connect().await?.command(args).await
    }

    /// A connection, for commands that need its state.
    ///
    /// # Errors
    /// If the server cannot be reached.
    pub async fn connect(&self) -> Result<Connection, ServerError> {
        Connection::open(self.address()).await
    }

    /// Watches every command from now on, of this server's every client.
    ///
    /// # Errors
    /// If the server cannot be reached.
    pub async fn monitor(&self) -> Result<Monitor, ServerError> {
        Monitor::open(self.address()).await
    }

    /// Ends it at once, as a power cut would. Its port refuses connections when this returns.
    ///
    /// # Errors
    /// [`ServerError::Shared`] or [`ServerError::Control`].
    pub async fn kill(&self) -> Result<(), ServerError> {
        self.engine.kill().await
    }

    /// Ends it in good order. Its port refuses connections when this returns.
    ///
    /// # Errors
    /// [`ServerError::Shared`] or [`ServerError::Control`].
    pub async fn stop(&self) -> Result<(), ServerError> {
        self.engine.stop().await
    }

    /// Starts it anew on the same port, and empty, whether or not it was running.
    ///
    /// # Errors
    /// [`ServerError::Shared`] or [`ServerError::Control`].
    pub async fn restart(&self) -> Result<(), ServerError> {
        self.engine.restart().await
    }

    /// Makes it hang: connections stay open, and nothing is answered until [`resume`](Self::resume).
    ///
    /// # Errors
    /// [`ServerError::Shared`] or [`ServerError::Control`].
    pub async fn pause(&self) -> Result<(), ServerError> {
        self.engine.pause().await
    }

    /// Ends a [`pause`](Self::pause).
    ///
    /// # Errors
    /// [`ServerError::Shared`] or [`ServerError::Control`].
    pub async fn resume(&self) -> Result<(), ServerError> {
        self.engine.resume().await
    }

    /// Takes it off its network: its connections are lost, and its port refuses others until
    /// [`reconnect`](Self::reconnect). It goes on with its data. Containers only. One of a cluster, or
    /// under sentinels, is not refused but unreachable: packets are lost, and connections may survive.
    ///
    /// # Errors
    /// [`ServerError::Shared`] or [`ServerError::Control`].
    pub async fn disconnect(&self) -> Result<(), ServerError> {
        self.engine.disconnect().await
    }

    /// Ends a [`disconnect`](Self::disconnect): it answers again when this returns.
    ///
    /// # Errors
    /// [`ServerError::Shared`] or [`ServerError::Control`].
    pub async fn reconnect(&self) -> Result<(), ServerError> {
        self.engine.reconnect().await
    }

    pub(crate) fn address(&self) -> &Address {
        self.engine.address()
    }
}

/// The end of a log, which says why a server did not start.
fn last_words(log: &str) -> String {
    let lines: Vec<_> = log
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect();
    lines[lines.len().saturating_sub(4)..].join("; ")
}
