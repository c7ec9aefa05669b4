//! One server: busy with a script, a replica, without replicas, unable to save, still loading.

use memolock_testkit::TestServer;
use memolock_tests::{Adapter, Fate, Scripted, cli, eventually, own_server};

use crate::Pair;

async fn each(server: &TestServer, what: &str, refuse: impl AsyncFn(), mend: impl AsyncFn()) {
    for adapter in Adapter::ALL {
        let pair = Pair::start(adapter, server.url(), what).await;
        let value = format!("{what} {adapter} value");
        pair.value_outlasts(&value, &refuse, &mend).await;
        pair.close().await;
        let pair = Pair::start(adapter, server.url(), what).await;
        let release = format!("{what} {adapter} release");
        pair.release_outlasts(&release, &refuse, &mend).await;
        pair.close().await;
    }
}

#[tokio::test]
async fn a_server_that_is_busy_with_a_script() {
    let server = own_server().await;
    cli(&server, &["CONFIG", "SET", "lua-time-limit", "1"]).await;
    let refuse = async || {
        let mut admin = server.connect().await.unwrap();
        admin
            .send(&["EVAL", "while true do end", "0"])
            .await
            .unwrap();
        eventually("it is busy", || async {
            let answer = server.command(&["PING"]).await;
            answer.is_err_and(|error| error.to_string().contains("BUSY"))
        })
        .await;
    };
    let mend = async || {
        server.command(&["SCRIPT", "KILL"]).await.unwrap();
        eventually("it is not busy", || async {
            server.command(&["PING"]).await.is_ok()
        })
        .await;
    };
    each(&server, "busy", refuse, mend).await;
}

#[tokio::test]
async fn a_server_that_is_a_replica_for_a_time() {
    let server = own_server().await;
    let refuse = async || drop(cli(&server, &["REPLICAOF", "127.0.0.1", "1"]).await);
    let mend = async || drop(cli(&server, &["REPLICAOF", "NO", "ONE"]).await);
    each(&server, "readonly", refuse, mend).await;
}

#[tokio::test]
async fn a_server_without_enough_replicas() {
    let server = own_server().await;
    let set = async |count| {
        cli(&server, &["CONFIG", "SET", "min-replicas-to-write", count]).await;
    };
    each(
        &server,
        "noreplicas",
        async || set("1").await,
        async || set("0").await,
    )
    .await;
}

#[tokio::test]
async fn a_server_that_cannot_save() {
    let server = own_server().await;
    cli(&server, &["CONFIG", "SET", "save", "3600 1"]).await;
    let dir = cli(&server, &["CONFIG", "GET", "dir"]).await;
    let dir = dir.items()[1].as_str().unwrap().to_owned();
    // A directory where the file is to be.
    let obstacle = std::path::Path::new(&dir).join("dump.rdb");
    let refuse = async || {
        let _ = std::fs::remove_file(&obstacle);
        std::fs::create_dir_all(obstacle.join("x")).unwrap();
        saved(&server, "err").await;
    };
    let mend = async || {
        std::fs::remove_dir_all(&obstacle).unwrap();
        saved(&server, "ok").await;
    };
    each(&server, "misconf", refuse, mend).await;
}

async fn saved(server: &TestServer, how: &str) {
    eventually("a save", || async {
        let _ = server.command(&["BGSAVE"]).await;
        let info = cli(server, &["INFO", "persistence"]).await;
        let line = format!("rdb_last_bgsave_status:{how}");
        info.as_str().is_some_and(|info| info.contains(&line))
    })
    .await;
}

/// What only a server in some state says: it is said for it.
#[tokio::test]
async fn what_else_a_server_says_for_now() {
    let server = own_server().await;
    for adapter in Adapter::ALL {
        for line in [
            "LOADING Redis is loading the dataset in memory",
            "CLUSTERDOWN The cluster is down",
            "TRYAGAIN Multiple keys request during rehashing of slot",
            "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
        ] {
            let front = Scripted::before(&server).await;
            let code = line.split(' ').next().unwrap();
            let refuse = async || {
                front.script(|words| match words[0].as_ref() {
                    b"GET" | b"EVALSHA" | b"EVAL" => Fate::Fails(line.to_owned()),
                    _ => Fate::Passes,
                });
            };
            let mend = async || front.mend();
            let pair = Pair::start(adapter, front.url(), "said").await;
            let id = format!("{code} {adapter} value");
            pair.value_outlasts(&id, refuse, mend).await;
            pair.close().await;
            let pair = Pair::start(adapter, front.url(), "said").await;
            let id = format!("{code} {adapter} release");
            pair.release_outlasts(&id, refuse, mend).await;
            pair.close().await;
        }
    }
}
