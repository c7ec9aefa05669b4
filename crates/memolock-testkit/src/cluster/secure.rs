//! Clusters whose nodes speak TLS: to clients, to each other and to their replicas.

use std::fmt;
use std::path::Path;

use futures_util::future::try_join_all;

use super::start::start;
use super::{ClusterOptions, TestCluster};
use crate::server::{Ground, Search, Settings, Source, free_pair};
use crate::tls::Pki;
use crate::{ServerError, TestServer};

/// How often another port is tried.
const PORTS: usize = 8;

/// One authority for all nodes, and the port of each.
pub(super) struct Secure {
    pki: Pki,
    ports: Vec<u16>,
}

impl TestCluster {
    /// A cluster with TLS: child processes with certificates for `localhost` and `127.0.0.1`, of an authority of
    /// the cluster's own. Clients may come without a certificate.
    ///
    /// Nodes listen without TLS too, for the verbs and commands of a test; those are the ports of
    /// [`nodes`](Self::nodes). Clients, peers and replicas are told of the others. That takes Redis 7 or Valkey,
    /// built with TLS.
    ///
    /// ```no_run
    /// # async fn example() -> Result<(), memolock_testkit::ServerError> {
    /// use memolock_testkit::{ClusterOptions, TestCluster};
    ///
    /// let cluster = TestCluster::start_tls(ClusterOptions::default()).await?;
    /// println!("{} trusts {:?}", cluster.url(), cluster.ca_pem()); // rediss-cluster://127.0.0.1:…
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`ServerError::NoServer`], also if the program knows no TLS; containers are not tried.
    pub async fn start_tls(options: ClusterOptions) -> Result<Self, ServerError> {
        let mut search = Search::new(&Settings::from_env()?, true)?;
        while let Some(source) = search.next() {
            let made = match source {
                Source::Local(_) => match Ground::open(source).await {
                    Ok(ground) => Self::make_secure(ground, &options).await,
                    Err(why) => Err(why),
                },
                _ => Err("a cluster with TLS takes local processes".into()),
            };
            match made {
                Ok(cluster) => return Ok(cluster.announced()),
                Err(why) => search.failed(&why),
            }
        }
        Err(search.nothing())
    }

    /// The certificate of the authority, which clients have to trust: PEM. None without TLS.
    #[must_use]
    pub fn ca_pem(&self) -> Option<&str> {
        Some(self.secure.as_ref()?.pki.client.ca_pem())
    }

    /// Where `ca.pem`, `client.pem` and `client.key` are, for clients that read files; it goes with the cluster.
    /// None without TLS.
    #[must_use]
    pub fn tls_dir(&self) -> Option<&Path> {
        Some(self.secure.as_ref()?.pki.dir())
    }

    async fn make_secure(ground: Ground, options: &ClusterOptions) -> Result<Self, String> {
        options.check()?;
        let (arguments, pki) = (options.arguments(true), Pki::make()?);
        let starting = (0..options.nodes()).map(|_| start_secure(&ground, &arguments, &pki));
        let (nodes, ports): (Vec<_>, Vec<_>) = try_join_all(starting).await?.into_iter().unzip();
        Self {
            url: String::new(),
            nodes,
            ground,
            arguments,
            secure: Some(Secure { pki, ports }),
        }
        .formed(options.masters)
        .await
    }
}

impl Secure {
    /// The port of a node by which clients and peers come.
    pub(super) fn port(&self, index: usize) -> u16 {
        self.ports[index]
    }

    pub(super) async fn one_more(
        &mut self,
        ground: &Ground,
        arguments: &[String],
    ) -> Result<TestServer, String> {
        let (node, port) = start_secure(ground, arguments, &self.pki).await?;
        self.ports.push(port);
        Ok(node)
    }

    pub(super) fn one_less(&mut self) {
        self.ports.pop();
    }
}

/// A node, and its port with TLS.
async fn start_secure(
    ground: &Ground,
    arguments: &[String],
    pki: &Pki,
) -> Result<(TestServer, u16), String> {
    let mut last = String::new();
    for _ in 0..PORTS {
        let port = free_pair()?;
        let mut all = arguments.to_vec();
        all.extend(words(port, pki));
        match start(ground, &all).await {
            Ok(node) => return Ok((node, port)),
            // Somebody else was quicker to take the port.
            Err(why) if why.contains("already in use") => last = why,
            Err(why) => return Err(why),
        }
    }
    Err(last)
}

fn words(port: u16, pki: &Pki) -> Vec<String> {
    let file = |name| pki.file(name);
    [
        ("--tls-port", port.to_string()),
        ("--tls-cluster", "yes".into()),
        ("--tls-replication", "yes".into()),
        ("--tls-auth-clients", "optional".into()),
        ("--tls-ca-cert-file", file("ca.pem")),
        ("--tls-cert-file", file("server.pem")),
        ("--tls-key-file", file("server.key")),
        // As which a node comes to its peers.
        ("--tls-client-cert-file", file("client.pem")),
        ("--tls-client-key-file", file("client.key")),
    ]
    .into_iter()
    .flat_map(|(option, value)| [option.to_owned(), value])
    .collect()
}

/// Without the keys.
impl fmt::Debug for Secure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secure")
            .field("ports", &self.ports)
            .finish_non_exhaustive()
    }
}
