//! A server with TLS: who trusts whom.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

use memolock_testkit::{ClientAuth, TlsServer};
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::Outcome;

/// Trusts `ca`, and shows `own` if there is any.
pub(crate) fn client(ca: &str, own: Option<(&str, &str)>) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    let ca = CertificateDer::from_pem_slice(ca.as_bytes()).expect("a certificate");
    roots.add(ca).expect("an authority");
    let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .expect("protocols")
        .with_root_certificates(roots);
    match own {
        None => config.with_no_client_auth(),
        Some((cert, key)) => {
            let cert = CertificateDer::from_pem_slice(cert.as_bytes()).expect("a certificate");
            let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).expect("a key");
            let config = config.with_client_auth_cert(vec![cert], key);
            config.expect("they belong together")
        }
    }
}

/// What the server at `host` says to a PING.
fn ping(tls: &TlsServer, host: &str, config: ClientConfig) -> Result<String, std::io::Error> {
    talk(tls.port(), host, config, "PING\r\nQUIT\r\n")
        .map(|said| said.trim_end_matches("+OK\r\n").to_owned())
}

/// What a server says until it hangs up.
pub(crate) fn talk(
    port: u16,
    host: &str,
    config: ClientConfig,
    words: &str,
) -> Result<String, std::io::Error> {
    let name = host.to_owned().try_into().expect("a name");
    let session = ClientConnection::new(Arc::new(config), name).expect("a session");
    let mut stream = StreamOwned::new(session, TcpStream::connect((host, port))?);
    stream.write_all(words.as_bytes())?;
    let mut said = Vec::new();
    match stream.read_to_end(&mut said) {
        // It hangs up without a word.
        Err(error) if error.kind() == ErrorKind::UnexpectedEof && !said.is_empty() => {}
        ended => drop(ended?),
    }
    Ok(String::from_utf8_lossy(&said).into_owned())
}

#[tokio::test]
async fn who_trusts_the_authority_is_let_in() -> Outcome {
    let tls = TlsServer::start().await?;
    assert_eq!(tls.url(), format!("rediss://localhost:{}", tls.port()));
    let own = (tls.client_cert_pem(), tls.client_key_pem());
    for host in ["localhost", "127.0.0.1"] {
        for own in [None, Some(own)] {
            let pong = ping(&tls, host, client(tls.ca_pem(), own));
            assert_eq!(pong.expect("it is trusted"), "+PONG\r\n");
        }
    }
    let stranger = tls.stranger();
    let distrusted = ping(&tls, "localhost", client(stranger.ca_pem(), None));
    let why = distrusted
        .expect_err("not the stranger's authority")
        .to_string();
    assert!(why.contains("certificate"), "{why}");
    let own = (stranger.cert_pem(), stranger.key_pem());
    let refused = ping(&tls, "localhost", client(tls.ca_pem(), Some(own)));
    refused.expect_err("a certificate of another authority");
    // The other port is the same server.
    assert_eq!(tls.server().command(&["PING"]).await?, "PONG");
    Ok(())
}

#[tokio::test]
async fn a_certificate_can_be_exchanged_while_it_runs() -> Outcome {
    let tls = TlsServer::start().await?;
    let [own, strange] = [tls.ca_pem(), tls.stranger().ca_pem()];
    for _ in 0..2 {
        assert!(ping(&tls, "localhost", client(own, None)).is_ok());
        assert!(ping(&tls, "localhost", client(strange, None)).is_err());
        tls.show_strange_certificate().await?;
        assert!(ping(&tls, "localhost", client(own, None)).is_err());
        assert!(ping(&tls, "localhost", client(strange, None)).is_ok());
        tls.show_own_certificate().await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_certificate_can_be_asked_for_and_a_restart_changes_nothing() -> Outcome {
    let options = ["--tls-protocols", "TLSv1.3", "--maxmemory", "3mb"];
    let tls = TlsServer::start_with(ClientAuth::Required, &options).await?;
    let memory = tls
        .server()
        .command(&["CONFIG", "GET", "maxmemory"])
        .await?;
    assert_eq!(memory.items()[1], "3145728");
    let own = (tls.client_cert_pem(), tls.client_key_pem());
    let with = || ping(&tls, "localhost", client(tls.ca_pem(), Some(own)));
    assert_eq!(with().expect("it shows one"), "+PONG\r\n");
    let without = ping(&tls, "localhost", client(tls.ca_pem(), None));
    without.expect_err("it shows none");
    tls.server().restart().await?;
    assert_eq!(with().expect("it shows one"), "+PONG\r\n");
    let shown = format!("{tls:?} {:?}", tls.stranger());
    assert!(!shown.contains("PRIVATE"), "{shown}");
    Ok(())
}

#[tokio::test]
async fn files_are_there_as_long_as_it_is() -> Outcome {
    let tls = TlsServer::start().await?;
    let dir = tls.dir().to_owned();
    let read = |name: &str| std::fs::read_to_string(dir.join(name)).expect("a file");
    assert_eq!(read("ca.pem"), tls.ca_pem());
    assert_eq!(read("client.pem"), tls.client_cert_pem());
    assert_eq!(read("client.key"), tls.client_key_pem());
    let port = tls.port();
    drop(tls);
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err());
    assert!(!dir.exists());
    Ok(())
}
