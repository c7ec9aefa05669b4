//! What TLS needs to know, and what its failures mean. Pure data: the handshake is an adapter's.

use std::fmt;

use super::Fault;
use crate::ErrorKind;

/// Whom to trust and who to be, over TLS: for URLs with `rediss://`.
///
/// There is no way to trust everybody: a certificate that cannot be checked is refused.
///
/// ```
/// # use memolock_core::redis::TlsOptions;
/// # fn read(_: &str) -> Vec<u8> { Vec::new() }
/// let tls = TlsOptions::new()
///     .authority(read("ca.pem"))
///     .client_certificate(read("client.pem"), read("client.key"));
/// assert_eq!(format!("{tls:?}"), "TlsOptions { authorities: 1, public: false, client_certificate: true }");
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
pub struct TlsOptions {
    authorities: Vec<Vec<u8>>,
    public: bool,
    client: Option<(Vec<u8>, Vec<u8>)>,
}

impl TlsOptions {
    /// The default: the public certificate authorities are trusted, and no certificate of our own is shown.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Trusts the certificates in this PEM, one or more, and **not** the public authorities, unless
    /// [`also_public`](Self::also_public) says so: whoever runs an authority of its own wants nobody else to
    /// vouch for its servers. May be called several times.
    #[must_use]
    pub fn authority(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.authorities.push(pem.into());
        self
    }

    /// Trusts the public authorities besides those that were [given](Self::authority).
    #[must_use]
    pub fn also_public(mut self) -> Self {
        self.public = true;
        self
    }

    /// Shows this certificate to servers that ask for one: a chain and its private key, both as PEM.
    #[must_use]
    pub fn client_certificate(
        mut self,
        chain: impl Into<Vec<u8>>,
        key: impl Into<Vec<u8>>,
    ) -> Self {
        self.client = Some((chain.into(), key.into()));
        self
    }

    /// The PEMs of authorities that were given.
    pub fn authorities(&self) -> impl Iterator<Item = &[u8]> {
        self.authorities.iter().map(Vec::as_slice)
    }

    /// Whether the public authorities are trusted.
    #[must_use]
    pub fn trusts_public(&self) -> bool {
        self.public || self.authorities.is_empty()
    }

    /// The PEMs of our certificate's chain and of its key.
    #[must_use]
    pub fn client(&self) -> Option<(&[u8], &[u8])> {
        self.client
            .as_ref()
            .map(|(chain, key)| (&chain[..], &key[..]))
    }

    /// Whether nothing was said.
    #[must_use]
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// How many, never what: a key is a secret.
impl fmt::Debug for TlsOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsOptions")
            .field("authorities", &self.authorities.len())
            .field("public", &self.trusts_public())
            .field("client_certificate", &self.client.is_some())
            .finish()
    }
}

/// What a failed handshake means, if these words of rustls are of one: as `Display` or as `Debug` has them.
///
/// What is wrong with the server's certificate is [`Unavailable`](ErrorKind::Unavailable), since it is the server's
/// to mend and may pass; what is wrong with ours is [`Denied`](ErrorKind::Denied).
#[must_use]
pub fn handshake_fault(said: &str) -> Option<Fault> {
    let has = |words: &[&str]| words.iter().any(|word| said.contains(word));
    let alert = has(&["fatal alert", "AlertReceived"]);
    let unavailable = ErrorKind::Unavailable;
    let (kind, detail) = if alert && has(&["CertificateRequired"]) {
        let detail =
            "the server wants a client certificate, and TlsOptions has none that it asks for";
        (ErrorKind::Denied, detail)
    } else if alert
        && has(&[
            "UnknownCA",
            "BadCertificate",
            "CertificateUnknown",
            "CertificateExpired",
            "CertificateRevoked",
            "UnsupportedCertificate",
            "AccessDenied",
            "DecryptError",
        ])
    {
        let detail = "the server does not accept our client certificate";
        (ErrorKind::Denied, detail)
    } else if alert && has(&["HandshakeFailure"]) {
        let detail = "the server broke off the TLS handshake: it may want a client certificate, or other ciphers";
        (ErrorKind::Denied, detail)
    } else if alert && has(&["ProtocolVersion"]) {
        (
            unavailable,
            "the server speaks only TLS versions that are not safe any more",
        )
    } else if has(&["UnknownIssuer", "BadSignature"]) {
        let detail = "the server's certificate is of an authority that is not trusted: give its certificate \
                      in TlsOptions::authority";
        (unavailable, detail)
    } else if has(&["certificate expired", "ExpiredContext", "(Expired)"]) {
        (unavailable, "the server's certificate has expired")
    } else if has(&["not valid yet", "NotValidYet"]) {
        let detail = "the server's certificate is not valid yet: look at the clocks";
        (unavailable, detail)
    } else if has(&["not valid for name", "NotValidForName"]) {
        let detail = "the server's certificate is for another name than that of the URL";
        (unavailable, detail)
    } else if has(&["CaUsedAsEndEntity"]) {
        let detail =
            "the server's certificate is an authority's, which no server may show as its own";
        (unavailable, detail)
    } else if has(&["invalid peer certificate", "InvalidCertificate"]) {
        (unavailable, "the server's certificate is not in order")
    } else if has(&["InvalidContentType", "corrupt message", "InvalidMessage"]) {
        (
            unavailable,
            "what is there does not speak TLS: use redis:// if that is meant",
        )
    } else {
        return None;
    };
    Some(Fault::new(kind, detail))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn public_authorities_are_trusted_until_others_are_named() {
        assert!(TlsOptions::new().trusts_public());
        let own = TlsOptions::new().authority("a").authority("b");
        assert!(!own.trusts_public());
        assert_eq!(own.authorities().collect::<Vec<_>>(), [b"a", b"b"]);
        assert!(own.also_public().trusts_public());
        assert!(
            TlsOptions::new()
                .client_certificate("c", "k")
                .trusts_public()
        );
    }

    #[test]
    fn debug_shows_no_key() {
        let tls = TlsOptions::new().client_certificate("chain", "hunter2");
        assert_eq!(tls.client(), Some((&b"chain"[..], &b"hunter2"[..])));
        assert!(!format!("{tls:?}").contains("hunter2"));
        assert!(!format!("{tls:?}").contains("104"), "as numbers");
    }

    #[test]
    fn each_failure_of_a_handshake_has_its_line() {
        use ErrorKind::{Denied, Unavailable};
        for (said, kind, word) in [
            (
                "invalid peer certificate: UnknownIssuer",
                Unavailable,
                "not trusted",
            ),
            (
                "Custom { kind: InvalidData, error: InvalidCertificate(UnknownIssuer) }",
                Unavailable,
                "not trusted",
            ),
            (
                "invalid peer certificate: certificate expired: verification time 1",
                Unavailable,
                "expired",
            ),
            (
                "InvalidCertificate(ExpiredContext { time: UnixTime(1) })",
                Unavailable,
                "expired",
            ),
            (
                "invalid peer certificate: certificate not valid yet: verification",
                Unavailable,
                "clocks",
            ),
            (
                "invalid peer certificate: certificate not valid for name \"a\"; certificate",
                Unavailable,
                "another name",
            ),
            (
                "InvalidCertificate(NotValidForNameContext { expected: x })",
                Unavailable,
                "another name",
            ),
            (
                "invalid peer certificate: Other(OtherError(CaUsedAsEndEntity))",
                Unavailable,
                "authority's",
            ),
            (
                "invalid peer certificate: BadSignature",
                Unavailable,
                "not trusted",
            ),
            (
                "invalid peer certificate: BadEncoding",
                Unavailable,
                "in order",
            ),
            (
                "received corrupt message of type InvalidContentType",
                Unavailable,
                "does not speak TLS",
            ),
            (
                "received fatal alert: CertificateRequired",
                Denied,
                "wants a client certificate",
            ),
            (
                "AlertReceived(CertificateRequired)",
                Denied,
                "wants a client certificate",
            ),
            ("received fatal alert: UnknownCA", Denied, "does not accept"),
            (
                "received fatal alert: HandshakeFailure",
                Denied,
                "broke off",
            ),
            (
                "received fatal alert: ProtocolVersion",
                Unavailable,
                "versions",
            ),
        ] {
            let fault = handshake_fault(said).unwrap_or_else(|| panic!("{said}"));
            assert_eq!(fault.kind(), kind, "{said}");
            assert!(fault.detail().contains(word), "{said}: {}", fault.detail());
        }
        assert_eq!(handshake_fault("Connection refused"), None);
        assert_eq!(handshake_fault("UnknownCA"), None, "no alert");
    }
}
