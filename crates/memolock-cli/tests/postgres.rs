//! The backend that is not Redis, through the same doors.
#![cfg(feature = "postgres")]

mod common;

use common::{memolock, run};
use memolock_testkit::PgServer;
#[cfg(unix)]
use memolock_testkit::{End, Faults, Proxy, Way, suite::Line};

/// `None` where there is no PostgreSQL, which is said.
async fn server() -> Option<PgServer> {
    if !PgServer::is_there() && std::env::var_os("MEMOLOCK_TEST_POSTGRES_REQUIRED").is_none() {
        eprintln!("not run: there is no PostgreSQL (apt-get install postgresql)");
        return None;
    }
    Some(
        PgServer::start_own()
            .await
            .expect("a PostgreSQL of our own"),
    )
}

#[tokio::test]
async fn four_processes_share_one_compute() {
    let Some(server) = server().await else { return };
    let herd = [
        "herd",
        "--url",
        server.url(),
        "--processes",
        "4",
        "--tasks",
        "400",
    ];
    let args = [&herd[..], &["--compute", "20ms", "--repeat", "5", "--json"]].concat();
    let report = run(memolock(&args)).await.succeeds().json();
    assert_eq!(report["backend"], "postgres");
    assert_eq!(report["computes"], 5, "one each time: {report}");
    assert_eq!(report["wrong"], 0, "{report}");
    assert_eq!(report["errors"], 0, "{report}");
}

#[tokio::test]
async fn commands_make_their_table_and_find_what_others_stored() {
    let Some(server) = server().await else { return };
    let put = [
        "put",
        "--url",
        server.url(),
        "--id",
        "x",
        "--ttl",
        "1m",
        "v",
    ];
    run(memolock(&put)).await.succeeds();
    let get = ["get", "--url", server.url(), "--id", "x"];
    assert_eq!(run(memolock(&get)).await.succeeds().text(), "v");
}

#[tokio::test]
async fn a_url_that_cannot_be_used_is_said_in_one_line_without_its_password() {
    let url = "postgres://u:hunter2@127.0.0.1:1/d";
    let ended = run(memolock(&["get", "--url", url, "--id", "x"])).await;
    let said = ended.fails(1);
    assert!(
        said.contains("127.0.0.1:1/d") && !said.contains("hunter2"),
        "{said}"
    );
    let url = "postgres://u:hunter2@127.0.0.1:port/d";
    let ended = run(memolock(&["get", "--url", url, "--id", "x"])).await;
    let said = ended.fails(2);
    assert!(
        said.contains("postgres://user:pass@") && !said.contains("hunter2"),
        "{said}"
    );
}

/// The server stores the output, and its reply never arrives: neither "not stored" nor `false` may be said.
#[cfg(unix)]
#[tokio::test]
async fn an_output_that_was_stored_is_not_reported_as_not_stored_after_a_lost_reply() {
    let Some(server) = server().await else { return };
    let place = ["--url", server.url(), "--tag", "likes", "--id", "x"];
    let get = [&["get"][..], &place].concat();
    // It makes the table.
    let warm = [&["put"][..], &place[..4], &["--id", "warm", "v"]].concat();
    run(memolock(&warm)).await.succeeds();
    let address = server.address().parse().unwrap();
    let proxy = Proxy::start(address).await.unwrap();
    let url = server.url();
    let url = url.replace(server.address(), &proxy.address().to_string());
    let holder = common::Holder::begin(&url, &["--json", "--lease", "1m"]).await;
    proxy.set(Faults::down(Way::CLEAR.vanishing())).await;
    let lose = async {
        let seen = async {
            while run(memolock(&get)).await.text() != "done" {
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            }
        };
        let stored = tokio::time::timeout(common::PATIENCE, seen).await;
        stored.expect("it is stored");
        proxy.sever(End::Close).await;
        proxy.heal().await;
    };
    let (ended, ()) = tokio::join!(holder.end("done"), lose);
    let report = ended.succeeds().json();
    assert_eq!(
        (&report["stored"], &report["value"]),
        (&true.into(), &"done".into())
    );
}

/// More than a computed value may have by default.
#[tokio::test]
async fn sixty_five_mib_are_put_and_resolved() {
    let Some(server) = server().await else { return };
    let value = vec![b'x'; 65 << 20];
    for command in ["put", "resolve"] {
        let place = ["--url", server.url(), "--id", command, "--timeout", "1m"];
        let put = [&[command][..], &place, &["-"]].concat();
        common::run_with_input(memolock(&put), &value)
            .await
            .succeeds();
        let get = [&["get"][..], &place].concat();
        let found = run(memolock(&get)).await;
        assert_eq!(found.succeeds().stdout.len(), 65 << 20, "{command}");
    }
}
