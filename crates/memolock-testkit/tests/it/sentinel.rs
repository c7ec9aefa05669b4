//! Sentinels, every verb of them.

use std::time::Instant;

use memolock_testkit::{Provider, SentinelOptions, ServerError, Switch, TestSentinel, TestServer};

use crate::container::started;
use crate::{Outcome, cluster_docker};

async fn role(server: &TestServer) -> Result<String, ServerError> {
    Ok(server.command(&["ROLE"]).await?.items()[0].to_string())
}

/// A master, a replica, and three that know them.
async fn it_is_whole(sentinel: &TestSentinel) -> Outcome {
    assert_eq!(sentinel.servers().len(), 2);
    assert_eq!(sentinel.master().await?, 0);
    assert_eq!(role(&sentinel.servers()[0]).await?, "master");
    assert_eq!(role(&sentinel.servers()[1]).await?, "slave");
    let master = &sentinel.servers()[0];
    let ask = ["SENTINEL", "GET-MASTER-ADDR-BY-NAME", sentinel.name()];
    let mut places = Vec::new();
    for one in sentinel.sentinels() {
        let told = one.command(&ask).await?;
        assert_eq!(told.items()[0], master.host());
        assert_eq!(told.items()[1], master.port().to_string().as_str());
        let usable = one
            .command(&["SENTINEL", "CKQUORUM", sentinel.name()])
            .await?;
        assert!(usable.to_string().starts_with("OK 3"), "{usable}");
        places.push(format!("{}:{}", one.host(), one.port()));
    }
    let [a, b, c] = &places[..] else {
        panic!("three sentinels");
    };
    assert_eq!(
        sentinel.url(),
        format!("redis-sentinel://{a},{b},{c}/memolock")
    );
    assert_eq!(sentinel.url_of_database(3), format!("{}/3", sentinel.url()));
    Ok(())
}

/// What was written arrives, so that the next master has it.
async fn write(sentinel: &TestSentinel, key: &str) -> Outcome {
    let mut writer = sentinel.servers()[sentinel.master().await?]
        .connect()
        .await?;
    writer.command(&["SET", key, "42"]).await?;
    let copies = writer.command(&["WAIT", "1", "10000"]).await?;
    // One is enough, since sentinels choose the replica that has most; by then more may have it.
    assert!(copies.as_int() >= Some(1), "{copies}");
    Ok(())
}

async fn a_dead_master_is_replaced(sentinel: &TestSentinel) -> Outcome {
    write(sentinel, "dead").await?;
    let mut switches = sentinel.switches().await?;
    sentinel.servers()[0].kill().await?;
    assert_eq!(switches.next().await?, Switch { from: 0, to: 1 });
    sentinel.wait_stable().await?;
    assert_eq!(sentinel.master().await?, 1);
    assert_eq!(sentinel.command(&["GET", "dead"]).await?, "42");
    // It comes back as the master it was, and empty; the sentinels put it in its place.
    sentinel.servers()[0].restart().await?;
    sentinel.wait_stable().await?;
    assert_eq!(role(&sentinel.servers()[0]).await?, "slave");
    assert_eq!(sentinel.servers()[0].command(&["GET", "dead"]).await?, "42");
    Ok(())
}

async fn a_living_master_is_replaced(sentinel: &TestSentinel) -> Outcome {
    write(sentinel, "living").await?;
    let old = sentinel.master().await?;
    let new = sentinel.failover().await?;
    assert_ne!(new, old);
    assert_eq!(sentinel.master().await?, new);
    assert_eq!(sentinel.command(&["GET", "living"]).await?, "42");
    sentinel.wait_stable().await?;
    assert_eq!(role(&sentinel.servers()[old]).await?, "slave");
    Ok(())
}

async fn a_hanging_master_is_replaced(sentinel: &TestSentinel) -> Outcome {
    write(sentinel, "hanging").await?;
    let old = sentinel.master().await?;
    let mut switches = sentinel.switches().await?;
    sentinel.servers()[old].pause().await?;
    let switch = switches.next().await?;
    assert_eq!(switch.from, old);
    sentinel.wait_stable().await?;
    sentinel.servers()[old].resume().await?;
    // It believes in itself for a while.
    sentinel.wait_stable().await?;
    assert_eq!(role(&sentinel.servers()[old]).await?, "slave");
    assert_eq!(sentinel.master().await?, switch.to);
    Ok(())
}

/// Two of three are enough to know, and one that comes back knows what it knew.
async fn a_sentinel_dies_and_comes_back(sentinel: &TestSentinel) -> Outcome {
    let master = sentinel.master().await?;
    let one = &sentinel.sentinels()[0];
    one.kill().await?;
    assert_eq!(sentinel.master().await?, master);
    one.restart().await?;
    sentinel.wait_stable().await?;
    let known = one
        .command(&["SENTINEL", "SENTINELS", sentinel.name()])
        .await?;
    assert_eq!(known.items().len(), 2);
    one.pause().await?;
    assert_eq!(sentinel.master().await?, master);
    one.resume().await?;
    one.stop().await?;
    sentinel.wait_stable().await?;
    one.restart().await?;
    sentinel.wait_stable().await
}

#[tokio::test]
async fn sentinels_as_processes_do_what_sentinels_do() -> Outcome {
    let begun = Instant::now();
    let sentinel = TestSentinel::start_local().await?;
    println!("ready in {:?}", begun.elapsed());
    it_is_whole(&sentinel).await?;
    a_sentinel_dies_and_comes_back(&sentinel).await?;
    a_dead_master_is_replaced(&sentinel).await?;
    a_living_master_is_replaced(&sentinel).await?;
    println!("all in {:?}", begun.elapsed());
    Ok(())
}

#[tokio::test]
async fn a_hanging_master_is_replaced_among_two_replicas() -> Outcome {
    let sentinel = TestSentinel::start_local_with(SentinelOptions {
        replicas: 2,
        name: "likes".into(),
        options: vec!["--maxmemory".into(), "3mb".into()],
        ..SentinelOptions::default()
    })
    .await?;
    assert!(sentinel.url().ends_with("/likes"));
    assert_eq!(sentinel.servers().len(), 3);
    let memory = sentinel.command(&["CONFIG", "GET", "maxmemory"]).await?;
    assert_eq!(memory.items()[1], "3145728");
    a_hanging_master_is_replaced(&sentinel).await
}

#[tokio::test]
async fn sentinels_in_containers_do_what_sentinels_do() -> Outcome {
    let begun = Instant::now();
    let Some(sentinel) = started(TestSentinel::start_docker().await)? else {
        return Ok(());
    };
    println!(
        "ready in {:?} with {}",
        begun.elapsed(),
        sentinel.provider()
    );
    assert!(matches!(sentinel.provider(), Provider::Docker { .. }));
    it_is_whole(&sentinel).await?;
    a_sentinel_dies_and_comes_back(&sentinel).await?;
    a_hanging_master_is_replaced(&sentinel).await?;

    write(&sentinel, "cut off").await?;
    let old = sentinel.master().await?;
    let mut switches = sentinel.switches().await?;
    sentinel.servers()[old].disconnect().await?;
    assert_eq!(switches.next().await?.from, old);
    sentinel.wait_stable().await?;
    assert_eq!(sentinel.command(&["GET", "cut off"]).await?, "42");
    sentinel.servers()[old].reconnect().await?;
    sentinel.wait_stable().await?;
    assert_eq!(role(&sentinel.servers()[old]).await?, "slave");

    let network = cluster_docker::network_of(&sentinel.servers()[0]);
    sentinel.servers()[0].pause().await?;
    println!("all in {:?}", begun.elapsed());
    drop(sentinel);
    assert!(cluster_docker::is_gone(&network), "{network}");
    Ok(())
}

#[tokio::test]
async fn dropping_them_ends_all_of_them_also_by_a_panic() {
    let panicked = tokio::spawn(async {
        let sentinel = TestSentinel::start_local().await.expect("sentinels");
        sentinel.servers()[0].pause().await.expect("a pause");
        std::panic::panic_any(sentinel);
    });
    let payload = panicked.await.expect_err("it panics").into_panic();
    let sentinel = *payload.downcast::<TestSentinel>().expect("what it had");
    let info = sentinel.sentinels()[0].command(&["INFO", "server"]).await;
    let info = info.expect("it runs still").to_string();
    let mut lines = info
        .lines()
        .filter_map(|line| line.strip_prefix("config_file:"));
    let file = lines.next().expect("its file").trim().to_owned();
    assert!(std::path::Path::new(&file).exists(), "{file}");
    let all = sentinel.servers().iter().chain(sentinel.sentinels());
    let ports: Vec<_> = all.map(TestServer::port).collect();
    assert_eq!(ports.len(), 5);
    drop(sentinel);
    for port in ports {
        let left = std::net::TcpStream::connect(("127.0.0.1", port));
        assert!(left.is_err(), "{port} listens");
    }
    assert!(!std::path::Path::new(&file).exists(), "{file} is left");
}

#[tokio::test]
async fn nobody_to_watch_is_explained_in_a_line() {
    let options = SentinelOptions {
        sentinels: 0,
        ..SentinelOptions::default()
    };
    let refused = TestSentinel::start_local_with(options).await;
    let message = refused.expect_err("no sentinels").to_string();
    assert!(
        message.contains("nobody watches") && !message.contains('\n'),
        "{message}"
    );
}
