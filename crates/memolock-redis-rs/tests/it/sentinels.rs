//! Sentinels themselves: those that are gone, that know nothing, and that want to know who asks.

use memolock_core::{Backend, ErrorKind};
use memolock_testkit::TestSentinel;
use tokio::net::{TcpListener, TcpStream};

use crate::sentinel::{backend, written};
use crate::server::{eventually, free_port, key};
use crate::subject::Subject;

/// A name that is passed on to a sentinel, and then is not.
async fn relay(to: u16) -> (u16, tokio::task::JoinHandle<()>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let task = tokio::spawn(async move {
        let mut pipes = tokio::task::JoinSet::new();
        loop {
            let Ok((mut here, _)) = listener.accept().await else {
                return;
            };
            pipes.spawn(async move {
                if let Ok(mut there) = TcpStream::connect(("127.0.0.1", to)).await {
                    let _ = tokio::io::copy_bidirectional(&mut here, &mut there).await;
                }
            });
        }
    });
    (port, task)
}

#[tokio::test]
async fn sentinels_that_are_gone_are_named_and_take_nothing_with_them() {
    let sentinel = TestSentinel::start_local().await.unwrap();
    let (port, task) = relay(sentinel.sentinels()[0].port()).await;
    let url = format!(
        "redis-sentinel://127.0.0.1:{},127.0.0.1:{port}/memolock",
        free_port()
    );
    let backend = Subject::connect(&url).await.unwrap();
    written(&backend, "a").await;
    // The last one goes: who is connected stays so.
    task.abort();
    let _ = task.await;
    written(&backend, "b").await;
    assert_eq!(backend.stats().reconnects, 0);
    // But nobody says where to connect to.
    let master = &sentinel.servers()[0];
    master
        .command(&["CLIENT", "KILL", "TYPE", "normal"])
        .await
        .unwrap();
    eventually("the reason is told", || async {
        match backend.get(&key("a")).await {
            Err(error) => {
                let line = error.to_string();
                assert!(error.is_outage(), "{line}");
                line.contains("no sentinel says where the master of memolock is")
            }
            Ok(_) => false,
        }
    })
    .await;
}

#[tokio::test]
async fn what_is_wrong_with_the_url_is_one_clear_line() {
    let sentinel = TestSentinel::start_local().await.unwrap();
    let [first, ..] = sentinel.sentinels() else {
        panic!("there are three");
    };
    let unknown = format!("redis-sentinel://127.0.0.1:{}/likes", first.port());
    let error = Subject::connect(&unknown).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    let line = error.to_string();
    assert!(
        line.contains("knows no master named likes") && !line.contains('\n'),
        "{line}"
    );

    // The URL of a server, and not of a sentinel.
    let server = sentinel.servers()[0].port();
    let error = Subject::connect(format!("redis-sentinel://127.0.0.1:{server}/memolock")).await;
    let line = error.unwrap_err().to_string();
    assert!(line.contains("no sentinel says"), "{line}");

    let nobody = format!(
        "redis-sentinel://:hunter2@127.0.0.1:{}/memolock",
        free_port()
    );
    let error = Subject::connect(&nobody).await.unwrap_err();
    let line = error.to_string();
    assert!(
        line.contains("no sentinel says where the master of memolock is"),
        "{line}"
    );
    assert!(!line.contains("hunter2") && !format!("{error:?}").contains("hunter2"));
}

#[tokio::test]
async fn sentinels_and_masters_have_logins_of_their_own() {
    let sentinel = TestSentinel::start_local().await.unwrap();
    let user = ["ACL", "SETUSER", "ann", "on", ">p@ss", "~*", "&*", "+@all"];
    for server in sentinel.servers() {
        server.command(&user).await.unwrap();
    }
    let watcher = [
        "ACL",
        "SETUSER",
        "bob",
        "on",
        ">hunter2",
        "resetchannels",
        "&+switch-master",
        "&+promoted-slave",
        "-@all",
        "+sentinel|get-master-addr-by-name",
        "+sentinel|master",
        "+subscribe",
        "+hello",
        "+auth",
        "+ping",
        "+info",
        "+client",
    ];
    for one in sentinel.sentinels() {
        one.command(&watcher).await.unwrap();
    }
    let places = sentinel
        .sentinels()
        .iter()
        .map(|one| format!("127.0.0.1:{}", one.port()));
    let places = places.collect::<Vec<_>>().join(",");
    let url = |pass: &str| {
        format!(
            "redis-sentinel://ann:p%40ss@{places}/memolock/3?sentinel_user=bob&sentinel_pass={pass}"
        )
    };
    let backend = Subject::connect(url("hunter2")).await.unwrap();
    written(&backend, "a").await;
    let list = sentinel.servers()[0]
        .command(&["CLIENT", "LIST"])
        .await
        .unwrap()
        .to_string();
    let ours: Vec<_> = list
        .lines()
        .filter(|line| line.contains("user=ann"))
        .collect();
    assert!(
        ours.len() >= 2 && ours.iter().all(|line| line.contains(" db=3 ")),
        "{list}"
    );
    let error = Subject::connect(url("hunter3")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
    assert!(!error.to_string().contains("hunter"), "{error}");
}

#[tokio::test]
async fn nothing_is_left_behind() {
    let sentinel = TestSentinel::start_local().await.unwrap();
    let before = tokio::runtime::Handle::current()
        .metrics()
        .num_alive_tasks();
    let ours = || async {
        let mut ours = 0;
        for server in sentinel.servers().iter().chain(sentinel.sentinels()) {
            let list = server
                .command(&["CLIENT", "LIST"])
                .await
                .unwrap()
                .to_string();
            ours += list
                .lines()
                .filter(|line| line.contains("name=memolock"))
                .count();
        }
        ours
    };
    for close in [true, false] {
        let backend = backend(&sentinel).await;
        drop(backend.subscribe(&key("a")).await.unwrap());
        eventually("all are connected", || async { ours().await == 5 }).await;
        if close {
            backend.close().await;
            let error = backend.get(&key("a")).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Closed);
        }
        drop(backend);
        eventually("no connection is left", || async { ours().await == 0 }).await;
        eventually("no task is left", || async {
            tokio::runtime::Handle::current()
                .metrics()
                .num_alive_tasks()
                <= before
        })
        .await;
    }
}
