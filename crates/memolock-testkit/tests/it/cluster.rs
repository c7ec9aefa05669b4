//! A cluster, every verb of it.

use std::time::Instant;

use memolock_testkit::{ClusterOptions, Migration, ServerError, TestCluster, TestServer, Value};

use crate::{Outcome, is_down};

fn refusal(result: Result<Value, ServerError>) -> String {
    match result {
        Err(ServerError::Refused { message, .. }) => message,
        other => panic!("not refused: {other:?}"),
    }
}

/// Three masters with a replica each, all of which know each other.
pub(crate) async fn it_is_whole(cluster: &TestCluster) -> Outcome {
    assert_eq!(cluster.nodes().len(), 6);
    assert_eq!(cluster.masters().await, [0, 1, 2]);
    for master in 0..3 {
        assert_eq!(cluster.replicas_of(master).await, [master + 3]);
        assert!(cluster.replicas_of(master + 3).await.is_empty());
        let key = cluster.key_on(master, "likes").await?;
        assert_eq!(cluster.master_of(&key).await?, master);
        assert_eq!(cluster.command(&key, &["SET", &key, "42"]).await?, "OK");
        let elsewhere = &cluster.nodes()[(master + 1) % 3];
        let moved = refusal(elsewhere.command(&["GET", &key]).await);
        let node = &cluster.nodes()[master];
        let slot = TestCluster::slot(&key);
        let place = format!("{}:{}", node.host(), node.port());
        assert_eq!(moved, format!("MOVED {slot} {place}"));
        // The server counts as we do.
        let counted = node.command(&["CLUSTER", "KEYSLOT", &key]).await?;
        assert_eq!(counted.as_int(), Some(slot.into()));
        // What is written arrives at the replica.
        let mut writer = node.connect().await?;
        writer.command(&["SET", &key, "43"]).await?;
        assert_eq!(
            writer.command(&["WAIT", "1", "10000"]).await?.as_int(),
            Some(1)
        );
        let mut reader = cluster.nodes()[master + 3].connect().await?;
        reader.command(&["READONLY"]).await?;
        assert_eq!(reader.command(&["GET", &key]).await?, "43");
    }
    let pongs = cluster.command_all(&["PING"]).await?;
    assert!(pongs.len() == 6 && pongs.iter().all(|pong| *pong == "PONG"));
    Ok(())
}

/// It names its masters.
fn its_url_is_whole(cluster: &TestCluster) {
    let places: Vec<_> = cluster.nodes()[..3]
        .iter()
        .map(|node| format!("{}:{}", node.host(), node.port()))
        .collect();
    let [a, b, c] = &places[..] else {
        panic!("three masters")
    };
    assert_eq!(
        cluster.url(),
        format!("redis-cluster://{a}?node={b}&node={c}")
    );
    assert_eq!(cluster.url_of(&[1]), format!("redis-cluster://{b}"));
}

/// A master dies, its replica takes over, and it comes back as a replica.
pub(crate) async fn a_dead_master_is_replaced(cluster: &TestCluster) -> Outcome {
    let key = cluster.key_on(0, "likes").await?;
    let heir = cluster.replicas_of(0).await[0];
    let mut writer = cluster.nodes()[0].connect().await?;
    writer.command(&["SET", &key, "42"]).await?;
    writer.command(&["WAIT", "1", "10000"]).await?;
    cluster.nodes()[0].kill().await?;
    cluster.wait_stable().await?;
    assert_eq!(cluster.master_of(&key).await?, heir);
    assert_eq!(cluster.command(&key, &["GET", &key]).await?, "42");
    cluster.nodes()[0].restart().await?;
    cluster.wait_stable().await?;
    assert_eq!(cluster.replicas_of(heir).await, [0], "it knows its place");
    Ok(())
}

/// A master that hangs loses its place, and learns it when it wakes.
pub(crate) async fn a_hanging_master_is_replaced(cluster: &TestCluster) -> Outcome {
    let key = cluster.key_on(1, "likes").await?;
    let heir = cluster.replicas_of(1).await[0];
    cluster.nodes()[1].pause().await?;
    cluster.wait_stable().await?;
    assert_eq!(cluster.master_of(&key).await?, heir);
    cluster.nodes()[1].resume().await?;
    cluster.wait_stable().await?;
    assert_eq!(cluster.replicas_of(heir).await, [1]);
    Ok(())
}

/// A replica is asked to take over, and asked again.
pub(crate) async fn masters_and_replicas_change_places(cluster: &TestCluster) -> Outcome {
    let key = cluster.key_on(2, "likes").await?;
    cluster.command(&key, &["SET", &key, "42"]).await?;
    let heir = cluster.failover(2).await?;
    assert_eq!(heir, 5);
    assert_eq!(cluster.master_of(&key).await?, heir);
    assert_eq!(cluster.replicas_of(heir).await, [2]);
    assert_eq!(cluster.command(&key, &["GET", &key]).await?, "42");
    assert_eq!(cluster.failover(heir).await?, 2);
    let none = cluster.failover(heir).await;
    assert!(
        matches!(none, Err(ServerError::Unsettled { .. })),
        "{none:?}"
    );
    Ok(())
}

/// A slot moves, and is stopped half way.
pub(crate) async fn a_slot_moves_in_two_halves(
    cluster: &TestCluster,
    from: usize,
    to: usize,
) -> Outcome {
    let tag = cluster.key_on(from, "likes").await?;
    let slot = TestCluster::slot(&tag);
    let (moved, kept) = (format!("{tag}:moved"), format!("{tag}:kept"));
    assert_eq!(TestCluster::slot(&moved), slot);
    for key in [&moved, &kept] {
        cluster.command(key, &["SET", key, "42"]).await?;
    }
    let migration = cluster.begin_migration(slot, to).await?;
    assert_eq!(
        (migration.slot(), migration.from(), migration.to()),
        (slot, from, to)
    );
    assert_eq!(migration.remaining().await?.len(), 2);
    assert!(migration.move_key(&moved).await?);
    assert!(!migration.move_key(&moved).await?, "it is gone already");
    let (old, new) = (&cluster.nodes()[from], &cluster.nodes()[to]);
    assert_eq!(old.command(&["GET", &kept]).await?, "42");
    let ask = refusal(old.command(&["GET", &moved]).await);
    assert_eq!(ask, format!("ASK {slot} {}:{}", new.host(), new.port()));
    let not_yet = refusal(new.command(&["GET", &moved]).await);
    assert_eq!(
        not_yet,
        format!("MOVED {slot} {}:{}", old.host(), old.port())
    );
    let mut asking = new.connect().await?;
    asking.command(&["ASKING"]).await?;
    assert_eq!(asking.command(&["GET", &moved]).await?, "42");
    assert_eq!(cluster.owner(slot).await?, from);

    migration.finish().await?;
    assert_eq!(cluster.owner(slot).await?, to);
    for key in [&moved, &kept] {
        assert_eq!(new.command(&["GET", key]).await?, "42");
        let gone = refusal(old.command(&["GET", key]).await);
        assert_eq!(gone, format!("MOVED {slot} {}:{}", new.host(), new.port()));
    }

    // There and back, the second time without a change of mind.
    let changed_mind: Migration<'_> = cluster.begin_migration(slot, from).await?;
    changed_mind.cancel().await?;
    cluster.wait_stable().await?;
    assert_eq!(cluster.owner(slot).await?, to);
    let itself = cluster.begin_migration(slot, to).await;
    assert!(
        matches!(itself, Err(ServerError::Refused { .. })),
        "{itself:?}"
    );
    cluster.migrate_slot(slot, from).await?;
    assert_eq!(cluster.owner(slot).await?, from);
    assert_eq!(old.command(&["GET", &moved]).await?, "42");
    Ok(())
}

/// One more master, and a slot for it.
pub(crate) async fn one_more_joins(cluster: &mut TestCluster) -> Outcome {
    let nodes = cluster.nodes().len();
    let new = cluster.add_master().await?;
    assert_eq!((new, cluster.nodes().len()), (nodes, nodes + 1));
    assert!(cluster.masters().await.contains(&new));
    let empty = cluster.key_on(new, "likes").await;
    assert!(
        matches!(empty, Err(ServerError::Unsettled { .. })),
        "{empty:?}"
    );
    let old = cluster.masters().await[0];
    let key = cluster.key_on(old, "likes").await?;
    cluster.command(&key, &["SET", &key, "42"]).await?;
    cluster.migrate_slot(TestCluster::slot(&key), new).await?;
    assert_eq!(cluster.master_of(&key).await?, new);
    assert_eq!(cluster.nodes()[new].command(&["GET", &key]).await?, "42");
    Ok(())
}

#[tokio::test]
async fn a_cluster_of_processes_does_what_clusters_do() -> Outcome {
    let started = Instant::now();
    let mut cluster = TestCluster::start_local().await?;
    println!("formed in {:?}", started.elapsed());
    it_is_whole(&cluster).await?;
    its_url_is_whole(&cluster);
    a_slot_moves_in_two_halves(&cluster, 0, 1).await?;
    masters_and_replicas_change_places(&cluster).await?;
    a_dead_master_is_replaced(&cluster).await?;
    a_hanging_master_is_replaced(&cluster).await?;
    one_more_joins(&mut cluster).await?;
    println!("all in {:?}", started.elapsed());
    let unplugged = cluster.nodes()[0].disconnect().await;
    let why = unplugged.expect_err("a process has no network of its own");
    assert!(why.to_string().contains("start_docker"), "{why}");
    Ok(())
}

#[tokio::test]
async fn masters_alone_and_one_alone() -> Outcome {
    for masters in [6, 1] {
        let cluster = TestCluster::start_local_with(ClusterOptions {
            masters,
            replicas_per_master: 0,
            full_coverage: false,
            options: vec!["--maxmemory".into(), "3mb".into()],
            ..ClusterOptions::default()
        })
        .await?;
        assert_eq!(cluster.masters().await, (0..masters).collect::<Vec<_>>());
        for reply in cluster.command_all(&["CONFIG", "GET", "maxmemory"]).await? {
            assert_eq!(reply.items()[1], "3145728");
        }
        let coverage = ["CONFIG", "GET", "cluster-require-full-coverage"];
        assert_eq!(
            cluster.nodes()[0].command(&coverage).await?.items()[1],
            "no"
        );
        let key = cluster.key_on(masters - 1, "likes").await?;
        cluster.command(&key, &["SET", &key, "42"]).await?;
        // What was kept in memory is gone, and its place in the cluster is not.
        cluster.nodes()[masters - 1].stop().await?;
        assert!(is_down(&cluster.nodes()[masters - 1]));
        cluster.nodes()[masters - 1].restart().await?;
        cluster.wait_stable().await?;
        assert_eq!(cluster.master_of(&key).await?, masters - 1);
        assert!(cluster.command(&key, &["GET", &key]).await?.is_nil());
    }
    Ok(())
}

#[tokio::test]
async fn a_bad_option_or_size_is_explained_in_a_line() {
    let options = ClusterOptions {
        options: vec!["--no-such-option".into()],
        ..ClusterOptions::default()
    };
    let none = ClusterOptions {
        masters: 0,
        ..ClusterOptions::default()
    };
    for (options, why) in [(options, "no-such-option"), (none, "without masters")] {
        let refused = TestCluster::start_local_with(options).await;
        let message = refused.expect_err("a bad cluster").to_string();
        assert!(
            message.contains(why) && !message.contains('\n'),
            "{message}"
        );
    }
}

/// In a task of its own, as many tests use it.
async fn one_of_many(number: usize) -> Result<TestCluster, ServerError> {
    let cluster = TestCluster::start_local().await?;
    let key = cluster.key_on(number, "likes").await?;
    cluster.command(&key, &["SET", &key, "42"]).await?;
    let to = (number + 1) % 3;
    cluster.migrate_slot(TestCluster::slot(&key), to).await?;
    assert_eq!(cluster.failover(to).await?, to + 3);
    assert_eq!(cluster.command(&key, &["GET", &key]).await?, "42");
    Ok(cluster)
}

#[tokio::test]
async fn clusters_started_together_share_nothing() -> Outcome {
    let starting: Vec<_> = (0..3)
        .map(|number| tokio::spawn(one_of_many(number)))
        .collect();
    let mut clusters = Vec::new();
    for task in starting {
        clusters.push(task.await.expect("no panic")?);
    }
    for cluster in &clusters {
        let known = cluster.command_all(&["CLUSTER", "NODES"]).await?;
        assert!(
            known
                .iter()
                .all(|nodes| nodes.to_string().lines().count() == 6)
        );
        let sizes = cluster.command_all(&["DBSIZE"]).await?;
        let keys: i64 = sizes.iter().filter_map(Value::as_int).sum();
        assert_eq!(keys, 2, "one key, at a master and at its replica");
    }
    Ok(())
}

#[tokio::test]
async fn dropping_it_ends_all_of_it_also_by_a_panic() {
    let panicked = tokio::spawn(async {
        let cluster = TestCluster::start_local().await.expect("a cluster");
        // Paused processes do not end by themselves.
        cluster.nodes()[0].pause().await.expect("it can be paused");
        let dirs = cluster.nodes()[1]
            .command(&["CONFIG", "GET", "dir"])
            .await
            .expect("a directory");
        let ports: Vec<u16> = cluster.nodes().iter().map(TestServer::port).collect();
        std::panic::panic_any((ports, dirs.items()[1].to_string()));
    });
    let payload = panicked.await.expect_err("it panics").into_panic();
    let (ports, dir) = *payload.downcast::<(Vec<u16>, String)>().expect("the ports");
    assert_eq!(ports.len(), 6);
    for port in ports {
        for listener in [port, port + 10_000] {
            let left = std::net::TcpStream::connect(("127.0.0.1", listener));
            assert!(left.is_err(), "{listener} listens");
        }
    }
    assert!(!std::path::Path::new(&dir).exists(), "{dir} is left");
}
