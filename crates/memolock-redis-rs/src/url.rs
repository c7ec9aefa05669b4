//! The client's form of an address, with the settings that the backend needs.

use memolock_core::redis::Address;
use redis::{ProtocolVersion, RedisConnectionInfo};

/// What a connection begins with.
pub(crate) fn settings(address: &Address) -> RedisConnectionInfo {
    let mut settings = RedisConnectionInfo::default()
        .set_db(address.database().into())
        // Pushes on the connection itself are what tells messages, confirmations and its end.
        .set_protocol(ProtocolVersion::RESP3)
        .set_lib_name(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"));
    if let Some(user) = address.user() {
        settings = settings.set_username(user);
    }
    if let Some(password) = address.password() {
        settings = settings.set_password(password);
    }
    settings
}

/// For the client's own TLS, which a pool has: rustls panics when a process has several providers or none and
/// nobody chose. Choose ring, unless the application has chosen.
#[cfg(feature = "deadpool")]
pub(crate) fn provide_crypto() {
    use rustls::crypto::{CryptoProvider, ring};
    if CryptoProvider::get_default().is_none() {
        // An error means that another thread was faster.
        let _ = ring::default_provider().install_default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(url: &str) -> RedisConnectionInfo {
        settings(&Address::parse(url).unwrap())
    }

    #[test]
    fn everything_that_an_address_says_is_handed_on() {
        let settings = of("redis://ann:s%40cret@example.org:7000/3");
        assert_eq!(settings.username(), Some("ann"));
        assert_eq!(settings.password(), Some("s@cret"));
        assert_eq!(settings.db(), 3);
    }

    /// Without a password the client would not log in, and be the default user.
    #[test]
    fn a_user_without_a_password_logs_in_all_the_same() {
        let settings = of("redis://ann@h?db=2");
        assert_eq!(settings.username(), Some("ann"));
        assert_eq!((settings.password(), settings.db()), (Some(""), 2));
    }

    #[test]
    fn a_protocol_in_the_url_does_not_switch_pushes_off() {
        let settings = of("redis://h/?protocol=resp2");
        assert_eq!(settings.protocol(), ProtocolVersion::RESP3);
    }
}
