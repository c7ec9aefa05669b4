//! Options of the backend, their defaults and why.

use std::fmt;
use std::io;
use std::time::Duration;

use memolock_core::redis::{Credentials, CredentialsProvider, Fault, Options, TlsOptions};
use memolock_core::{BackendError, Entropy, Operation};
use memolock_redis_common::{Dice, Home, Way};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::runtime::Handle;

use crate::backend::RedisBackend;
use crate::dial::Redis;
use crate::stream::Connector;

/// Makes a [`RedisBackend`] with other than the default options.
///
/// ```no_run
/// # use memolock_redis_rs::RedisBackend;
/// # use std::time::Duration;
/// # async fn example() -> Result<(), memolock_core::BackendError> {
/// let backend = RedisBackend::builder("redis://127.0.0.1:6379")
///     .command_timeout(Duration::from_millis(300))
///     .client_name("likes-service")
///     .connect()
///     .await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[must_use = "a builder does nothing until it connects"]
pub struct RedisBackendBuilder {
    pub(crate) url: String,
    pub(crate) options: Options,
    /// Whether the client's name was chosen by the user.
    pub(crate) named: bool,
    pub(crate) tls: TlsOptions,
    /// Without TLS and names, which depend on the rest.
    pub(crate) way: Way<Redis>,
    #[cfg(feature = "deadpool")]
    pub(crate) pool: Option<deadpool_redis::Pool>,
}

impl RedisBackendBuilder {
    pub(crate) fn new(url: String) -> Self {
        Self {
            url,
            options: Options::default(),
            named: false,
            tls: TlsOptions::default(),
            way: Way::default(),
            #[cfg(feature = "deadpool")]
            pool: None,
        }
    }

    /// Sends commands through this pool of the application's, and not over a connection of our own;
    /// subscriptions have theirs, made from the URL, all the same. Default: none.
    ///
    /// For applications that own a pool already and count their connections. It costs: the pool checks a
    /// connection with two more commands before each use, and a connection carries one command at a time;
    /// the crate's README has measured ratios. Calls on one key keep their order. A wait for a free
    /// connection counts towards the [command time-out](Self::command_timeout), whatever the pool's own
    /// time-outs are. Closing the backend leaves the pool open. The pool's client should have `TCP_NODELAY`
    /// set, which the redis crate does not do by itself.
    ///
    /// The pool and the URL must lead to the same server and database, or notifications would not be heard:
    /// [`connect`](Self::connect) compares them as far as the server says who it is;
    /// [`connect_lazy`](Self::connect_lazy) cannot.
    #[cfg(feature = "deadpool")]
    pub fn pool(mut self, pool: deadpool_redis::Pool) -> Self {
        self.pool = Some(pool);
        self
    }

    /// How long one attempt to connect may take: name resolution, TCP, TLS and authentication.
    ///
    /// Default: 1 s. A server that is near answers in milliseconds; one that hangs shall not hold up
    /// the start of a service, nor the next attempt.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.options.connect_timeout = timeout;
        self
    }

    /// How long a command may take, the wait for a first attempt to reconnect included. A script
    /// that the server has forgotten is sent twice, each time with this bound. Subscribing has the
    /// same bound.
    /// Behind a large value on the same connection it counts from when that value's last byte has passed.
    ///
    /// Default: 1 s. Long enough for a server that saves or runs somebody's slow script, short
    /// enough that callers who can compute the value themselves do not wait in vain.
    pub fn command_timeout(mut self, timeout: Duration) -> Self {
        self.options.command_timeout = timeout;
        self
    }

    /// How often each of the two connections is pinged.
    ///
    /// Default: 5 s. Connections that break say so; the ping is for servers and networks that hang
    /// without a word, and bounds how long a listener may be deaf without knowing. A command that
    /// times out has both connections checked at once, so shorter is rarely needed.
    pub fn heartbeat(mut self, interval: Duration) -> Self {
        self.options.heartbeat = interval;
        self
    }

    /// The least and the greatest delay between attempts to reconnect. The first attempt after a
    /// break is immediate; then delays double, with jitter, and attempts never end.
    ///
    /// Default: 10 ms and 2 s. A server that restarts is back within milliseconds; one that stays
    /// away sees one attempt every second or two, and is used again within 2 s of its return.
    pub fn reconnect_delay(mut self, min: Duration, max: Duration) -> Self {
        self.options.reconnect_min_delay = min;
        self.options.reconnect_max_delay = max;
        self
    }

    /// Publishes a stored value once more, so long after each fulfil, put and resolve: for the 2019 client in C#. A caller of
    /// that client which asks while a value is being stored may find the lock taken and then miss the notification; its
    /// second look finds the value and wakes no caller, so it waits for its whole time-out. The second notification wakes it.
    ///
    /// Default: none, since it costs a second publication of each value, and no other client needs it. 100 ms is a good
    /// value: longer than a C# caller takes from the lock to its second look. Above zero and at most a minute.
    ///
    /// A script publishes what is stored *then*, so never an old value, and nothing where none is stored. It runs in the
    /// background, one command at a time, for up to 100 keys each. It has a connection of its own, which is made when it is
    /// needed and closed after 10 s without use, so it delays no other work. Two stores of one key within the time are
    /// repeated once, after the later one. Values above 8 MiB are not repeated: a server may end the connection of a
    /// subscriber that is sent more. At most 10,000 keys (8 MiB of tags and ids) are pending; more are left out. What is
    /// pending is dropped when the backend is closed or the server does not answer.
    /// [`BackendStats`](memolock_core::BackendStats) counts what was repeated and what was left out.
    /// [`notices_repeated`](crate::RedisBackend::notices_repeated) waits until nothing is pending.
    pub fn repeat_notice(mut self, after: Duration) -> Self {
        self.options.repeat_notice = Some(after);
        self
    }

    /// The name of the command connection in `CLIENT LIST`; that of the subscription connection has
    /// `-sub` appended. Printable ASCII without spaces, as the server demands.
    ///
    /// Default: `memolock`, and once a memolock is built over the backend `memolock:` and its tag, or the number of
    /// tags if there are several, so that an operator sees whose connections they are.
    pub fn client_name(mut self, name: impl Into<String>) -> Self {
        self.options.client_name = Some(name.into());
        self.named = true;
        self
    }

    /// Whom to trust and who to be, over TLS: an authority of your own, a client certificate. For `rediss://` and
    /// `rediss-sentinel://` alone; with another URL it is refused, so that nobody takes a connection for safe
    /// that is not. Certificates are read when the backend is made.
    ///
    /// Default: the public authorities are trusted and no certificate is shown.
    ///
    /// ```no_run
    /// # use memolock_redis_rs::{RedisBackend, TlsOptions};
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// let backend = RedisBackend::builder("rediss://redis.internal")
    ///     .tls(TlsOptions::new().authority(std::fs::read("ca.pem")?))
    ///     .connect()
    ///     .await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn tls(mut self, tls: TlsOptions) -> Self {
        self.tls = tls;
        self
    }

    /// Asks `provider` for user and password before each connection is made, in place of those of the URL: for
    /// passwords that are rotated. It has, with all else, the [bound](Self::connect_timeout) of one attempt to
    /// connect. Who is refused asks again before the next attempt; connections that stand are left alone.
    /// Sentinels are told what the URL says. Default: none.
    ///
    /// ```no_run
    /// # use memolock_redis_rs::{Credentials, RedisBackend};
    /// # async fn example() -> Result<(), memolock_core::BackendError> {
    /// let backend = RedisBackend::builder("redis://127.0.0.1:6379")
    ///     .credentials(|| async {
    ///         let password = tokio::fs::read_to_string("/run/secrets/redis").await?;
    ///         Ok::<_, std::io::Error>(Credentials::new("likes", password.trim_end()))
    ///     })
    ///     .connect()
    ///     .await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// If the provider fails, connecting is [`Unavailable`](memolock_core::ErrorKind::Unavailable) and its error is told, so that
    /// should hold no secret.
    pub fn credentials<F, Fut, E>(mut self, provider: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Credentials, E>> + Send + 'static,
        E: fmt::Display,
    {
        self.way.credentials = Some(CredentialsProvider::new(provider));
        self
    }

    /// Makes connections over streams of the application's own: a tunnel, another TLS, a simulated network.
    /// It is called whenever a connection is wanted, one for commands and one for subscriptions, and has
    /// the [bound](Self::connect_timeout) of one attempt to connect. Default: none, a stream is made as the
    /// URL says.
    ///
    /// User, password and database are the URL's all the same; its host is but a name in reports. A
    /// `rediss://` URL is refused: what protects the stream is the stream's affair.
    ///
    /// ```no_run
    /// # use memolock_redis_rs::RedisBackend;
    /// # async fn example() -> Result<(), memolock_core::BackendError> {
    /// let backend = RedisBackend::builder("redis://behind-the-tunnel")
    ///     .connector(|| tokio::net::TcpStream::connect("127.0.0.1:7000"))
    ///     .connect()
    ///     .await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn connector<F, Fut, S>(mut self, connect: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = io::Result<S>> + Send + 'static,
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        self.way.client.connector = Some(Connector::new(connect));
        self
    }

    /// The runtime that drives the connections and all their tasks. Default: the one that the backend is connected in.
    ///
    /// Give one if that does not run all the time: a `current_thread` runtime runs only while a thread is in its
    /// `block_on`. Callers may be on any runtime. It must have IO and timers, and live as long as the backend: once it
    /// has shut down, commands fail at once with [`NoRuntime`](memolock_core::ErrorKind::NoRuntime).
    pub fn runtime(mut self, runtime: Handle) -> Self {
        self.way.runtime = Some(runtime);
        self
    }

    /// Where the jitter of reconnecting comes from. Default: the standard library's random state. For
    /// simulations that must repeat.
    pub fn entropy(mut self, entropy: impl Entropy + Send + 'static) -> Self {
        self.way.dice = Dice::of(entropy);
        self
    }

    /// Connects, and fails fast if that is not possible: within the
    /// [bound](Self::connect_timeout) of one attempt.
    ///
    /// Cancellation: dropping the future ends the attempt and leaves nothing behind.
    ///
    /// # Errors
    /// [`Config`](memolock_core::ErrorKind::Config) or [`Unsupported`](memolock_core::ErrorKind::Unsupported) for the URL or an
    /// option, [`Denied`](memolock_core::ErrorKind::Denied) for wrong credentials,
    /// [`Unavailable`](memolock_core::ErrorKind::Unavailable) or [`Timeout`](memolock_core::ErrorKind::Timeout) if there is nobody,
    /// [`Unsupported`](memolock_core::ErrorKind::Unsupported) if the server is too old, or runs no scripts.
    pub async fn connect(self) -> Result<RedisBackend, BackendError> {
        let mut builder = self;
        // Also where the caller has none.
        let home = builder.way.settle_runtime();
        let home = home.then(|| Home::new(builder.way.runtime()));
        let backend = builder.connect_lazy()?;
        if let Some(home) = home {
            home.within(backend.ready()).await.map_err(refused)??;
        }
        Ok(backend)
    }

    /// Makes the backend and connects in the background, for ever: a service can start before its
    /// Redis does. Must be called within a tokio runtime, unless [one was given](Self::runtime).
    ///
    /// # Errors
    /// [`Config`](memolock_core::ErrorKind::Config) or [`Unsupported`](memolock_core::ErrorKind::Unsupported) for the URL or an
    /// option, or if there is no runtime.
    pub fn connect_lazy(self) -> Result<RedisBackend, BackendError> {
        self.open().map_err(refused)
    }
}

fn refused(fault: Fault) -> BackendError {
    fault.outward(Operation::Connect)
}

/// Without the URL: it may hold a password.
impl fmt::Debug for RedisBackendBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisBackendBuilder")
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use memolock_core::ErrorKind;

    fn lazy(builder: RedisBackendBuilder) -> ErrorKind {
        builder.connect_lazy().unwrap_err().kind()
    }

    #[tokio::test]
    async fn options_that_cannot_work_are_refused() {
        let builder = || RedisBackend::builder("redis://127.0.0.1:1");
        let second = Duration::from_secs(1);
        assert_eq!(
            lazy(builder().connect_timeout(Duration::ZERO)),
            ErrorKind::Config
        );
        assert_eq!(
            lazy(builder().reconnect_delay(second, second / 2)),
            ErrorKind::Config
        );
        assert_eq!(lazy(builder().client_name("a b")), ErrorKind::Config);
    }

    #[test]
    fn without_a_runtime_it_says_so_and_does_not_panic() {
        let error = RedisBackend::connect_lazy("redis://127.0.0.1:1").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(error.to_string().contains("tokio"), "{error}");
    }

    #[tokio::test]
    async fn tls_is_not_forgotten_over_a_connector() {
        let stream = || async { Ok(tokio::io::empty()) };
        let builder = RedisBackend::builder("rediss://h").connector(stream);
        assert_eq!(lazy(builder), ErrorKind::Config);
    }

    #[tokio::test]
    async fn tls_is_not_forgotten_over_a_url_without_it() {
        let builder = RedisBackend::builder("redis://127.0.0.1:1");
        let tls = TlsOptions::new().also_public();
        assert_eq!(lazy(builder.tls(tls)), ErrorKind::Config);
        let builder = RedisBackend::builder("rediss://127.0.0.1:1");
        let tls = TlsOptions::new().authority("no PEM");
        assert_eq!(lazy(builder.tls(tls)), ErrorKind::Config);
    }

    #[tokio::test]
    async fn a_connector_does_not_find_a_master() {
        let stream = || async { Ok(tokio::io::empty()) };
        let builder = RedisBackend::builder("redis-sentinel://h/likes").connector(stream);
        assert_eq!(lazy(builder), ErrorKind::Config);
    }

    #[test]
    fn debug_shows_no_password() {
        let builder = RedisBackend::builder("redis://:hunter2@h");
        assert!(!format!("{builder:?}").contains("hunter2"));
    }
}
