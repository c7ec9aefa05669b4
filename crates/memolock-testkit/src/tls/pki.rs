//! Authorities and certificates, made anew for each server.

use std::fmt;
use std::path::Path;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};

use crate::server::Watcher;

/// What a client needs: whom it trusts, and who it is.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    ca: String,
    cert: String,
    key: String,
}

/// All that a server and its clients need, also as files.
pub(crate) struct Pki {
    pub(crate) client: Credentials,
    pub(super) stranger: Credentials,
    dir: tempfile::TempDir,
    #[allow(dead_code)] // It is held for its drop.
    watcher: Option<Watcher>,
}

impl Credentials {
    /// The certificate of the authority. PEM.
    #[must_use]
    pub fn ca_pem(&self) -> &str {
        &self.ca
    }

    /// The client's own certificate, by that authority. PEM.
    #[must_use]
    pub fn cert_pem(&self) -> &str {
        &self.cert
    }

    /// The client's key. PEM, PKCS #8.
    #[must_use]
    pub fn key_pem(&self) -> &str {
        &self.key
    }
}

/// Without the key.
impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").finish_non_exhaustive()
    }
}

impl Pki {
    pub(crate) fn make() -> Result<Self, String> {
        let dir =
            tempfile::tempdir().map_err(|error| format!("no temporary directory: {error}"))?;
        // No key outlives us.
        let watcher = Watcher::spawn("rm -rf \"$1\"", &[dir.path().as_os_str()]);
        let (client, server) = family().map_err(|error| format!("no certificates: {error}"))?;
        let (stranger, impostor) = family().map_err(|error| format!("no certificates: {error}"))?;
        for (name, pem) in [
            ("ca.pem", &client.ca),
            ("client.pem", &client.cert),
            ("client.key", &client.key),
            ("server.pem", &server.cert),
            ("server.key", &server.key),
            ("impostor.pem", &impostor.cert),
            ("impostor.key", &impostor.key),
        ] {
            // Nobody else reads the directory.
            std::fs::write(dir.path().join(name), pem)
                .map_err(|error| format!("cannot write {name}: {error}"))?;
        }
        Ok(Self {
            client,
            stranger,
            dir,
            watcher,
        })
    }

    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn file(&self, name: &str) -> String {
        self.dir().join(name).display().to_string()
    }
}

/// An authority, with a client and a server that it vouches for.
fn family() -> Result<(Credentials, Credentials), rcgen::Error> {
    let key = KeyPair::generate()?;
    let mut authority = CertificateParams::new(Vec::new())?;
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    named(&mut authority, "memolock test authority");
    let ca = authority.self_signed(&key)?.pem();
    let issuer = Issuer::new(authority, key);
    let client = vouched(&issuer, &ca, "client", ExtendedKeyUsagePurpose::ClientAuth)?;
    let server = vouched(&issuer, &ca, "server", ExtendedKeyUsagePurpose::ServerAuth)?;
    Ok((client, server))
}

fn vouched(
    issuer: &Issuer<'_, KeyPair>,
    ca: &str,
    who: &str,
    purpose: ExtendedKeyUsagePurpose,
) -> Result<Credentials, rcgen::Error> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new(["localhost".to_owned(), "127.0.0.1".to_owned()])?;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![purpose];
    params.use_authority_key_identifier_extension = true;
    named(&mut params, &format!("memolock test {who}"));
    Ok(Credentials {
        ca: ca.to_owned(),
        cert: params.signed_by(&key, issuer)?.pem(),
        key: key.serialize_pem(),
    })
}

fn named(params: &mut CertificateParams, name: &str) {
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
}
