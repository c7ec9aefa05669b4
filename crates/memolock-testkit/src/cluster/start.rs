//! Where a cluster's nodes come from, and how one more joins.

use futures_util::future::try_join_all;

use super::{ClusterOptions, TestCluster};
use crate::server::{Ground, Role, Search, Settings};
use crate::{ServerError, TestServer};

impl TestCluster {
    /// Three masters with a replica each, that nobody else uses: child processes, ready in three
    /// seconds, or else containers.
    ///
    /// # Errors
    /// [`ServerError::NoServer`], which says what was tried and what to install.
    pub async fn start_local() -> Result<Self, ServerError> {
        Self::start_local_with(ClusterOptions::default()).await
    }

    /// The same in another size, or with options.
    ///
    /// # Errors
    /// As [`start_local`](Self::start_local), and if the program does not like an option.
    pub async fn start_local_with(options: ClusterOptions) -> Result<Self, ServerError> {
        Self::first_of(&Settings::from_env()?, &options).await
    }

    /// Containers, whatever else there is, on a network of their own: nodes can be
    /// [cut off](TestServer::disconnect) it.
    ///
    /// Each has an address on a bridge that this machine reaches as the nodes do, so that a node has one
    /// name for all. That takes Linux, with the daemon beside us, and outside of a container.
    ///
    /// # Errors
    /// [`ServerError::NoServer`], which says what keeps Docker from it.
    pub async fn start_docker() -> Result<Self, ServerError> {
        Self::start_docker_with(ClusterOptions::default()).await
    }

    /// The same in another size, or with options.
    ///
    /// # Errors
    /// As [`start_docker`](Self::start_docker).
    pub async fn start_docker_with(options: ClusterOptions) -> Result<Self, ServerError> {
        Self::first_of(&Settings::from_env()?.docker_only(), &options).await
    }

    /// Containers of this image and of no other, pulled if it is missing.
    ///
    /// # Errors
    /// As [`start_docker`](Self::start_docker).
    pub async fn start_image(image: &str) -> Result<Self, ServerError> {
        Self::start_image_with(image, ClusterOptions::default()).await
    }

    /// The same in another size, or with options.
    ///
    /// # Errors
    /// As [`start_docker`](Self::start_docker).
    pub async fn start_image_with(
        image: &str,
        options: ClusterOptions,
    ) -> Result<Self, ServerError> {
        Self::first_of(&Settings::from_env()?.image_only(image), &options).await
    }

    /// One more node joins, as a master without slots, and is the last of [`nodes`](Self::nodes). Slots
    /// come to it by [`migrate_slot`](Self::migrate_slot). Returns its index.
    ///
    /// # Errors
    /// [`ServerError::NoServer`] if it does not start; [`ServerError::Unsettled`] if the others do not
    /// accept it.
    pub async fn add_master(&mut self) -> Result<usize, ServerError> {
        let node = self.one_more().await;
        let node = node.map_err(|why| ServerError::NoServer { tried: why })?;
        self.nodes.push(node);
        let joined = async {
            self.introduce(false).await?;
            self.wait_stable().await
        };
        if let Err(error) = joined.await {
            self.one_less();
            return Err(error);
        }
        Ok(self.nodes.len() - 1)
    }

    async fn first_of(settings: &Settings, options: &ClusterOptions) -> Result<Self, ServerError> {
        let mut search = Search::new(settings, true)?;
        while let Some(source) = search.next() {
            let made = match Ground::open(source).await {
                Ok(ground) => Self::make(ground, options).await,
                Err(why) => Err(why),
            };
            match made {
                Ok(cluster) => return Ok(cluster.announced()),
                Err(why) => search.failed(&why),
            }
        }
        Err(search.nothing())
    }

    async fn make(ground: Ground, options: &ClusterOptions) -> Result<Self, String> {
        options.check()?;
        let arguments = options.arguments(matches!(ground, Ground::Local(_)));
        let starting = (0..options.nodes()).map(|_| start(&ground, &arguments));
        let nodes = try_join_all(starting).await?;
        Self {
            url: String::new(),
            nodes,
            ground,
            arguments,
            #[cfg(feature = "tls")]
            secure: None,
        }
        .formed(options.masters)
        .await
    }

    /// Makes one cluster of nodes that have just started.
    pub(super) async fn formed(mut self, masters: usize) -> Result<Self, String> {
        let seeds: Vec<_> = (0..masters).collect();
        self.url = self.url_of(&seeds);
        let formed = self.form(masters).await;
        formed.map_err(|error| error.to_string())?;
        Ok(self)
    }

    async fn one_more(&mut self) -> Result<TestServer, String> {
        #[cfg(feature = "tls")]
        if let Some(secure) = &mut self.secure {
            return secure.one_more(&self.ground, &self.arguments).await;
        }
        start(&self.ground, &self.arguments).await
    }

    /// Takes back the last one.
    fn one_less(&mut self) {
        self.nodes.pop();
        #[cfg(feature = "tls")]
        if let Some(secure) = &mut self.secure {
            secure.one_less();
        }
    }

    /// Test runners show it where a test fails.
    pub(super) fn announced(self) -> Self {
        eprintln!("test cluster: {} at {}", self.provider(), self.url);
        self
    }
}

pub(super) async fn start(ground: &Ground, arguments: &[String]) -> Result<TestServer, String> {
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    ground.start(Role::Node, &arguments).await
}
