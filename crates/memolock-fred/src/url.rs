//! fred's form of an address.

use fred::types::RespVersion;
use fred::types::config::{Config, Server, ServerConfig, TlsConnector};
use memolock_core::ErrorKind;
use memolock_core::redis::{Address, Endpoint, Fault};

/// What fred must know to connect there, over TLS if the address says so.
pub(crate) fn config(address: &Address, tls: Option<&TlsConnector>) -> Result<Config, Fault> {
    let (server, tls) = match address.endpoint().clone() {
        Endpoint::Tcp { host, port } => (centralized(host, port), None),
        Endpoint::Tls { host, port } => {
            // The builder sees to it for such an address. Without it nothing may go out.
            let tls = tls.ok_or_else(|| Fault::new(ErrorKind::Config, "there is no TLS here"))?;
            (centralized(host, port), Some(tls.clone().into()))
        }
        Endpoint::Unix(path) => (ServerConfig::Unix { path }, None),
    };
    Ok(Config {
        server,
        tls,
        username: address.user().map(str::to_owned),
        password: address.password().map(str::to_owned),
        database: database(address.database())?,
        // Messages on a connection that also answers pings: see `subscriptions`.
        version: RespVersion::RESP3,
        // The first attempt is the only one: attempts are the supervisor's.
        fail_fast: true,
        ..Config::default()
    })
}

fn centralized(host: String, port: u16) -> ServerConfig {
    let server = Server::new(host, port);
    ServerConfig::Centralized { server }
}

fn database(number: u32) -> Result<Option<u8>, Fault> {
    match u8::try_from(number) {
        Ok(0) => Ok(None),
        Ok(number) => Ok(Some(number)),
        Err(_) => {
            let detail = "fred takes databases up to 255: use another adapter";
            Err(Fault::new(ErrorKind::Config, detail))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use memolock_core::redis::TlsOptions;
    use memolock_redis_common::client_config;

    fn of(url: &str) -> Result<Config, Fault> {
        let tls = TlsConnector::from(client_config(&TlsOptions::new()).unwrap());
        config(&Address::parse(url).unwrap(), Some(&tls))
    }

    #[test]
    fn everything_that_an_address_says_is_handed_on() {
        let full = of("redis://ann:s%40cret@example.org:7000/3").unwrap();
        assert_eq!(full.username.as_deref(), Some("ann"));
        assert_eq!(full.password.as_deref(), Some("s@cret"));
        assert_eq!(full.database, Some(3));
        assert_eq!(full.version, RespVersion::RESP3);
        assert_eq!(full.server, centralized("example.org".into(), 7000));
        assert!(full.tls.is_none());
        assert!(of("rediss://example.org").unwrap().tls.is_some());
        let bare = config(&Address::parse("rediss://example.org").unwrap(), None);
        assert_eq!(bare.unwrap_err().kind(), ErrorKind::Config);
        let socket = of("redis+unix:///tmp/r.sock").unwrap();
        let path = "/tmp/r.sock".into();
        assert_eq!(socket.server, ServerConfig::Unix { path });
    }

    #[test]
    fn a_database_that_fred_cannot_name_is_refused() {
        assert_eq!(of("redis://h/256").unwrap_err().kind(), ErrorKind::Config);
        assert_eq!(of("redis://h/0").unwrap().database, None);
    }
}
