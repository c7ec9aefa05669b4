//! fred's form of an address.

use fred::types::RespVersion;
use fred::types::config::{Config, Server, ServerConfig, TlsConnector};
use memolock_core::ErrorKind;
use memolock_core::redis::{Address, Endpoint, Fault};

/// What fred must know to connect there and log in, over TLS if the address says so. The database is for
/// [`dial`](crate::dial) to select: fred takes only those up to 255.
///
/// fred writes `HELLO` as an inline command, with user and password as they are: a space or a quote in one spoils it, and
/// what stands behind a line feed is a command of its own. So where there is a password, fred is told to speak RESP2.
/// Then it begins with `AUTH`, whose words are counted and not parsed, and `dial` asks for RESP3 afterwards.
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
    let (username, version) = match address.password() {
        Some(_) => {
            // `AUTH` of a password alone is an error where the default user has none; that of a user is not.
            let user = address.user().unwrap_or("default");
            (Some(user.to_owned()), RespVersion::RESP2)
        }
        // Messages on a connection that also answers pings: see `subscriptions`.
        None => (None, RespVersion::RESP3),
    };
    Ok(Config {
        server,
        tls,
        username,
        password: address.password().map(str::to_owned),
        version,
        // The first attempt is the only one: attempts are the supervisor's.
        fail_fast: true,
        ..Config::default()
    })
}

fn centralized(host: String, port: u16) -> ServerConfig {
    let server = Server::new(host, port);
    ServerConfig::Centralized { server }
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
        assert_eq!(full.database, None);
        assert_eq!(full.server, centralized("example.org".into(), 7000));
        assert!(full.tls.is_none());
        assert!(of("rediss://example.org").unwrap().tls.is_some());
        let bare = config(&Address::parse("rediss://example.org").unwrap(), None);
        assert_eq!(bare.unwrap_err().kind(), ErrorKind::Config);
        let socket = of("redis+unix:///tmp/r.sock").unwrap();
        let path = "/tmp/r.sock".into();
        assert_eq!(socket.server, ServerConfig::Unix { path });
    }

    /// Inline, a space or a line feed in them would end a word or the command.
    #[test]
    fn credentials_never_travel_in_an_inline_hello() {
        for (url, user, password) in [
            ("redis://ann:a%20b%0D%0Ac@h", "ann", "a b\r\nc"),
            ("redis://:pw@h", "default", "pw"),
            ("redis://ann@h", "ann", ""),
            ("redis+unix:///s?user=ann", "ann", ""),
        ] {
            let config = of(url).unwrap();
            assert_eq!(config.version, RespVersion::RESP2, "{url}");
            assert_eq!(config.username.as_deref(), Some(user), "{url}");
            assert_eq!(config.password.as_deref(), Some(password), "{url}");
        }
        let nobody = of("redis://h/300").unwrap();
        assert_eq!(nobody.version, RespVersion::RESP3);
        assert_eq!((nobody.username, nobody.password), (None, None));
    }
}
