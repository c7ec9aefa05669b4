//! From options to a backend: what goes together, and the links opened.

use std::sync::Arc;

use memolock_cluster::Cluster;
use memolock_core::ErrorKind;
use memolock_core::redis::{Address, ClientName, Endpoint, Fault, Topology};

use crate::backend::RedisBackend;
use crate::builder::RedisBackendBuilder;
use crate::command::Commands;
#[cfg(feature = "deadpool")]
use crate::dial::Dialer;
use crate::node::Nodes;
#[cfg(feature = "deadpool")]
use crate::pooled::Pooled;
use crate::road::Road;
use crate::sentinels::{MAX_DELAY, Sentinels};
use crate::server::Server;
use crate::site::{Names, Site};
use crate::tls::Tls;

impl RedisBackendBuilder {
    /// Opens the links. Nothing is sent before it returns.
    pub(crate) fn open(self) -> Result<RedisBackend, Fault> {
        let address = Address::parse(&self.url)?;
        self.options.check()?;
        let encrypted = matches!(address.endpoint(), Endpoint::Tls { .. });
        let refused = match address.topology() {
            _ if self.connector.is_some() && encrypted => {
                "over a connector's stream TLS is the stream's affair: use redis://"
            }
            Topology::Cluster if self.connector.is_some() => {
                "a connector's streams lead to one server: not with redis-cluster://"
            }
            #[cfg(feature = "deadpool")]
            Topology::Cluster if self.pool.is_some() => {
                "a pool leads to one server: not with redis-cluster://"
            }
            Topology::Sentinel { .. } if self.connector.is_some() => {
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
        let tls = encrypted.then(|| Tls::new(&self.tls)).transpose()?;
        let mut options = self.options;
        let sentinels = match address.topology() {
            Topology::Sentinel { service } => {
                options.reconnect_max_delay = options.reconnect_max_delay.min(MAX_DELAY);
                let (tls, dice) = (tls.as_ref(), &self.dice);
                Some(Sentinels::open(&address, service, &options, tls, dice))
            }
            Topology::Single | Topology::Cluster => None,
        };
        let name = ClientName::new(options.client_name.clone(), self.named);
        let names = Arc::new(Names::new(name));
        if *address.topology() == Topology::Cluster {
            let bound = options.command_timeout;
            let nodes = Nodes {
                options,
                tls,
                credentials: self.credentials,
                names,
                dice: self.dice,
                counters: Arc::default(),
            };
            return Ok(Cluster::open(nodes, &address, bound).into());
        }
        let site = Site {
            address,
            options,
            connector: self.connector,
            tls,
            credentials: self.credentials,
            names,
            sentinels,
        };
        let server = Server::open(
            site,
            self.dice,
            Arc::default(),
            |site, dice, counters, doubt| {
                let options = &site.options;
                #[cfg(feature = "deadpool")]
                if let Some(pool) = self.pool {
                    let dialer = Dialer::new(site, "");
                    let pooled = Pooled::new(pool, dialer, options, counters, doubt);
                    return Road::Pooled(Box::new(pooled));
                }
                Road::Own(Commands::open(site, options, dice, counters, doubt))
            },
        );
        Ok(server.into())
    }
}
