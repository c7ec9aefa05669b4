//! A cluster in containers, where there is Docker and an image.

use std::process::Command;
use std::time::Instant;

use memolock_testkit::{ClusterOptions, Provider, TestCluster, TestServer};

use crate::container::started;
use crate::{Outcome, cluster};

/// What the Docker client prints.
fn docker(args: &[&str]) -> String {
    let output = Command::new("docker").args(args).output();
    let output = output.expect("the Docker client, where there is Docker");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// The network that a server is on, which is the label of its containers too.
pub(crate) fn network_of(server: &TestServer) -> String {
    let all = docker(&["network", "ls", "-q", "--filter", "name=memolock-test"]);
    let show = "{{.Name}}{{range .Containers}} {{.IPv4Address}}{{end}}";
    let found = all.lines().find_map(|id| {
        let shown = docker(&["network", "inspect", "--format", show, id]);
        let mut words = shown.split(' ');
        let name = words.next()?.to_owned();
        let at = format!("{}/26", server.host());
        words.any(|word| word == at).then_some(name)
    });
    found.expect("its network")
}

/// That nothing is left of a network and its containers.
pub(crate) fn assert_gone(network: &str) {
    let label = format!("label={network}");
    assert_eq!(docker(&["ps", "-aq", "--filter", &label]), "", "containers");
    let name = format!("name=^{network}$");
    assert_eq!(docker(&["network", "ls", "-q", "--filter", &name]), "");
}

/// A node that is cut off loses its place, and finds it again.
async fn a_node_is_cut_off(cluster: &TestCluster) -> Outcome {
    let master = cluster.masters().await[0];
    let key = cluster.key_on(master, "likes").await?;
    let heir = cluster.replicas_of(master).await[0];
    let mut open = cluster.nodes()[master].connect().await?;
    open.command(&["PING"]).await?;
    cluster.nodes()[master].disconnect().await?;
    cluster.wait_stable().await?;
    assert_eq!(cluster.master_of(&key).await?, heir);
    cluster.nodes()[master].reconnect().await?;
    cluster.wait_stable().await?;
    assert_eq!(cluster.replicas_of(heir).await, [master]);
    // It never ended: a connection that nobody closed is still there.
    assert_eq!(open.command(&["PING"]).await?, "PONG");
    Ok(())
}

#[tokio::test]
async fn a_cluster_of_containers_does_what_clusters_do() -> Outcome {
    let begun = Instant::now();
    let Some(mut cluster) = started(TestCluster::start_docker().await)? else {
        return Ok(());
    };
    println!(
        "formed in {:?} with {}",
        begun.elapsed(),
        cluster.provider()
    );
    assert!(matches!(cluster.provider(), Provider::Docker { .. }));
    cluster::it_is_whole(&cluster).await?;
    cluster::a_slot_moves_in_two_halves(&cluster, 0, 1).await?;
    cluster::masters_and_replicas_change_places(&cluster).await?;
    cluster::a_dead_master_is_replaced(&cluster).await?;
    cluster::a_hanging_master_is_replaced(&cluster).await?;
    cluster::one_more_joins(&mut cluster).await?;
    println!("before the network {:?}", begun.elapsed());
    a_node_is_cut_off(&cluster).await?;
    println!("all in {:?}", begun.elapsed());
    let network = network_of(&cluster.nodes()[0]);
    cluster.nodes()[1].pause().await?;
    cluster.nodes()[2].stop().await?;
    cluster.nodes()[3].disconnect().await?;
    drop(cluster);
    assert_gone(&network);
    println!("gone in {:?}", begun.elapsed());
    Ok(())
}

#[tokio::test]
async fn a_panic_ends_all_containers() -> Outcome {
    let options = ClusterOptions {
        replicas_per_master: 0,
        ..ClusterOptions::default()
    };
    let Some(cluster) = started(TestCluster::start_docker_with(options).await)? else {
        return Ok(());
    };
    let network = network_of(&cluster.nodes()[2]);
    let panicked = tokio::spawn(async move {
        let _cluster = cluster;
        panic!("on purpose");
    });
    assert!(panicked.await.is_err());
    assert_gone(&network);
    Ok(())
}
