//! Addresses: reading a URL, and never showing its password.

use memolock_core::ErrorKind;
use redis::io::tcp::TcpSettings;
use redis::{ConnectionAddr, ConnectionInfo, IntoConnectionInfo, ProtocolVersion};

use crate::error::Fault;

const FORMS: &str =
    "use redis://[user:pass@]host[:port][/db], rediss://… for TLS, or redis+unix:///path.sock";

/// Where to connect and as whom.
#[derive(Clone)]
pub(crate) struct Target {
    info: ConnectionInfo,
}

impl Target {
    /// Reads a URL. The error says what is wrong with it and does not repeat it: it may hold a
    /// password in a place where nobody expects one.
    pub(crate) fn parse(url: &str) -> Result<Self, Fault> {
        let url = url.trim();
        let scheme = url.split_once("://").map(|(scheme, _)| scheme);
        match scheme.map(str::to_ascii_lowercase).as_deref() {
            Some("redis" | "rediss" | "valkey" | "valkeys") => {}
            Some("redis+unix" | "valkey+unix" | "unix") => {}
            Some("redis-cluster" | "redis-sentinel") => {
                let detail = "redis-cluster:// and redis-sentinel:// are not supported yet";
                return Err(Fault::new(ErrorKind::Unsupported, detail));
            }
            _ => return Err(unusable("not the URL of a Redis")),
        }
        let info = url
            .into_connection_info()
            .map_err(|error| unusable(reason(&error)))?;
        if info.redis_settings().db() < 0 {
            return Err(unusable("Invalid database number"));
        }
        if let ConnectionAddr::Unix(path) = info.addr()
            && path.as_os_str() == "/"
        {
            return Err(unusable("the path of the socket is missing"));
        }
        let settings = info
            .redis_settings()
            .clone()
            // Pushes on the connection itself are what tells messages, confirmations and its end.
            .set_protocol(ProtocolVersion::RESP3)
            .set_lib_name(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"));
        let info = info
            .set_redis_settings(settings)
            // Off by default, and small writes would wait for acknowledgements of earlier ones.
            .set_tcp_settings(TcpSettings::default().set_nodelay(true));
        Ok(Self { info })
    }

    pub(crate) fn client(&self) -> Result<redis::Client, Fault> {
        if matches!(self.info.addr(), ConnectionAddr::TcpTls { .. }) {
            provide_crypto();
        }
        Ok(redis::Client::open(self.info.clone())?)
    }

    /// Host and port, or path. Never user or password.
    pub(crate) fn address(&self) -> String {
        self.info.addr().to_string()
    }

    pub(crate) fn password(&self) -> Option<&str> {
        self.info.redis_settings().password()
    }
}

fn unusable(reason: &str) -> Fault {
    Fault::new(ErrorKind::Config, format!("{reason}; {FORMS}"))
}

/// The library's words without what it read, which may be a piece of a mistyped password.
fn reason(error: &redis::RedisError) -> &'static str {
    let said = error.to_string();
    [
        "Invalid database number",
        "Missing hostname",
        "Missing path",
        "Invalid protocol version",
        "wildcard address",
        "Username is not valid UTF-8",
        "Password is not valid UTF-8",
        "only #insecure is supported",
        "Unix sockets are not available",
    ]
    .into_iter()
    .find(|known| said.contains(known))
    .unwrap_or("the URL did not parse")
}

/// rustls panics when a process has several providers or none and nobody chose: choose ring, unless
/// the application has chosen.
fn provide_crypto() {
    use rustls::crypto::{CryptoProvider, ring};
    if CryptoProvider::get_default().is_none() {
        // An error means that another thread was faster.
        let _ = ring::default_provider().install_default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(url: &str) -> Fault {
        match Target::parse(url) {
            Ok(target) => panic!("{url} was taken for {}", target.address()),
            Err(fault) => fault,
        }
    }

    #[test]
    fn the_forms_of_the_documentation_are_read() {
        let full = Target::parse("redis://ann:s%40cret@example.org:7000/3").unwrap();
        assert_eq!(full.address(), "example.org:7000");
        assert_eq!(full.password(), Some("s@cret"));
        let settings = full.info.redis_settings();
        assert_eq!(settings.username(), Some("ann"));
        assert_eq!(settings.db(), 3);
        assert_eq!(settings.protocol(), ProtocolVersion::RESP3);
        assert!(full.info.tcp_settings().nodelay());

        let short = Target::parse("redis://localhost").unwrap();
        assert_eq!(short.address(), "localhost:6379");
        let v6 = Target::parse("redis://[::1]:6380/").unwrap();
        assert_eq!(v6.address(), "::1:6380");
        let tls = Target::parse("rediss://:pw@example.org").unwrap();
        assert!(matches!(
            tls.info.addr(),
            ConnectionAddr::TcpTls {
                insecure: false,
                ..
            }
        ));
        let socket = Target::parse("redis+unix:///tmp/r.sock?db=2&pass=pw").unwrap();
        assert_eq!(socket.address(), "/tmp/r.sock");
        assert_eq!(socket.info.redis_settings().db(), 2);
        assert_eq!(socket.password(), Some("pw"));
    }

    #[test]
    fn a_protocol_in_the_url_does_not_switch_pushes_off() {
        let target = Target::parse("redis://h/?protocol=resp2").unwrap();
        assert_eq!(
            target.info.redis_settings().protocol(),
            ProtocolVersion::RESP3
        );
    }

    #[test]
    fn bad_urls_get_one_line_without_the_password() {
        for url in [
            "",
            "localhost:6379",
            "hunter2",
            "http://:hunter2@localhost",
            "redis://:hunter2@",
            "redis://:hunter2@host:99999",
            "redis://:hunter2@host/hunter2",
            "redis://:hunter2@host/-1",
            "redis://:hunter2@host/?protocol=hunter2",
            "redis://:%ff@host/",
            "redis://user:hunter2/x@host",
            "rediss://:hunter2@host/#hunter2",
            "redis+unix://",
            "redis+unix:///",
        ] {
            let fault = fault(url);
            assert_eq!(fault.kind(), ErrorKind::Config, "{url}");
            assert!(!fault.detail().contains("hunter2"), "{}", fault.detail());
            assert!(fault.detail().contains("redis://"), "{}", fault.detail());
        }
    }

    #[test]
    fn clusters_and_sentinels_are_refused_by_name() {
        for url in [
            "redis-cluster://:hunter2@h:1?node=h:2",
            "redis-sentinel://h:1",
        ] {
            let fault = fault(url);
            assert_eq!(fault.kind(), ErrorKind::Unsupported, "{url}");
            assert!(
                fault.detail().contains("not supported yet") && !fault.detail().contains("h:1")
            );
        }
    }
}
