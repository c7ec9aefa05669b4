//! TLS with rustls: whom to trust and whom to be.

use std::sync::Arc;

use memolock_core::ErrorKind;
use memolock_core::redis::{Fault, TlsOptions};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

/// What rustls is told: whom to trust and whom to be. The provider is the application's, or ring if it has chosen none.
/// The public authorities are Mozilla's, whatever the client would trust by itself.
///
/// # Errors
/// [`Config`](ErrorKind::Config) for what cannot be used. It is named, and nothing of it is shown.
pub fn client_config(options: &TlsOptions) -> Result<ClientConfig, Fault> {
    let provider = CryptoProvider::get_default().cloned();
    let provider = provider.unwrap_or_else(|| Arc::new(ring::default_provider()));
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| unusable(&error.to_string()))?
        .with_root_certificates(roots(options)?);
    let Some((chain, key)) = options.client() else {
        return Ok(builder.with_no_client_auth());
    };
    let chain = certificates(chain, "the client certificate")?;
    let key = PrivateKeyDer::from_pem_slice(key)
        .map_err(|_| unusable("the key of the client certificate is no private key in PEM"))?;
    // Whatever is wrong with the key, nothing of it is told.
    builder.with_client_auth_cert(chain, key).map_err(|_| {
        unusable("the client certificate and its key do not belong together, or cannot be used")
    })
}

fn roots(options: &TlsOptions) -> Result<RootCertStore, Fault> {
    let mut roots = RootCertStore::empty();
    if options.trusts_public() {
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    for pem in options.authorities() {
        for certificate in certificates(pem, "an authority")? {
            roots
                .add(certificate)
                .map_err(|_| unusable("the certificate of an authority cannot be used"))?;
        }
    }
    Ok(roots)
}

/// At least one.
fn certificates(pem: &[u8], whose: &str) -> Result<Vec<CertificateDer<'static>>, Fault> {
    let bad = || unusable(&format!("the PEM of {whose} holds no certificate"));
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        _ => Err(bad()),
    }
}

fn unusable(what: &str) -> Fault {
    Fault::new(ErrorKind::Config, format!("TlsOptions: {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(options: &TlsOptions) -> Fault {
        match client_config(options) {
            Ok(_) => panic!("{options:?} was taken"),
            Err(fault) => fault,
        }
    }

    #[test]
    fn what_cannot_be_used_is_named_and_not_shown() {
        assert!(client_config(&TlsOptions::new()).is_ok());
        for options in [
            TlsOptions::new().authority(""),
            TlsOptions::new().authority("hunter2"),
            TlsOptions::new().client_certificate("hunter2", "hunter2"),
            TlsOptions::new().authority("-----BEGIN CERTIFICATE-----\nhunter2\n"),
            TlsOptions::new()
                .authority("-----BEGIN CERTIFICATE-----\naHVudGVyMg==\n-----END CERTIFICATE-----"),
        ] {
            let fault = refused(&options);
            assert_eq!(fault.kind(), ErrorKind::Config);
            assert!(!fault.detail().contains("hunter2"), "{}", fault.detail());
        }
    }
}
