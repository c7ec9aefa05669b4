//! Where servers and sentinels come from, and how the ones come to watch the others.

use futures_util::future::try_join_all;

use super::{SentinelOptions, TestSentinel};
use crate::server::{Ground, Role, Search, Settings};
use crate::{ServerError, TestServer};

impl TestSentinel {
    /// A master, a replica and three sentinels, that nobody else uses: child processes, ready in three
    /// seconds, or else containers.
    ///
    /// # Errors
    /// [`ServerError::NoServer`], which says what was tried and what to install.
    pub async fn start_local() -> Result<Self, ServerError> {
        Self::start_local_with(SentinelOptions::default()).await
    }

    /// The same in other numbers, or with options.
    ///
    /// # Errors
    /// As [`start_local`](Self::start_local), and if the program does not like an option.
    pub async fn start_local_with(options: SentinelOptions) -> Result<Self, ServerError> {
        Self::first_of(&Settings::from_env()?, &options).await
    }

    /// Containers, whatever else there is, on a network of their own, that they can be
    /// [cut off](TestServer::disconnect). What a cluster's containers ask for, these do too: see
    /// [`TestCluster::start_docker`](crate::TestCluster::start_docker).
    ///
    /// # Errors
    /// [`ServerError::NoServer`], which says what keeps Docker from it.
    pub async fn start_docker() -> Result<Self, ServerError> {
        Self::start_docker_with(SentinelOptions::default()).await
    }

    /// The same in other numbers, or with options.
    ///
    /// # Errors
    /// As [`start_docker`](Self::start_docker).
    pub async fn start_docker_with(options: SentinelOptions) -> Result<Self, ServerError> {
        Self::first_of(&Settings::from_env()?.docker_only(), &options).await
    }

    /// Containers of this image and of no other, pulled if it is missing.
    ///
    /// # Errors
    /// As [`start_docker`](Self::start_docker).
    pub async fn start_image(image: &str) -> Result<Self, ServerError> {
        let options = SentinelOptions::default();
        Self::first_of(&Settings::from_env()?.image_only(image), &options).await
    }

    async fn first_of(settings: &Settings, options: &SentinelOptions) -> Result<Self, ServerError> {
        let mut search = Search::new(settings, true)?;
        while let Some(source) = search.next() {
            let made = match Ground::open(source).await {
                Ok(ground) => Self::make(ground, options).await,
                Err(why) => Err(why),
            };
            match made {
                Ok(sentinel) => return Ok(sentinel.announced()),
                Err(why) => search.failed(&why),
            }
        }
        Err(search.nothing())
    }

    async fn make(ground: Ground, options: &SentinelOptions) -> Result<Self, String> {
        if options.sentinels == 0 {
            return Err("without a sentinel nobody watches".into());
        }
        let master = start(&ground, Role::Server, &options.arguments(None)).await?;
        let place = (master.host(), master.port());
        let arguments = options.arguments(Some(place));
        let replicas = (0..options.replicas).map(|_| start(&ground, Role::Server, &arguments));
        let replicas = try_join_all(replicas).await?;
        let sentinels = (0..options.sentinels).map(|_| start(&ground, Role::Sentinel, &[]));
        let sentinels = try_join_all(sentinels).await?;
        let watching = sentinels
            .iter()
            .map(|sentinel| watch(sentinel, place, options));
        let watching = try_join_all(watching).await;
        watching.map_err(|error| error.to_string())?;
        let made = Self {
            url: url(&sentinels, &options.name),
            servers: [master].into_iter().chain(replicas).collect(),
            sentinels,
            ground,
            name: options.name.clone(),
        };
        let settled = made.wait_stable().await;
        settled.map_err(|error| error.to_string())?;
        Ok(made)
    }

    /// Test runners show it where a test fails.
    fn announced(self) -> Self {
        eprintln!("test sentinel: {} at {}", self.provider(), self.url);
        self
    }
}

pub(super) async fn start(
    ground: &Ground,
    role: Role,
    arguments: &[String],
) -> Result<TestServer, String> {
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    ground.start(role, &arguments).await
}

/// Tells a sentinel whom to watch, which it writes down.
pub(super) async fn watch(
    sentinel: &TestServer,
    (host, port): (&str, u16),
    options: &SentinelOptions,
) -> Result<(), ServerError> {
    let name = options.name.as_str();
    let (port, quorum) = (port.to_string(), options.quorum().to_string());
    let down_after = options.down_after.as_millis().to_string();
    let failover = options.failover_timeout.as_millis().to_string();
    let mut connection = sentinel.connect().await?;
    let monitor = ["SENTINEL", "MONITOR", name, host, &port, &quorum];
    connection.command(&monitor).await?;
    for (option, value) in [
        ("down-after-milliseconds", &down_after),
        ("failover-timeout", &failover),
    ] {
        let set = ["SENTINEL", "SET", name, option, value];
        connection.command(&set).await?;
    }
    Ok(())
}

fn url(sentinels: &[TestServer], name: &str) -> String {
    let places: Vec<_> = sentinels
        .iter()
        .map(|sentinel| sentinel.address().place())
        .collect();
    format!("redis-sentinel://{}/{name}", places.join(","))
}
