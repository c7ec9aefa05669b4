//! Which certificates of a server are good enough: as libpq and OpenSSL decide it.
//!
//! rustls does the work. It is stricter than OpenSSL in three cases that PostgreSQL's own manual leads to,
//! and those are decided here: a self-signed certificate that is its own authority, a certificate of
//! X.509 version 1 (what `openssl x509 -req` makes without extensions), and a certificate that has its
//! name only in the subject.

mod certificate;

use std::sync::Arc;

use memolock_core::connection::Fault;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{
    CryptoProvider, verify_tls12_signature, verify_tls13_signature,
    verify_tls13_signature_with_raw_key,
};
use rustls::pki_types::{
    CertificateDer, CertificateRevocationListDer, ServerName, SubjectPublicKeyInfoDer, UnixTime,
};
use rustls::{CertificateError, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

use certificate::Certificate;

use crate::url::unusable;

/// Decides about a server's certificate.
#[derive(Debug)]
pub(crate) struct Verifier {
    /// None: any certificate will do.
    pub(crate) trust: Option<Trust>,
    /// Whether it must have the name of the host.
    pub(crate) checks_name: bool,
    pub(crate) provider: Arc<CryptoProvider>,
}

/// The authorities that are trusted.
#[derive(Debug)]
pub(crate) struct Trust {
    webpki: Arc<WebPkiServerVerifier>,
    roots: Vec<CertificateDer<'static>>,
    /// There are lists of what was revoked: only rustls looks into them.
    revokes: bool,
}

impl Trust {
    /// Trusts these, but for what the lists revoke.
    pub(crate) fn new(
        roots: Vec<CertificateDer<'static>>,
        revoked: &[CertificateRevocationListDer<'static>],
        provider: &Arc<CryptoProvider>,
    ) -> Result<Self, Fault> {
        // webpki does not look at the dates of an authority. OpenSSL does.
        let now = UnixTime::now();
        let is_valid = |root: &CertificateDer<'_>| {
            Certificate::parse(root).is_none_or(|root| root.is_valid_at(now))
        };
        let roots: Vec<_> = roots.into_iter().filter(is_valid).collect();
        if roots.is_empty() {
            return Err(unusable(
                "sslrootcert",
                "names no certificate that is valid now",
            ));
        }
        let mut store = RootCertStore::empty();
        for root in &roots {
            let added = store.add(root.clone());
            added
                .map_err(|_| unusable("sslrootcert", "names a certificate that cannot be used"))?;
        }
        let builder =
            WebPkiServerVerifier::builder_with_provider(Arc::new(store), Arc::clone(provider));
        let builder = builder.with_crls(revoked.iter().cloned());
        // As OpenSSL: a list that is out of date proves nothing.
        let webpki = builder.enforce_revocation_expiration().build();
        let webpki = webpki.map_err(|_| unusable("sslcrl", "names a list that cannot be used"))?;
        Ok(Self {
            webpki,
            roots,
            revokes: !revoked.is_empty(),
        })
    }

    /// The authorities of the operating system.
    pub(crate) fn system(provider: &Arc<CryptoProvider>) -> Result<Self, Fault> {
        let mut store = RootCertStore::empty();
        store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if store.is_empty() {
            // A minimal container has none.
            store.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        }
        let builder =
            WebPkiServerVerifier::builder_with_provider(Arc::new(store), Arc::clone(provider));
        let webpki = builder.build();
        let webpki = webpki.map_err(|_| unusable("sslrootcert", "system cannot be used"))?;
        Ok(Self {
            webpki,
            roots: Vec::new(),
            revokes: false,
        })
    }

    /// Whether a trusted authority vouches for a certificate that rustls does not take.
    fn vouches(&self, der: &[u8], now: UnixTime, provider: &CryptoProvider) -> Option<Certificate> {
        let certificate = Certificate::parse(der)?;
        if self.revokes || !certificate.is_valid_at(now) {
            return None;
        }
        let is_root = || self.roots.iter().any(|root| root.as_ref() == der);
        let good = match certificate.is_first_version() {
            true => self
                .roots
                .iter()
                .any(|root| certificate.is_signed_by(root, provider)),
            false => certificate.is_self_issued() && is_root(),
        };
        good.then_some(certificate)
    }
}

/// Whose key signs a handshake.
enum Signer {
    /// An unchecked certificate proves nothing, so a signature by its key does not either.
    Unchecked,
    /// rustls reads the certificate.
    Known,
    /// It is of X.509 version 1, which rustls does not read.
    Old(Box<Certificate>),
}

impl Verifier {
    fn signer(&self, certificate: &CertificateDer<'_>) -> Signer {
        match (&self.trust, Certificate::of_first_version(certificate)) {
            (None, _) => Signer::Unchecked,
            (_, None) => Signer::Known,
            (_, Some(old)) => Signer::Old(Box::new(old)),
        }
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let good = Ok(ServerCertVerified::assertion());
        let Some(trust) = &self.trust else {
            return good;
        };
        let error =
            match trust
                .webpki
                .verify_server_cert(certificate, intermediates, name, ocsp, now)
            {
                Ok(verified) => return Ok(verified),
                Err(error) => error,
            };
        let certificate = match &error {
            // All else was found good before the name was looked at.
            Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            ) => Certificate::parse(certificate),
            _ => trust.vouches(certificate, now, &self.provider),
        };
        match certificate {
            Some(certificate) if !self.checks_name || certificate.is_for(name) => good,
            // It is good but for its name.
            Some(_) => Err(CertificateError::NotValidForName.into()),
            None => Err(error),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        let old = match self.signer(certificate) {
            Signer::Unchecked => return Ok(HandshakeSignatureValid::assertion()),
            Signer::Known => {
                return verify_tls12_signature(message, certificate, signed, algorithms);
            }
            Signer::Old(old) => old,
        };
        let of_scheme = algorithms
            .mapping
            .iter()
            .filter(|(scheme, _)| *scheme == signed.scheme);
        let mut candidates = of_scheme.flat_map(|(_, algorithms)| algorithms.iter());
        match candidates.any(|one| old.has_signed(*one, message, signed.signature())) {
            true => Ok(HandshakeSignatureValid::assertion()),
            false => Err(CertificateError::BadSignature.into()),
        }
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        let old = match self.signer(certificate) {
            Signer::Unchecked => return Ok(HandshakeSignatureValid::assertion()),
            Signer::Known => {
                return verify_tls13_signature(message, certificate, signed, algorithms);
            }
            Signer::Old(old) => old,
        };
        let key = old.key().ok_or(CertificateError::BadEncoding)?;
        let key = SubjectPublicKeyInfoDer::from(key);
        verify_tls13_signature_with_raw_key(message, &key, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}
