//! What a certificate says, where rustls does not look.

use std::net::IpAddr;
use std::time::Duration;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::{ServerName, SignatureVerificationAlgorithm, UnixTime};
use x509_cert::der::asn1::ObjectIdentifier;
use x509_cert::der::{Decode, Encode};
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::pkix::{BasicConstraints, SubjectAltName};
use x509_cert::spki::AlgorithmIdentifierOwned;
use x509_cert::time::Time;
use x509_cert::{Certificate as Parsed, Version};

const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");

/// A certificate that could be read.
#[derive(Debug)]
pub(super) struct Certificate(Parsed);

impl Certificate {
    pub(super) fn parse(der: &[u8]) -> Option<Self> {
        Parsed::from_der(der).ok().map(Self)
    }

    /// The same if it is of version 1, which rustls does not read.
    pub(super) fn of_first_version(der: &[u8]) -> Option<Self> {
        Self::parse(der).filter(Self::is_first_version)
    }

    pub(super) fn is_first_version(&self) -> bool {
        self.0.tbs_certificate.version == Version::V1
    }

    pub(super) fn is_self_issued(&self) -> bool {
        self.0.tbs_certificate.issuer == self.0.tbs_certificate.subject
    }

    pub(super) fn is_valid_at(&self, now: UnixTime) -> bool {
        let validity = &self.0.tbs_certificate.validity;
        let [first, last] = [validity.not_before, validity.not_after].map(Time::to_unix_duration);
        (first..=last).contains(&Duration::from_secs(now.as_secs()))
    }

    /// Its public key, as `SubjectPublicKeyInfo` in DER.
    pub(super) fn key(&self) -> Option<Vec<u8>> {
        self.0.tbs_certificate.subject_public_key_info.to_der().ok()
    }

    /// Whether this authority has signed it.
    pub(super) fn is_signed_by(&self, authority: &[u8], provider: &CryptoProvider) -> bool {
        let Some(authority) = Self::parse(authority) else {
            return false;
        };
        let Ok(body) = self.0.tbs_certificate.to_der() else {
            return false;
        };
        let inner = &self.0.tbs_certificate;
        if !authority.is_authority()
            || authority.0.tbs_certificate.subject != inner.issuer
            || inner.signature != self.0.signature_algorithm
        {
            return false;
        }
        let algorithm = identifier(&self.0.signature_algorithm);
        let all = provider.signature_verification_algorithms.all.iter();
        let mut fitting =
            all.filter(|one| algorithm.as_deref() == Some(one.signature_alg_id().as_ref()));
        fitting.any(|one| authority.has_signed(*one, &body, self.0.signature.raw_bytes()))
    }

    /// Whether it may sign others. Version 1 has no word for that.
    fn is_authority(&self) -> bool {
        match self.0.tbs_certificate.get::<BasicConstraints>() {
            Ok(Some((_, constraints))) => constraints.ca,
            _ => self.is_first_version(),
        }
    }

    /// Whether its key has signed this message.
    pub(super) fn has_signed(
        &self,
        algorithm: &dyn SignatureVerificationAlgorithm,
        message: &[u8],
        signature: &[u8],
    ) -> bool {
        let key = &self.0.tbs_certificate.subject_public_key_info;
        let fits =
            identifier(&key.algorithm).as_deref() == Some(algorithm.public_key_alg_id().as_ref());
        let bits = key.subject_public_key.raw_bytes();
        fits && algorithm.verify_signature(bits, message, signature).is_ok()
    }

    /// Whether it has this name. As libpq: the subject's common name counts if there is no alternative
    /// name of the same kind.
    pub(super) fn is_for(&self, name: &ServerName<'_>) -> bool {
        let alternatives = self.alternatives();
        match name {
            ServerName::DnsName(name) => {
                let names = alternatives.iter().filter_map(|name| match name {
                    GeneralName::DnsName(name) => Some(name.as_str()),
                    _ => None,
                });
                let names: Vec<&str> = names.collect();
                let name = name.as_ref();
                match names.is_empty() {
                    true => self.has_common_name(name),
                    false => names.iter().any(|one| matches(one, name)),
                }
            }
            ServerName::IpAddress(address) => {
                let address = IpAddr::from(*address);
                let addresses = alternatives.iter().filter_map(|name| match name {
                    GeneralName::IpAddress(address) => Some(address.as_bytes()),
                    _ => None,
                });
                let addresses: Vec<&[u8]> = addresses.collect();
                match (addresses.is_empty(), address) {
                    (true, _) => self.has_common_name(&address.to_string()),
                    (_, IpAddr::V4(address)) => addresses.contains(&&address.octets()[..]),
                    (_, IpAddr::V6(address)) => addresses.contains(&&address.octets()[..]),
                }
            }
            _ => false,
        }
    }

    fn has_common_name(&self, name: &str) -> bool {
        // As libpq: the first one counts.
        let names = self.common_names();
        names.first().is_some_and(|one| matches(one, name))
    }

    fn alternatives(&self) -> Vec<GeneralName> {
        match self.0.tbs_certificate.get::<SubjectAltName>() {
            Ok(Some((_, names))) => names.0,
            _ => Vec::new(),
        }
    }

    fn common_names(&self) -> Vec<String> {
        let parts = self.0.tbs_certificate.subject.0.iter();
        let parts = parts.flat_map(|part| part.0.iter());
        let names = parts.filter(|part| part.oid == COMMON_NAME);
        let texts = names.map(|part| String::from_utf8_lossy(part.value.value()).into_owned());
        texts.collect()
    }
}

/// The body of an algorithm identifier, as rustls compares it: without the head of its sequence.
fn identifier(algorithm: &AlgorithmIdentifierOwned) -> Option<Vec<u8>> {
    let der = algorithm.to_der().ok()?;
    // Such a body is short: a head of two bytes.
    der.get(2..).map(<[u8]>::to_vec)
}

/// Whether a name of a certificate, perhaps with a wildcard for its first label, is this one.
fn matches(pattern: &str, name: &str) -> bool {
    // A zero byte in it has fooled others.
    if pattern.contains('\0') {
        return false;
    }
    match pattern.strip_prefix("*.") {
        Some(domain) => match name.split_once('.') {
            Some((label, rest)) => {
                !label.is_empty() && domain.contains('.') && rest.eq_ignore_ascii_case(domain)
            }
            None => false,
        },
        None => pattern.eq_ignore_ascii_case(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wildcard_stands_for_one_label() {
        for (pattern, name, expected) in [
            ("db.example.com", "DB.example.com", true),
            ("*.example.com", "db.example.com", true),
            ("*.example.com", "a.db.example.com", false),
            ("*.example.com", "example.com", false),
            ("*.com", "example.com", false),
            ("*", "db", false),
            ("db\0.evil", "db", false),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        }
    }
}
