//! A server with TLS, and with certificates that were made for it.

mod pki;

use std::fmt;
use std::path::Path;

pub use pki::Credentials;
pub(crate) use pki::Pki;

use crate::server::{Role, free_port};
use crate::{ServerError, TestServer};

/// How often another port is tried.
const PORTS: usize = 8;

/// Whether clients must have a certificate: the option `tls-auth-clients`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientAuth {
    /// A client may come without, but one that it shows must be of the server's authority.
    Optional,
    /// A client without is refused.
    Required,
}

/// A Redis or Valkey with TLS for a test: a child process with a certificate for `localhost` and
/// `127.0.0.1`, of an authority of its own. Dropping it ends it.
///
/// It listens on two ports: [`url`](Self::url) is the one with TLS, and [`server`](Self::server) uses the
/// one without, for the verbs and commands of a test. The program must have been built with TLS, as those
/// of the distributions are. Users are made by commands, such as `ACL SETUSER`.
///
/// ```no_run
/// # async fn example() -> Result<(), memolock_testkit::ServerError> {
/// use memolock_testkit::TlsServer;
///
/// let tls = TlsServer::start().await?;
/// println!("{} trusts {}", tls.url(), tls.ca_pem()); // rediss://localhost:…
/// tls.server().command(&["ACL", "SETUSER", "kristoff", "on", ">42", "~*", "+@all"]).await?;
/// # Ok(())
/// # }
/// ```
pub struct TlsServer {
    server: TestServer,
    port: u16,
    url: String,
    pki: Pki,
}

impl TlsServer {
    /// A server that lets in clients with and without a certificate.
    ///
    /// # Errors
    /// [`ServerError::NoServer`], also if the program knows no TLS.
    pub async fn start() -> Result<Self, ServerError> {
        Self::start_with(ClientAuth::Optional, &[]).await
    }

    /// The same with a choice about clients, and more options of the program, such as
    /// `["--tls-protocols", "TLSv1.3"]`.
    ///
    /// # Errors
    /// As [`start`](Self::start), and if the program does not like an option.
    pub async fn start_with(clients: ClientAuth, options: &[&str]) -> Result<Self, ServerError> {
        let pki = Pki::make().map_err(|why| ServerError::NoServer { tried: why })?;
        let (ca, cert, key) = (
            pki.file("ca.pem"),
            pki.file("server.pem"),
            pki.file("server.key"),
        );
        let mut last = String::new();
        for _ in 0..PORTS {
            let port = free_port().map_err(|why| ServerError::NoServer { tried: why })?;
            let number = port.to_string();
            let mut words = vec!["--tls-port", &number, "--tls-ca-cert-file", &ca];
            words.extend(["--tls-cert-file", &cert, "--tls-key-file", &key]);
            words.extend(["--tls-auth-clients", clients.word()]);
            words.extend(options);
            match TestServer::start_process("TLS", &words, Role::Server).await {
                Ok(server) => {
                    let url = format!("rediss://localhost:{port}");
                    eprintln!("with TLS at {url}");
                    return Ok(Self {
                        server,
                        port,
                        url,
                        pki,
                    });
                }
                // Somebody else was quicker to take the port.
                Err(ServerError::NoServer { tried }) if tried.contains("already in use") => {
                    last = tried;
                }
                Err(error) => return Err(error),
            }
        }
        Err(ServerError::NoServer { tried: last })
    }

    /// The URL of the port with TLS: `rediss://localhost:20000`. The same after a restart.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The port with TLS. The same after a restart.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The same server by its port without TLS: its verbs, its commands, its monitor.
    #[must_use]
    pub fn server(&self) -> &TestServer {
        &self.server
    }

    /// The certificate of the authority, which a client has to trust. PEM.
    #[must_use]
    pub fn ca_pem(&self) -> &str {
        self.pki.client.ca_pem()
    }

    /// The certificate of a client that the server lets in. PEM.
    #[must_use]
    pub fn client_cert_pem(&self) -> &str {
        self.pki.client.cert_pem()
    }

    /// The key of that client. PEM, PKCS #8.
    #[must_use]
    pub fn client_key_pem(&self) -> &str {
        self.pki.client.key_pem()
    }

    /// What a client of another authority has: it does not trust the server, nor the server it.
    #[must_use]
    pub fn stranger(&self) -> &Credentials {
        &self.pki.stranger
    }

    /// Has it show a certificate that [`stranger`](Self::stranger)s trust and its own clients do not, as after a
    /// rotation that nobody was told of. Connections that stand are left alone.
    ///
    /// # Errors
    /// As [`TestServer::command`]; servers before Redis 7 refuse.
    pub async fn show_strange_certificate(&self) -> Result<(), ServerError> {
        self.show("impostor").await
    }

    /// Has it show its own certificate again.
    ///
    /// # Errors
    /// As [`show_strange_certificate`](Self::show_strange_certificate).
    pub async fn show_own_certificate(&self) -> Result<(), ServerError> {
        self.show("server").await
    }

    async fn show(&self, whose: &str) -> Result<(), ServerError> {
        let file = |kind| self.pki.file(&format!("{whose}.{kind}"));
        // Both at once: a key of another certificate is refused.
        let words = [
            "CONFIG",
            "SET",
            "tls-cert-file",
            &file("pem"),
            "tls-key-file",
            &file("key"),
        ];
        self.server.command(&words).await.map(drop)
    }

    /// Where `ca.pem`, `client.pem` and `client.key` are, for clients that read files. It goes with the
    /// server.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.pki.dir()
    }
}

/// Without the keys.
impl fmt::Debug for TlsServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsServer")
            .field("url", &self.url)
            .field("server", &self.server)
            .finish_non_exhaustive()
    }
}

impl ClientAuth {
    fn word(self) -> &'static str {
        match self {
            Self::Optional => "optional",
            Self::Required => "yes",
        }
    }
}
