//! TLS with authorities and certificates of one's own, and what is said when something is wrong with them.

use memolock_core::redis::TlsOptions;
use memolock_core::{Backend, BackendError, ErrorKind, PutMode};
use memolock_testkit::{ClientAuth, TlsServer};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};

use crate::server::{eventually, free_port, heard, key, secs};
use crate::subject::Subject;

fn trusting(server: &TlsServer) -> TlsOptions {
    TlsOptions::new().authority(server.ca_pem())
}

fn known(server: &TlsServer) -> TlsOptions {
    trusting(server).client_certificate(server.client_cert_pem(), server.client_key_pem())
}

async fn connect(url: &str, tls: TlsOptions) -> Result<Subject, BackendError> {
    Subject::builder(url).tls(tls).connect().await
}

async fn refused(url: &str, tls: TlsOptions, kind: ErrorKind, word: &str) {
    let error = connect(url, tls).await.unwrap_err();
    let line = error.to_string();
    assert_eq!(error.kind(), kind, "{line}");
    assert!(line.contains(word) && !line.contains('\n'), "{line}");
    assert!(!format!("{error:?}").contains("PRIVATE"));
}

async fn works(backend: &Subject) {
    let mut listener = backend.subscribe(&key("a")).await.unwrap();
    let (key, value) = (key("a"), "v".into());
    let put = backend.put(&key, value, secs(60), PutMode::Override);
    put.await.unwrap();
    heard(&mut listener).await;
    assert_eq!(backend.get(&key).await.unwrap(), Some("v".into()));
}

#[tokio::test]
async fn an_authority_of_ones_own_is_trusted_and_with_it_the_public_ones() {
    let server = TlsServer::start().await.unwrap();
    works(&connect(server.url(), trusting(&server)).await.unwrap()).await;
    let both = trusting(&server).also_public();
    works(&connect(server.url(), both).await.unwrap()).await;
    let more = TlsOptions::new()
        .authority(server.stranger().ca_pem())
        .authority(server.ca_pem());
    works(&connect(server.url(), more).await.unwrap()).await;
    let by_ip = format!("rediss://127.0.0.1:{}", server.port());
    let backend = connect(&by_ip, known(&server)).await.unwrap();
    works(&backend).await;
    // It is mended as any other connection is.
    server
        .server()
        .command(&["CLIENT", "KILL", "TYPE", "normal"])
        .await
        .unwrap();
    eventually("it is back", || async {
        backend.get(&key("a")).await.is_ok()
    })
    .await;
    works(&backend).await;
}

#[tokio::test]
async fn who_is_not_trusted_is_named() {
    let server = TlsServer::start().await.unwrap();
    let public = TlsOptions::new();
    refused(server.url(), public, ErrorKind::Unavailable, "not trusted").await;
    let wrong = TlsOptions::new().authority(server.stranger().ca_pem());
    refused(
        server.url(),
        wrong.clone(),
        ErrorKind::Unavailable,
        "not trusted",
    )
    .await;
    let wrong = wrong.also_public();
    refused(server.url(), wrong, ErrorKind::Unavailable, "not trusted").await;
    // The port without TLS.
    let plain = format!("rediss://localhost:{}", server.server().port());
    let error = connect(&plain, trusting(&server)).await.unwrap_err();
    assert!(error.is_outage(), "{error}");
}

#[tokio::test]
async fn a_certificate_of_ours_is_shown_where_it_is_wanted() {
    let server = TlsServer::start_with(ClientAuth::Required, &[])
        .await
        .unwrap();
    works(&connect(server.url(), known(&server)).await.unwrap()).await;
    refused(
        server.url(),
        trusting(&server),
        ErrorKind::Denied,
        "client certificate",
    )
    .await;
    let other = server.stranger();
    let other = trusting(&server).client_certificate(other.cert_pem(), other.key_pem());
    refused(server.url(), other, ErrorKind::Denied, "client certificate").await;
    let mixed =
        trusting(&server).client_certificate(server.client_cert_pem(), server.stranger().key_pem());
    refused(
        server.url(),
        mixed,
        ErrorKind::Config,
        "do not belong together",
    )
    .await;
}

#[tokio::test]
async fn the_same_over_the_older_version() {
    let options = ["--tls-protocols", "TLSv1.2"];
    let server = TlsServer::start_with(ClientAuth::Required, &options)
        .await
        .unwrap();
    works(&connect(server.url(), known(&server)).await.unwrap()).await;
    refused(
        server.url(),
        trusting(&server),
        ErrorKind::Denied,
        "client certificate",
    )
    .await;
}

/// A server whose certificate is for these names, until then.
async fn odd(dir: &std::path::Path, name: &str, until: i32) -> (TlsServer, TlsOptions) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = params.self_signed(&key).unwrap();
    let issuer = Issuer::new(params, key);
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    params.not_before = date_time_ymd(2000, 1, 1);
    params.not_after = date_time_ymd(until, 1, 1);
    let certificate = params.signed_by(&key, &issuer).unwrap();
    let (pem, key_file) = (dir.join("odd.pem"), dir.join("odd.key"));
    std::fs::write(&pem, certificate.pem()).unwrap();
    std::fs::write(&key_file, key.serialize_pem()).unwrap();
    let (pem, key_file) = (pem.display().to_string(), key_file.display().to_string());
    let options = ["--tls-cert-file", &pem, "--tls-key-file", &key_file];
    let server = TlsServer::start_with(ClientAuth::Optional, &options)
        .await
        .unwrap();
    (server, TlsOptions::new().authority(ca.pem()))
}

#[tokio::test]
async fn expired_certificates_and_those_for_another_name_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let (server, tls) = odd(dir.path(), "localhost", 2001).await;
    refused(server.url(), tls, ErrorKind::Unavailable, "expired").await;
    let dir = tempfile::tempdir().unwrap();
    let (server, tls) = odd(dir.path(), "example.org", 4000).await;
    refused(server.url(), tls, ErrorKind::Unavailable, "another name").await;
    let dir = tempfile::tempdir().unwrap();
    let (server, tls) = odd(dir.path(), "localhost", 4000).await;
    works(&connect(server.url(), tls).await.unwrap()).await;
}

#[tokio::test]
async fn users_and_databases_go_over_tls_too() {
    let server = TlsServer::start().await.unwrap();
    let user = ["ACL", "SETUSER", "ann", "on", ">p@ss", "~*", "&*", "+@all"];
    server.server().command(&user).await.unwrap();
    let url = format!("rediss://ann:p%40ss@localhost:{}/3", server.port());
    works(&connect(&url, trusting(&server)).await.unwrap()).await;
    let wrong = format!("rediss://ann:hunter2@localhost:{}", server.port());
    let error = connect(&wrong, trusting(&server)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
    assert!(!error.to_string().contains("hunter2"));
}

/// A sentinel that speaks TLS and nothing else, to its clients and to the master. Killed when dropped.
struct Sentinel {
    child: std::process::Child,
    port: u16,
    _dir: tempfile::TempDir,
}

impl Sentinel {
    fn start(server: &TlsServer) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let config = dir.path().join("sentinel.conf");
        let port = free_port();
        let file = |name| server.dir().join(name).display().to_string();
        let lines = format!(
            "port 0\ntls-port {port}\nbind 127.0.0.1\ntls-replication yes\ntls-auth-clients yes\n\
             tls-ca-cert-file {}\ntls-cert-file {}\ntls-key-file {}\n\
             sentinel monitor likes 127.0.0.1 {} 1\n",
            file("ca.pem"),
            file("server.pem"),
            file("server.key"),
            server.port()
        );
        std::fs::write(&config, lines).unwrap();
        let mut command = std::process::Command::new("redis-server");
        command.arg(&config).arg("--sentinel").current_dir(&dir);
        command.stdout(std::process::Stdio::null());
        let child = command.spawn().unwrap();
        let _dir = dir;
        Self { child, port, _dir }
    }
}

impl Drop for Sentinel {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn sentinels_and_their_master_are_both_asked_over_tls() {
    let server = TlsServer::start_with(ClientAuth::Required, &[])
        .await
        .unwrap();
    let sentinel = Sentinel::start(&server);
    let url = |scheme: &str| format!("{scheme}://127.0.0.1:{}/likes", sentinel.port);
    let secure = url("rediss-sentinel");
    eventually("the sentinel is there", || async {
        connect(&secure, known(&server)).await.is_ok()
    })
    .await;
    works(&connect(&secure, known(&server)).await.unwrap()).await;
    refused(
        &secure,
        trusting(&server),
        ErrorKind::Denied,
        "client certificate",
    )
    .await;
    refused(
        &secure,
        TlsOptions::new(),
        ErrorKind::Unavailable,
        "not trusted",
    )
    .await;
    let plain = Subject::connect(url("redis-sentinel")).await.unwrap_err();
    assert!(plain.is_outage(), "{plain}");
}
