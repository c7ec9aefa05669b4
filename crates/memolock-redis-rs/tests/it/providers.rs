//! Servers that lack something, as those of managed services do: found out at once, refused in one line or done
//! without. What is not there is renamed away, which is how it is done outside of ACLs.

use futures_util::StreamExt;
use memolock_core::{Acquired, Backend, BackendError, Change, ErrorKind, Event, Message, PutMode};
use memolock_testkit::{TestSentinel, TestServer};
use tokio::time::timeout;

use crate::server::{PATIENCE, Server, heard, key, secs, token};
use crate::subject::{ALSO_NEEDED, Subject};

/// A server that does not know these commands.
async fn without(commands: &[&str]) -> TestServer {
    with(&[], commands).await
}

async fn with(options: &[&str], without: &[&str]) -> TestServer {
    let renamed = without.iter().flat_map(|c| ["--rename-command", c, ""]);
    let options: Vec<&str> = options.iter().copied().chain(renamed).collect();
    TestServer::start_local_with(&options).await.unwrap()
}

/// One line that says what there is not, and what to do.
fn has_no_scripts(error: &BackendError) {
    let line = error.to_string();
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{line}");
    assert!(line.contains("has no EVALSHA or EVAL"), "{line}");
    assert!(line.contains("enable scripts"), "{line}");
    assert!(!line.contains('\n'), "{line}");
}

/// Whatever a memolock does, but for its near cache.
async fn everything_works(backend: &Subject) {
    let key = key("a");
    let mut listener = backend.subscribe(&key).await.unwrap();
    let acquired = backend.acquire(&key, token(1), secs(50)).await.unwrap();
    assert_eq!(acquired, Acquired::Granted);
    backend.inspect(&key).await.unwrap();
    backend
        .fulfil(&key, token(1), "v".into(), secs(50))
        .await
        .unwrap();
    let message = Event::Message(Message::Value("v".into()));
    assert_eq!(heard(&mut listener).await, message);
    assert_eq!(backend.get(&key).await.unwrap(), Some("v".into()));
    backend.get_timed(std::slice::from_ref(&key)).await.unwrap();
    backend
        .put(&key, "w".into(), secs(50), PutMode::Override)
        .await
        .unwrap();
    backend.invalidate(&key).await.unwrap();
    assert_eq!(backend.stats().reconnects, 0);
}

/// The first thing that is told of changes.
async fn first_change(backend: &Subject) -> Change {
    let mut tracking = backend.track(key("a").space()).unwrap();
    let next = timeout(PATIENCE, tracking.next()).await;
    next.expect("no change came").expect("the tracking ended")
}

#[tokio::test]
async fn without_scripts_connecting_is_refused() {
    for missing in [&["EVALSHA"][..], &["EVAL"], &["EVAL", "EVALSHA"]] {
        let server = without(missing).await;
        let error = Subject::connect(server.url()).await.unwrap_err();
        has_no_scripts(&error);
        let place = format!("127.0.0.1:{}", server.port());
        assert!(error.to_string().contains(&place), "{error}");

        // A service that starts before its server finds out with the first command that needs them.
        let lazy = Subject::connect_lazy(server.url()).unwrap();
        assert_eq!(lazy.get(&key("a")).await.unwrap(), None);
        if missing == ["EVALSHA"] {
            // The first use of a script is by its text.
            lazy.acquire(&key("b"), token(1), secs(5)).await.unwrap();
        }
        let error = lazy.acquire(&key("a"), token(1), secs(5)).await;
        has_no_scripts(&error.unwrap_err());
    }
}

#[tokio::test]
async fn a_node_of_a_cluster_without_scripts_is_refused() {
    let server = with(&["--cluster-enabled", "yes"], &["EVAL", "EVALSHA"]).await;
    let slots = ["CLUSTER", "ADDSLOTSRANGE", "0", "16383"];
    server.command(&slots).await.unwrap();
    let url = format!("redis-cluster://127.0.0.1:{}", server.port());
    let refused = async {
        loop {
            match Subject::connect(&url).await {
                // It takes a moment until it says that it serves its slots.
                Err(error) if error.kind() == ErrorKind::Unsupported => return error,
                outcome => drop(outcome.map(|_| panic!("connected"))),
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    };
    has_no_scripts(&timeout(PATIENCE, refused).await.unwrap());
}

#[tokio::test]
async fn a_master_behind_sentinels_without_scripts_is_refused() {
    let master = without(&["EVAL", "EVALSHA"]).await;
    let sentinels = TestSentinel::start_local().await.unwrap();
    let sentinel = &sentinels.sentinels()[0];
    let port = master.port().to_string();
    let monitor = ["SENTINEL", "MONITOR", "managed", "127.0.0.1", &port, "1"];
    sentinel.command(&monitor).await.unwrap();
    let url = format!("redis-sentinel://127.0.0.1:{}/managed", sentinel.port());
    has_no_scripts(&Subject::connect(url).await.unwrap_err());
}

#[tokio::test]
async fn asking_for_scripts_runs_nothing_is_not_counted_and_needs_no_right() {
    let server = Server::start();
    let mut admin = server.admin().await;
    let mut rules = vec!["ACL", "SETUSER", "reader", "on", ">secret", "resetchannels"];
    rules.extend(["~likes:*", "+get", "+ping", "+hello", "+client|setname"]);
    rules.extend(ALSO_NEEDED);
    let _: () = admin.run(&rules).await;
    let url = format!("redis://reader:secret@127.0.0.1:{}", server.port());
    let backend = Subject::connect(url).await.unwrap();
    assert_eq!(backend.stats().commands, 0);
    assert_eq!(backend.get(&key("a")).await.unwrap(), None);
    let denied: Vec<String> = admin.run(&["ACL", "LOG"]).await;
    assert!(denied.is_empty(), "{denied:?}");
    let stats: String = admin.run(&["INFO", "commandstats"]).await;
    for verb in ["eval", "evalsha"] {
        let start = format!("cmdstat_{verb}:");
        let asked: Vec<_> = stats.lines().filter(|l| l.starts_with(&start)).collect();
        assert!(asked.len() == 1, "{stats}");
        assert!(asked[0].contains("calls=0,"), "{asked:?}");
        assert!(asked[0].contains("rejected_calls=1,"), "{asked:?}");
    }

    // Who may run no scripts can read, and is told what to grant for the rest.
    let error = backend.acquire(&key("a"), token(1), secs(5)).await;
    let error = error.unwrap_err();
    let line = error.to_string();
    assert_eq!(error.kind(), ErrorKind::Denied, "{line}");
    assert!(line.contains("grant +eval +evalsha"), "{line}");
    assert_eq!(backend.stats().reconnects, 0);
}

#[tokio::test]
async fn a_server_of_the_older_protocol_alone_is_refused() {
    let server = without(&["HELLO"]).await;
    let error = Subject::connect(server.url()).await.unwrap_err();
    let line = error.to_string();
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{line}");
    assert!(
        line.contains("does not speak RESP3: Redis 6.0 or later") && !line.contains('\n'),
        "{line}"
    );
}

/// Administration, patterns and whatever else a managed service may take away.
#[tokio::test]
async fn what_managed_services_disable_is_not_missed() {
    let server = without(&[
        "PSUBSCRIBE",
        "PUNSUBSCRIBE",
        "SSUBSCRIBE",
        "SPUBLISH",
        "PUBSUB",
        "SCRIPT",
        "KEYS",
        "SCAN",
        "FLUSHALL",
        "FLUSHDB",
        "DEBUG",
        "MONITOR",
        "ACL",
        "MODULE",
        "SAVE",
        "BGSAVE",
        "BGREWRITEAOF",
        "SHUTDOWN",
        "REPLICAOF",
        "SLAVEOF",
        "CLUSTER",
        "COMMAND",
        "MULTI",
        "EXEC",
        "WATCH",
        "WAIT",
        "TIME",
        "FUNCTION",
        "FCALL",
        "EVAL_RO",
        "EVALSHA_RO",
    ])
    .await;
    let backend = Subject::connect(server.url()).await.unwrap();
    everything_works(&backend).await;
    assert_eq!(first_change(&backend).await, Change::Resumed);
}

#[tokio::test]
async fn without_client_all_goes_on_and_changes_are_not_told() {
    let server = without(&["CLIENT"]).await;
    let backend = Subject::connect(server.url()).await.unwrap();
    match first_change(&backend).await {
        Change::Refused(error) => assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}"),
        other => panic!("{other:?}"),
    }
    everything_works(&backend).await;
}

#[tokio::test]
async fn without_tracking_alone_all_goes_on_and_changes_are_not_told() {
    let server = Server::start();
    let mut admin = server.admin().await;
    let rules = "ACL SETUSER ann on >secret ~* &* +@all -client|tracking";
    let rules: Vec<&str> = rules.split(' ').collect();
    let _: () = admin.run(&rules).await;
    let url = format!("redis://ann:secret@127.0.0.1:{}", server.port());
    let backend = Subject::connect(url).await.unwrap();
    match first_change(&backend).await {
        Change::Refused(error) => assert_eq!(error.kind(), ErrorKind::Denied, "{error}"),
        other => panic!("{other:?}"),
    }
    everything_works(&backend).await;
}

/// The right to follow is that to the command: no prefix is denied.
#[tokio::test]
async fn tracking_needs_no_right_to_the_keys() {
    let server = Server::start();
    let mut admin = server.admin().await;
    let rules = "ACL SETUSER ann on >secret ~other:* &* +@all";
    let rules: Vec<&str> = rules.split(' ').collect();
    let _: () = admin.run(&rules).await;
    let url = format!("redis://ann:secret@127.0.0.1:{}", server.port());
    let backend = Subject::connect(url).await.unwrap();
    assert_eq!(first_change(&backend).await, Change::Resumed);
}

#[tokio::test]
async fn without_subscribe_waiting_is_refused_and_commands_go_on() {
    let server = without(&["SUBSCRIBE"]).await;
    let backend = Subject::connect(server.url()).await.unwrap();
    for _ in 0..2 {
        let Err(error) = backend.subscribe(&key("a")).await else {
            panic!("subscribed");
        };
        let line = error.to_string();
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{line}");
        assert!(line.contains("SUBSCRIBE") && !line.contains('\n'), "{line}");
    }
    let granted = backend.acquire(&key("a"), token(1), secs(5)).await.unwrap();
    assert_eq!(granted, Acquired::Granted);
    assert_eq!(backend.stats().reconnects, 0);
}
