//! Every form of URL of one server, in one table: each adapter logs in as the same user and selects the same database, or
//! refuses in the same line.

use memolock::core::ErrorKind::{self, Config, Denied};
use memolock::core::redis::TlsOptions;
use memolock_testkit::{ClientAuth, TestServer, TlsServer};
use memolock_tests::Adapter;

use crate::{all_are, connect, none_is_left, over, users, works};

/// What becomes of a URL.
enum Becomes {
    /// This user, in this database.
    User(&'static str, u32),
    /// An error of this kind, with these words.
    Refused(ErrorKind, &'static str),
}

use Becomes::{Refused, User};

const WRONG: &str = "WRONGPASS";

/// What stands before the place, what stands behind it, and what becomes of it.
const FORMS: &[(&str, &str, Becomes)] = &[
    ("", "", User("default", 0)),
    ("", "/", User("default", 0)),
    ("", "/2", User("default", 2)),
    ("", "/2/", User("default", 2)),
    ("", "/300", User("default", 300)),
    ("", "?db=2", User("default", 2)),
    ("", "/?db=2", User("default", 2)),
    ("", "/2?db=2", User("default", 2)),
    ("", "?db=", User("default", 0)),
    ("", "?db=2&protocol=resp3&x=y", User("default", 2)),
    ("", "/1?db=2", Refused(Config, "two databases")),
    ("", "?db=1&db=2", Refused(Config, "given twice")),
    ("", "?db=x", Refused(Config, "the database is not a number")),
    ("", "?database=2", Refused(Config, "db, user and pass")),
    ("", "/999", Refused(Config, "DB index is out of range")),
    ("", "?db=999", Refused(Config, "DB index is out of range")),
    ("@", "", User("default", 0)),
    (":@", "", User("default", 0)),
    // The default user has no password here, and so takes any.
    (":x@", "/1", User("default", 1)),
    ("default@", "", User("default", 0)),
    // The users of the URL, and never the default one.
    ("ann@", "", User("ann", 0)),
    ("ann:@", "", User("ann", 0)),
    ("ann@", "/2", User("ann", 2)),
    ("ann:@", "?db=2", User("ann", 2)),
    ("ann:x@", "", User("ann", 0)),
    ("%61nn@", "", User("ann", 0)),
    ("", "?user=ann", User("ann", 0)),
    ("", "/2?user=ann&pass=", User("ann", 2)),
    ("bob:p%20w@", "", User("bob", 0)),
    ("bob:p w@", "?db=2", User("bob", 2)),
    ("", "?user=bob&pass=p%20w&db=2", User("bob", 2)),
    ("bob@", "", Refused(Denied, WRONG)),
    ("bob:@", "/2", Refused(Denied, WRONG)),
    ("bob:p+w@", "", Refused(Denied, WRONG)),
    ("bob:p%2520w@", "", Refused(Denied, WRONG)),
    ("", "?user=bob", Refused(Denied, WRONG)),
    ("nobody@", "", Refused(Denied, WRONG)),
    ("ann%20@", "", Refused(Denied, WRONG)),
    ("bob:p%FFw@", "", Refused(Config, "not UTF-8")),
    ("b%C3b:p%20w@", "", Refused(Config, "not UTF-8")),
    ("", "?user=bob&pass=p%FFw", Refused(Config, "not UTF-8")),
    ("ann@", "?pass=x", Refused(Config, "not in both")),
    ("bob:p%20w@", "?user=ann", Refused(Config, "not in both")),
    (
        "",
        "?username=bob&password=p%20w",
        Refused(Config, "db, user and pass"),
    ),
];

/// Every form over these adapters.
async fn table(
    server: &TestServer,
    adapters: &[Adapter],
    tls: &TlsOptions,
    url: impl Fn(&str, &str) -> Option<String>,
) {
    users(server).await;
    let mut admin = server.connect().await.unwrap();
    for (before, behind, becomes) in FORMS {
        let Some(url) = url(before, behind) else {
            continue;
        };
        let mut lines = Vec::new();
        for &adapter in adapters {
            let what = format!("{adapter}: {url}");
            let outcome = over(adapter, &url, None, tls.clone()).await;
            match (outcome, becomes) {
                (Ok(backend), User(user, database)) => {
                    works(&*backend).await;
                    all_are(&mut admin, user, *database, &what).await;
                    backend.close().await;
                }
                (Err(error), Refused(kind, words)) => {
                    let line = error.to_string();
                    assert_eq!(error.kind(), *kind, "{what}: {line}");
                    assert!(line.contains(words), "{what}: {line}");
                    assert!(!line.contains('\n') && !line.contains("p w"), "{line}");
                    // What a pool says of its own connections has no place in it.
                    if adapter != Adapter::Pooled {
                        lines.push(line);
                    }
                }
                (Ok(_), Refused(..)) => panic!("{what}: connected"),
                (Err(error), User(..)) => panic!("{what}: {error}"),
            }
            none_is_left(&mut admin, &what).await;
        }
        lines.dedup();
        assert!(lines.len() <= 1, "{lines:?}");
    }
}

#[tokio::test]
async fn of_hosts_and_ports() {
    let options = ["--databases", "400", "--bind", "127.0.0.1", "-::1"];
    let server = TestServer::start_local_with(&options).await.unwrap();
    let (host, port) = (server.host(), server.port());
    let no_tls = TlsOptions::new();
    table(&server, &Adapter::ALL, &no_tls, |before, behind| {
        Some(format!("redis://{before}{host}:{port}{behind}"))
    })
    .await;
    // The rest is the same reader's; but each adapter hands addresses on in its own way.
    if std::net::TcpListener::bind("[::1]:0").is_ok() {
        let few = ["ann@", "bob:p w@", "bob@"];
        table(&server, &Adapter::ALL, &no_tls, |before, behind| {
            let url = format!("valkey://{before}[::1]:{port}{behind}");
            few.contains(&before).then_some(url)
        })
        .await;
    }
}

#[tokio::test]
async fn of_sockets() {
    let server = TestServer::start_unix().await.unwrap();
    let socket = server.unix_url().unwrap();
    table(
        &server,
        &Adapter::ALL,
        &TlsOptions::new(),
        |before, behind| {
            // The path is the socket's, there is nothing before it, and there are sixteen databases.
            let fits = before.is_empty() && !behind.starts_with('/');
            fits.then(|| format!("{socket}{behind}"))
        },
    )
    .await;
    for adapter in Adapter::ALL {
        let url = socket.replace("redis+unix://", "redis+unix://ann:@");
        let Err(error) = connect(adapter, &url).await else {
            panic!("{adapter}: {url}");
        };
        assert_eq!(error.kind(), Config, "{error}");
        assert!(error.to_string().contains("in the query"), "{error}");
    }
}

#[tokio::test]
async fn of_tls() {
    let options = ["--databases", "400"];
    let tls = TlsServer::start_with(ClientAuth::Optional, &options).await;
    let tls = tls.unwrap();
    let port = tls.port();
    let trusting = TlsOptions::new().authority(tls.ca_pem());
    // The TLS of a pool is the application's.
    let adapters = [Adapter::RedisRs, Adapter::Fred];
    table(tls.server(), &adapters, &trusting, |before, behind| {
        Some(format!("rediss://{before}localhost:{port}{behind}"))
    })
    .await;
}

/// Where the default user has a password, nobody is in without one.
#[tokio::test]
async fn of_a_server_with_a_password() {
    let server = TestServer::start_local().await.unwrap();
    users(&server).await;
    let mut admin = server.connect().await.unwrap();
    let words = ["CONFIG", "SET", "requirepass", "p w"];
    admin.command(&words).await.unwrap();
    let port = server.port();
    for (before, behind, becomes) in [
        ("", "", Refused(Denied, "NOAUTH")),
        (":@", "/2", Refused(Denied, "NOAUTH")),
        (":x@", "", Refused(Denied, WRONG)),
        ("default@", "", Refused(Denied, WRONG)),
        (":p%20w@", "/2", User("default", 2)),
        ("default:p%20w@", "?db=2", User("default", 2)),
        ("", "?pass=p%20w", User("default", 0)),
        ("ann@", "", User("ann", 0)),
        ("bob:p%20w@", "?db=3", User("bob", 3)),
    ] {
        for adapter in Adapter::ALL {
            let url = format!("redis://{before}127.0.0.1:{port}{behind}");
            let what = format!("{adapter}: {url}");
            match (connect(adapter, &url).await, &becomes) {
                (Ok(backend), User(user, database)) => {
                    works(&*backend).await;
                    all_are(&mut admin, user, *database, &what).await;
                    backend.close().await;
                }
                (Err(error), Refused(kind, words)) => {
                    assert_eq!(error.kind(), *kind, "{what}: {error}");
                    assert!(error.to_string().contains(words), "{what}: {error}");
                }
                (Ok(_), Refused(..)) => panic!("{what}: connected"),
                (Err(error), User(..)) => panic!("{what}: {error}"),
            }
            none_is_left(&mut admin, &what).await;
        }
    }
}
