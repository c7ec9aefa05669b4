//! fred's form of an address.

use std::sync::Arc;

use fred::types::RespVersion;
use fred::types::config::{Config, Server, ServerConfig, TlsConnector};
use memolock_core::ErrorKind;
use memolock_core::redis::{Address, Endpoint, Fault};
use rustls::crypto::{CryptoProvider, ring};

/// What fred must know to connect there.
pub(crate) fn config(address: &Address) -> Result<Config, Fault> {
    let (server, tls) = match address.endpoint().clone() {
        Endpoint::Tcp { host, port } => (centralized(host, port), None),
        Endpoint::Tls { host, port } => (centralized(host, port), Some(connector()?.into())),
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

/// TLS with the public authorities, whatever the machine trusts. rustls panics when nobody chose a
/// provider: take ring, unless the application has chosen.
fn connector() -> Result<TlsConnector, Fault> {
    let provider = CryptoProvider::get_default().cloned();
    let provider = provider.unwrap_or_else(|| Arc::new(ring::default_provider()));
    let roots = webpki_roots::TLS_SERVER_ROOTS.iter().cloned();
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| Fault::new(ErrorKind::Config, error.to_string()))?
        .with_root_certificates(roots.collect::<rustls::RootCertStore>())
        .with_no_client_auth();
    Ok(config.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(url: &str) -> Result<Config, Fault> {
        config(&Address::parse(url).unwrap())
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
