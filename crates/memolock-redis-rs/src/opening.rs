//! From options to a backend: what goes together, and the links opened.

use memolock_core::ErrorKind;
use memolock_core::redis::{Address, ClientName, Endpoint, Fault, Topology};
#[cfg(feature = "deadpool")]
use memolock_redis_common::{Dialer, Home, Purpose};
use memolock_redis_common::{Names, Road as _, Store};

use crate::backend::RedisBackend;
use crate::builder::RedisBackendBuilder;
#[cfg(feature = "deadpool")]
use crate::pooled::Pooled;
use crate::road::Road;
use crate::tls::Tls;

impl RedisBackendBuilder {
    /// Opens the links. Nothing is sent before it returns.
    pub(crate) fn open(mut self) -> Result<RedisBackend, Fault> {
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
            _ if !self.way.settle_runtime() => "there is no tokio runtime here",
            _ => "",
        };
        if !refused.is_empty() {
            return Err(Fault::new(ErrorKind::Config, refused));
        }
        let options = self.options;
        let mut way = self.way;
        way.client.tls = encrypted.then(|| Tls::new(&self.tls)).transpose()?;
        way.names = Names::new(ClientName::new(options.client_name.clone(), self.named));
        let store = Store::open(address, options, way, |site, counters, doubt| {
            #[cfg(feature = "deadpool")]
            if let Some(pool) = self.pool {
                let dialer = Dialer::new(site, Purpose::Commands);
                let home = Home::new(site.way.runtime());
                let pooled = Pooled::new(pool, dialer, home, &site.options, counters, doubt);
                return Road::Pooled(Box::new(pooled));
            }
            Road::pave(site, counters, doubt)
        });
        Ok(RedisBackend(store))
    }
}
