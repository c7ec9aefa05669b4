//! Files with certificates, for servers with TLS.

use std::path::{Path, PathBuf};

use clap::Args;
use memolock::core::redis::TlsOptions;
use memolock::core::{BackendError, ErrorKind, Operation};
use serde::{Deserialize, Serialize};

/// Whom to trust and who to be.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args, Serialize, Deserialize)]
pub(crate) struct TlsFiles {
    /// Trust this authority's certificate (PEM), and not the public ones
    #[arg(long, global = true, env = "MEMOLOCK_TLS_CA", value_name = "FILE")]
    tls_ca: Option<PathBuf>,
    /// Show this certificate (PEM) to servers that want one
    #[arg(
        long,
        global = true,
        env = "MEMOLOCK_TLS_CERT",
        value_name = "FILE",
        requires = "tls_key"
    )]
    tls_cert: Option<PathBuf>,
    /// The private key of --tls-cert (PEM)
    #[arg(
        long,
        global = true,
        env = "MEMOLOCK_TLS_KEY",
        value_name = "FILE",
        requires = "tls_cert"
    )]
    tls_key: Option<PathBuf>,
}

impl TlsFiles {
    /// Whether nothing was said.
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Reads the files.
    pub(crate) fn read(&self) -> Result<TlsOptions, BackendError> {
        let mut options = TlsOptions::new();
        if let Some(ca) = &self.tls_ca {
            options = options.authority(contents("--tls-ca", ca)?);
        }
        if let (Some(cert), Some(key)) = (&self.tls_cert, &self.tls_key) {
            let chain = contents("--tls-cert", cert)?;
            options = options.client_certificate(chain, contents("--tls-key", key)?);
        }
        Ok(options)
    }
}

fn contents(option: &str, path: &Path) -> Result<Vec<u8>, BackendError> {
    std::fs::read(path).map_err(|error| {
        let detail = format!("{option}: cannot read {}: {error}", path.display());
        BackendError::new(ErrorKind::Config, Operation::Connect, detail)
    })
}
