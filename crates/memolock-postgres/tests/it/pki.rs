//! Certificates for servers and clients of a test.

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair,
};

/// A certificate and its key, both in PEM.
pub(crate) struct Pair {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

/// An authority.
pub(crate) struct Authority {
    pub(crate) pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let params = as_authority(params("test authority", &[]));
        let pem = params.self_signed(&key).unwrap().pem();
        let issuer = Issuer::new(params, key);
        Self { pem, issuer }
    }

    /// A certificate with this common name and these alternative names.
    pub(crate) fn vouch(&self, common: &str, names: &[&str]) -> Pair {
        let key = KeyPair::generate().unwrap();
        let certificate = params(common, names).signed_by(&key, &self.issuer);
        Pair {
            certificate: certificate.unwrap().pem(),
            key: key.serialize_pem(),
        }
    }
}

/// As `openssl req -x509` makes it: its own authority.
pub(crate) fn self_signed(common: &str) -> Pair {
    let key = KeyPair::generate().unwrap();
    let certificate = as_authority(params(common, &[])).self_signed(&key);
    Pair {
        certificate: certificate.unwrap().pem(),
        key: key.serialize_pem(),
    }
}

fn params(common: &str, names: &[&str]) -> CertificateParams {
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    let mut params = CertificateParams::new(names).unwrap();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common);
    params
}

fn as_authority(mut params: CertificateParams) -> CertificateParams {
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params
}
