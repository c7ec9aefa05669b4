//! Servers with TLS, masters behind sentinels, and clusters, by every command that needs a server.

mod common;

use common::{memolock, run};
use memolock_testkit::{ClientAuth, ClusterOptions, TestCluster, TestSentinel, TlsServer};
use tokio::process::Command;

const BACKENDS: [&str; 2] = ["redis-rs", "fred"];

/// Files as an operator has them.
struct Files {
    ca: String,
    cert: String,
    key: String,
}

fn files(server: &TlsServer) -> Files {
    let file = |name| server.dir().join(name).display().to_string();
    Files {
        ca: file("ca.pem"),
        cert: file("client.pem"),
        key: file("client.key"),
    }
}

fn on(url: &str, backend: &str, args: &[&str]) -> Command {
    let mut command = memolock(&[&["--backend", backend][..], args].concat());
    command.env("MEMOLOCK_URL", url);
    command
}

#[tokio::test]
async fn certificates_are_files() {
    let server = TlsServer::start_with(ClientAuth::Required, &[]).await;
    let server = server.expect("a server with TLS");
    let Files { ca, cert, key } = files(&server);
    let tls = ["--tls-ca", &ca, "--tls-cert", &cert, "--tls-key", &key];
    for backend in BACKENDS {
        let put = [&tls[..], &["put", "--id", "x", "v"]].concat();
        run(on(server.url(), backend, &put)).await.succeeds();
        let get = [&["get", "--id", "x"][..], &tls].concat();
        let ended = run(on(server.url(), backend, &get)).await;
        assert_eq!(ended.succeeds().text(), "v");
        let mut by_environment = on(server.url(), backend, &["get", "--id", "x"]);
        by_environment
            .env("MEMOLOCK_TLS_CA", &ca)
            .env("MEMOLOCK_TLS_CERT", &cert)
            .env("MEMOLOCK_TLS_KEY", &key);
        assert_eq!(run(by_environment).await.succeeds().text(), "v");
        // Its workers are told, too.
        let herd = ["herd", "--processes", "2", "--tasks", "20", "--json"];
        let herd = [&herd[..], &tls].concat();
        let ended = run(on(server.url(), backend, &herd)).await;
        assert_eq!(ended.json()["errors"], 0, "{ended:?}");

        let get = ["get", "--id", "x"];
        let line = run(on(server.url(), backend, &get)).await;
        assert!(line.fails(1).contains("not trusted"), "{line:?}");
        let line = run(on(
            server.url(),
            backend,
            &["--tls-ca", &ca, "get", "--id", "x"],
        ))
        .await;
        assert!(line.fails(1).contains("client certificate"), "{line:?}");
    }
}

#[tokio::test]
async fn what_cannot_be_used_is_a_usage_error() {
    let get = ["get", "--id", "x"];
    for backend in BACKENDS {
        for (tls, word) in [
            (&["--tls-ca", "/nowhere/ca.pem"][..], "/nowhere/ca.pem"),
            (&["--tls-ca", "/dev/null"], "no certificate"),
            (&["--tls-cert", "/dev/null"], "--tls-key"),
            (&["--tls-key", "/dev/null"], "--tls-cert"),
        ] {
            let args = [tls, &get].concat();
            let ended = run(on("rediss://127.0.0.1:1", backend, &args)).await;
            assert!(ended.fails(2).contains(word), "{ended:?}");
        }
    }
    let server = TlsServer::start().await.expect("a server with TLS");
    let Files { ca, .. } = files(&server);
    let args = [&["--tls-ca", &ca][..], &get].concat();
    for backend in BACKENDS {
        // Nobody takes this for safe.
        let ended = run(on(server.server().url(), backend, &args)).await;
        assert!(ended.fails(2).contains("rediss://"), "{ended:?}");
    }
    let ended = run(memolock(&["--backend", "memory", "--tls-ca", &ca, "herd"])).await;
    assert!(ended.fails(2).contains("--tls-ca"), "{ended:?}");
}

/// Waits until a replica has what was written: a failover loses the rest.
async fn replicated(sentinel: &TestSentinel) {
    let master = sentinel.master().await.expect("a master");
    let server = sentinel.servers()[master].connect().await;
    let mut server = server.expect("a connection");
    // It counts from the connection's own last write.
    for command in [&["SET", "mark", "x"][..], &["WAIT", "1", "10000"]] {
        server.command(command).await.expect("an answer");
    }
}

#[tokio::test]
async fn a_master_is_found_and_followed() {
    let sentinel = TestSentinel::start_local().await.expect("sentinels");
    for backend in BACKENDS {
        let put = ["put", "--id", "x", backend];
        run(on(sentinel.url(), backend, &put)).await.succeeds();
        replicated(&sentinel).await;
        sentinel.failover().await.expect("a failover");
        sentinel.wait_stable().await.expect("order");
        let ended = run(on(sentinel.url(), backend, &["get", "--id", "x"])).await;
        assert_eq!(ended.succeeds().text(), backend);
        let unknown = sentinel.url().replace("/memolock", "/likes");
        let ended = run(on(&unknown, backend, &["get", "--id", "x"])).await;
        assert!(
            ended.fails(1).contains("no master named likes"),
            "{ended:?}"
        );
    }
}

#[tokio::test]
async fn a_cluster_is_one_store() {
    let options = ClusterOptions {
        replicas_per_master: 0,
        ..ClusterOptions::default()
    };
    let cluster = TestCluster::start_local_with(options).await;
    let cluster = cluster.expect("a cluster");
    for (backend, other) in BACKENDS.into_iter().zip(BACKENDS.into_iter().rev()) {
        // A name for each of them, so that they fall on several nodes.
        for n in 0..6 {
            let id = format!("{backend}-{n}");
            let put = ["put", "--id", &id, backend];
            run(on(cluster.url(), backend, &put)).await.succeeds();
            let get = run(on(cluster.url(), other, &["get", "--id", &id])).await;
            assert_eq!(get.succeeds().text(), backend);
        }
        let herd = [
            "herd",
            "--processes",
            "4",
            "--tasks",
            "400",
            "--keys",
            "9",
            "--json",
        ];
        let report = run(on(cluster.url(), backend, &herd))
            .await
            .succeeds()
            .json();
        assert_eq!(report["computes"], 9, "{report}");
        assert_eq!(report["errors"], 0, "{report}");
        assert_eq!(report["wrong"], 0, "{report}");
    }
}
