//! From options to a backend: what goes together, and the links opened.

use std::sync::Arc;

use memolock_core::ErrorKind;
use memolock_core::redis::{Address, ClientName, Endpoint, Fault, Topology};
use memolock_redis_common::cluster::Cluster;
#[cfg(feature = "deadpool")]
use memolock_redis_common::{Dialer, Purpose};
use memolock_redis_common::{Names, Site, Trunk};

use crate::backend::RedisBackend;
use crate::builder::RedisBackendBuilder;
use crate::command::Commands;
use crate::node::Nodes;
#[cfg(feature = "deadpool")]
use crate::pooled::Pooled;
use crate::road::Road;
use crate::server::Server;
use crate::tls::Tls;

impl RedisBackendBuilder {
    /// Opens the links. Nothing is sent before it returns.
    pub(crate) fn open(self) -> Result<RedisBackend, Fault> {
        let address = Address::parse(&self.url)?;
        self.options.check()?;
        let encrypted = matches!(address.endpoint(), Endpoint::Tls { .. });
        let refused = match address.topology() {
            _ if self.way.client.connector.is_some() && encrypted => {
                "over a connector's stream TLS is the stream's affair: use redis://"
            }
            Topology::Cluster if self.way.client.connector.is_some() => {
                "a connector's streams lead to one server: not with redis-cluster://"
            }
            #[cfg(feature = "deadpool")]
            Topology::Cluster if self.pool.is_some() => {
                "a pool leads to one server: not with redis-cluster://"
            }
            Topology::Sentinel { .. } if self.way.client.connector.is_some() => {
                "a connector leads to one server: use redis://, or no connector"
            }
            #[cfg(feature = "deadpool")]
            Topology::Sentinel { .. } if self.pool.is_some() => {
                "a pool leads to one server and follows no failover: use redis://, or no pool"
            }
            _ if !encrypted && !self.tls.is_default() => {
                "TLS was asked for, and the URL is not for TLS: use rediss://"
            }
            _ if tokio::runtime::Handle::try_current().is_err() => "there is no tokio runtime here",
            _ => "",
        };
        if !refused.is_empty() {
            return Err(Fault::new(ErrorKind::Config, refused));
        }
        let options = self.options;
        let mut way = self.way;
        way.client.tls = encrypted.then(|| Tls::new(&self.tls)).transpose()?;
        way.names = Names::new(ClientName::new(options.client_name.clone(), self.named));
        if *address.topology() == Topology::Cluster {
            let bound = options.command_timeout;
            let nodes = Nodes::new(options, way);
            return Ok(Cluster::open(nodes, &address, bound).into());
        }
        let site = Site::open(address, options, way);
        let counters = Arc::default();
        let server = Server::open(site, counters, |site, counters, doubt| {
            #[cfg(feature = "deadpool")]
            if let Some(pool) = self.pool {
                let (dialer, options) = (Dialer::new(site, Purpose::Commands), &site.options);
                let pooled = Pooled::new(pool, dialer, options, counters, doubt);
                return Road::Pooled(Box::new(pooled));
            }
            Road::Own(Commands::new(Trunk::open(site, counters, doubt)))
        });
        Ok(server.into())
    }
}
