//! A cluster with TLS: its verbs, and that nodes tell each who asks of the ports that they speak to him by.

use memolock_testkit::{ClusterOptions, TestCluster, TestServer};

use crate::Outcome;
use crate::cluster::{
    a_dead_master_is_replaced, a_slot_moves_in_two_halves, it_is_whole,
    masters_and_replicas_change_places, one_more_joins,
};
use crate::tls::{client, talk};

/// The ports of masters that a node tells of over TLS.
fn told_over_tls(cluster: &TestCluster, place: &str) -> Vec<String> {
    let config = client(cluster.ca_pem().expect("it has TLS"), None);
    let (_, port) = place.split_once(':').expect("a port");
    let port = port.parse().expect("a number");
    let nodes = talk(port, "127.0.0.1", config, "CLUSTER NODES\r\nQUIT\r\n");
    let nodes = nodes.expect("it is trusted");
    let masters = nodes.lines().filter(|line| line.contains("master"));
    let mut places: Vec<_> = masters
        .filter_map(|line| line.split(' ').nth(1)?.split('@').next())
        .map(str::to_owned)
        .collect();
    places.sort();
    places
}

/// Those of the URL.
fn seeds(cluster: &TestCluster) -> Vec<String> {
    let seeds = cluster.url().strip_prefix("rediss-cluster://");
    let seeds = seeds.expect("the scheme of a cluster with TLS");
    let mut seeds: Vec<_> = seeds.split(['?', '&']).collect();
    seeds.sort_by_key(|seed| seed.trim_start_matches("node="));
    let seeds = seeds.iter().map(|seed| seed.trim_start_matches("node="));
    seeds.map(str::to_owned).collect()
}

#[tokio::test]
async fn a_cluster_with_tls_does_what_clusters_do() -> Outcome {
    let mut cluster = TestCluster::start_tls(ClusterOptions::default()).await?;
    it_is_whole(&cluster).await?;
    let seeds = seeds(&cluster);
    let ports: Vec<_> = cluster.nodes().iter().map(TestServer::port).collect();
    for seed in &seeds {
        let plain = |port: &u16| seed.ends_with(&format!(":{port}"));
        assert!(!ports.iter().any(plain), "{seed} is without TLS");
        assert_eq!(told_over_tls(&cluster, seed), seeds);
    }
    a_slot_moves_in_two_halves(&cluster, 0, 1).await?;
    masters_and_replicas_change_places(&cluster).await?;
    a_dead_master_is_replaced(&cluster).await?;
    one_more_joins(&mut cluster).await?;
    let dir = cluster.tls_dir().expect("it has TLS").to_owned();
    assert!(dir.join("ca.pem").exists());
    drop(cluster);
    assert!(!dir.exists(), "{}", dir.display());
    Ok(())
}

#[tokio::test]
async fn one_without_tls_has_no_authority() -> Outcome {
    let options = ClusterOptions {
        masters: 1,
        replicas_per_master: 0,
        ..ClusterOptions::default()
    };
    let cluster = TestCluster::start_local_with(options).await?;
    assert_eq!((cluster.ca_pem(), cluster.tls_dir()), (None, None));
    Ok(())
}
