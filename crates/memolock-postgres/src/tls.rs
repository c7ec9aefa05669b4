//! TLS as libpq has it: what the URL asks for, and what rustls is told.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use memolock_core::ErrorKind;
use memolock_core::connection::Fault;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use rustls::{ClientConfig, SupportedProtocolVersion, version};

use crate::target::one_of;
use crate::url::{Parameters, unusable};
use crate::verify::{Trust, Verifier};

/// Where libpq looks for files that the URL does not name, in the home directory.
const HOME: &str = ".postgresql";

/// Whether a connection is encrypted, and what of the server is checked. Each is stricter than the one
/// before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum SslMode {
    Disable,
    /// Only if the server refuses us without.
    Allow,
    /// If the server can.
    Prefer,
    Require,
    /// And the certificate is of an authority that we trust.
    VerifyCa,
    /// And it has the name of the host.
    VerifyFull,
}

/// What the URL says of TLS.
#[derive(Debug, Clone)]
pub(crate) struct TlsSettings {
    pub(crate) mode: SslMode,
    /// Whether TLS begins at once, without asking the server first.
    pub(crate) is_direct: bool,
    roots: Option<Roots>,
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
    revoked: Option<PathBuf>,
    shows_certificate: bool,
    sends_name: bool,
    oldest: Version,
    newest: Version,
}

/// Whom to trust.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Roots {
    /// The authorities of the operating system.
    System,
    File(PathBuf),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Version {
    /// Too old for us, and accepted only as a lower bound.
    Older,
    Tls12,
    Tls13,
}

impl SslMode {
    /// What libpq calls it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Disable => "disable",
            Self::Allow => "allow",
            Self::Prefer => "prefer",
            Self::Require => "require",
            Self::VerifyCa => "verify-ca",
            Self::VerifyFull => "verify-full",
        }
    }

    const ALL: [Self; 6] = [
        Self::Disable,
        Self::Allow,
        Self::Prefer,
        Self::Require,
        Self::VerifyCa,
        Self::VerifyFull,
    ];
}

impl TlsSettings {
    /// Takes what the URL says.
    pub(crate) fn take(given: &mut Parameters) -> Result<Self, Fault> {
        let roots = given.take("sslrootcert")?.map(|name| match name.as_str() {
            "system" => Roots::System,
            path => Roots::File(path.into()),
        });
        let modes = SslMode::ALL.map(|mode| (mode.name(), mode));
        let mode = match (one_of(given, "sslmode", &modes)?, &roots) {
            (None, Some(Roots::System)) => SslMode::VerifyFull,
            (None, _) => SslMode::Prefer,
            // Anybody can get a certificate of a public authority, for some name.
            (Some(mode), Some(Roots::System)) if mode < SslMode::VerifyFull => {
                let why = format!(
                    "is {}, and sslrootcert=system needs verify-full",
                    mode.name()
                );
                return Err(unusable("sslmode", &why));
            }
            (Some(mode), _) => mode,
        };
        let negotiations = [("postgres", false), ("direct", true)];
        let is_direct = one_of(given, "sslnegotiation", &negotiations)?.unwrap_or(false);
        if is_direct && mode < SslMode::Require {
            let why = format!(
                "is {}, and sslnegotiation=direct needs require",
                mode.name()
            );
            return Err(unusable("sslmode", &why));
        }
        let versions = [
            ("TLSv1", Version::Older),
            ("TLSv1.1", Version::Older),
            ("TLSv1.2", Version::Tls12),
            ("TLSv1.3", Version::Tls13),
        ];
        let oldest = one_of(given, "ssl_min_protocol_version", &versions)?;
        let newest = one_of(given, "ssl_max_protocol_version", &versions)?;
        let settings = Self {
            mode,
            is_direct,
            roots,
            certificate: given.take("sslcert")?.map(PathBuf::from),
            key: given.take("sslkey")?.map(PathBuf::from),
            revoked: given.take("sslcrl")?.map(PathBuf::from),
            shows_certificate: one_of(
                given,
                "sslcertmode",
                &[("disable", false), ("allow", true)],
            )?
            .unwrap_or(true),
            sends_name: one_of(given, "sslsni", &[("0", false), ("1", true)])?.unwrap_or(true),
            oldest: oldest.unwrap_or(Version::Tls12),
            newest: newest.unwrap_or(Version::Tls13),
        };
        match settings.versions().is_empty() {
            true => Err(unusable(
                "ssl_max_protocol_version",
                "leaves no version of TLS",
            )),
            false => Ok(settings),
        }
    }

    /// Reads the files and says what rustls is told. Files are read for each connection, so that a
    /// certificate can be renewed.
    ///
    /// # Errors
    /// [`Config`](ErrorKind::Config) for a file that cannot be used. It is named, and nothing of it is shown.
    pub(crate) fn client_config(&self) -> Result<ClientConfig, Fault> {
        let provider = CryptoProvider::get_default().cloned();
        let provider = provider.unwrap_or_else(|| Arc::new(ring::default_provider()));
        let trust = self.trust(&provider)?;
        let verifier = Verifier {
            trust,
            checks_name: self.mode == SslMode::VerifyFull,
            provider: Arc::clone(&provider),
        };
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&self.versions())
            .map_err(|error| Fault::new(ErrorKind::Config, error.to_string()))?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier));
        let mut config = match self.client_certificate()? {
            // Whatever is wrong with the key, nothing of it is told.
            Some((chain, key)) => builder.with_client_auth_cert(chain, key).map_err(|_| {
                unusable(
                    "sslcert",
                    "and sslkey do not belong together, or cannot be used",
                )
            })?,
            None => builder.with_no_client_auth(),
        };
        config.enable_sni = self.sends_name;
        config.alpn_protocols = vec![b"postgresql".to_vec()];
        Ok(config)
    }

    fn versions(&self) -> Vec<&'static SupportedProtocolVersion> {
        let all = [
            (Version::Tls13, &version::TLS13),
            (Version::Tls12, &version::TLS12),
        ];
        let asked = all
            .into_iter()
            .filter(|(v, _)| (self.oldest..=self.newest).contains(v));
        asked.map(|(_, version)| version).collect()
    }

    /// Whom to trust. None: the certificate is not checked.
    fn trust(&self, provider: &Arc<CryptoProvider>) -> Result<Option<Trust>, Fault> {
        let file = match &self.roots {
            Some(Roots::System) => return Trust::system(provider).map(Some),
            Some(Roots::File(path)) => path.clone(),
            None => match in_home("root.crt") {
                Some(path) => path,
                None if self.mode >= SslMode::VerifyCa => {
                    let mode = self.mode.name();
                    let why = format!("is {mode}: add sslrootcert=FILE or sslrootcert=system");
                    return Err(unusable("sslmode", &why));
                }
                None => return Ok(None),
            },
        };
        let roots = certificates("sslrootcert", &file)?;
        Trust::new(roots, &self.revoked()?, provider).map(Some)
    }

    fn revoked(&self) -> Result<Vec<CertificateRevocationListDer<'static>>, Fault> {
        let Some(path) = self.revoked.clone().or_else(|| in_home("root.crl")) else {
            return Ok(Vec::new());
        };
        let pem = contents("sslcrl", &path)?;
        let lists: Result<Vec<_>, _> = CertificateRevocationListDer::pem_slice_iter(&pem).collect();
        match lists {
            Ok(lists) if !lists.is_empty() => Ok(lists),
            _ => Err(unusable(
                "sslcrl",
                "names a file without a revocation list in PEM",
            )),
        }
    }

    /// Who we are, if there is a certificate.
    #[allow(clippy::type_complexity)]
    fn client_certificate(
        &self,
    ) -> Result<Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>, Fault> {
        let path = self
            .certificate
            .clone()
            .or_else(|| in_home("postgresql.crt"));
        let Some(path) = path.filter(|_| self.shows_certificate) else {
            return Ok(None);
        };
        let chain = certificates("sslcert", &path)?;
        let key = self.key.clone().or_else(|| in_home("postgresql.key"));
        let key =
            key.ok_or_else(|| unusable("sslcert", "needs the private key: give sslkey=FILE"))?;
        let bytes = contents("sslkey", &key)?;
        let key = PrivateKeyDer::from_pem_slice(&bytes);
        // DER will do for libpq too.
        let key = key.or_else(|_| PrivateKeyDer::try_from(bytes));
        let why = "names no private key in PEM or DER; one with a passphrase cannot be used";
        Ok(Some((chain, key.map_err(|_| unusable("sslkey", why))?)))
    }
}

/// A file in libpq's directory, if it is there.
fn in_home(name: &str) -> Option<PathBuf> {
    let path = std::env::home_dir()?.join(HOME).join(name);
    path.is_file().then_some(path)
}

/// At least one.
fn certificates(parameter: &str, path: &Path) -> Result<Vec<CertificateDer<'static>>, Fault> {
    let pem = contents(parameter, path)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        _ => Err(unusable(
            parameter,
            "names a file without a certificate in PEM",
        )),
    }
}

/// Unlike libpq, a file that is named and not there is never passed over.
fn contents(parameter: &str, path: &Path) -> Result<Vec<u8>, Fault> {
    std::fs::read(path).map_err(|error| {
        let why = format!("names {}, which cannot be read: {error}", path.display());
        unusable(parameter, &why)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(query: &str) -> Result<TlsSettings, Fault> {
        let mut given = Parameters::parse(&format!("postgres://h/d?{query}")).unwrap();
        TlsSettings::take(&mut given)
    }

    #[test]
    fn modes_and_their_defaults_are_those_of_libpq() {
        for (query, mode) in [
            ("", SslMode::Prefer),
            ("sslmode=disable", SslMode::Disable),
            ("sslmode=allow", SslMode::Allow),
            ("sslmode=verify-ca&sslrootcert=x", SslMode::VerifyCa),
            ("sslrootcert=system", SslMode::VerifyFull),
            ("sslrootcert=x", SslMode::Prefer),
            ("ssl=true", SslMode::Require),
        ] {
            assert_eq!(settings(query).unwrap().mode, mode, "{query}");
        }
        for (query, said) in [
            ("sslmode=require&sslrootcert=system", "needs verify-full"),
            ("sslnegotiation=direct", "needs require"),
            ("ssl_max_protocol_version=TLSv1.1", "no version"),
            (
                "ssl_min_protocol_version=TLSv1.3&ssl_max_protocol_version=TLSv1.2",
                "no version",
            ),
            ("ssl_min_protocol_version=SSLv3", "must be one of"),
            ("sslsni=2", "must be one of"),
        ] {
            let fault = settings(query).unwrap_err();
            assert_eq!(fault.kind(), ErrorKind::Config);
            assert!(fault.detail().contains(said), "{query}: {fault:?}");
        }
        let old = settings("ssl_min_protocol_version=TLSv1&ssl_max_protocol_version=TLSv1.2");
        assert_eq!(old.unwrap().versions(), [&version::TLS12]);
    }

    #[test]
    fn a_file_that_cannot_be_used_is_named_with_its_parameter() {
        let dir = tempfile::tempdir().unwrap();
        let odd = dir.path().join("odd.pem");
        std::fs::write(&odd, "hunter2").unwrap();
        let odd = odd.display();
        for (query, said) in [
            (
                "sslrootcert=/nowhere/ca.pem".to_owned(),
                "sslrootcert names /nowhere/ca.pem",
            ),
            (
                format!("sslrootcert={odd}"),
                "sslrootcert names a file without",
            ),
            (format!("sslcert={odd}"), "sslcert names a file without"),
            ("sslcert=/nowhere/x".to_owned(), "sslcert names /nowhere/x"),
            (
                "sslmode=verify-full".to_owned(),
                "sslmode is verify-full: add sslrootcert",
            ),
        ] {
            let fault = settings(&query).unwrap().client_config().unwrap_err();
            assert_eq!(fault.kind(), ErrorKind::Config);
            assert!(fault.detail().contains(said), "{query}: {fault:?}");
            assert!(!fault.detail().contains("hunter2"), "{fault:?}");
        }
        assert!(settings("").unwrap().client_config().is_ok());
        assert!(
            settings("sslrootcert=system")
                .unwrap()
                .client_config()
                .is_ok()
        );
    }
}
