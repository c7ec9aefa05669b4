//! Every ordered pair of adapters in separate processes, in every scenario: on a spawned server, on three releases in
//! containers, behind TLS, on clusters and under Sentinel. `cargo xtask interop` shows the tables.

#![allow(clippy::unwrap_used)]

mod fleets;
mod herd;

use std::path::Path;

use memolock_testkit::{
    ClusterOptions, ServerError, TestCluster, TestSentinel, TestServer, TlsServer,
};
use memolock_tests::Ground;
use memolock_tests::interop::Table;

/// The program of members.
fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_member"))
}

async fn played(ground: impl Into<Ground>) {
    let table = Table::play(ground, program()).await;
    println!("{table}");
    table.assert_ok();
}

async fn in_containers(ground: Result<impl Into<Ground>, ServerError>) {
    match ground {
        Ok(ground) => played(ground).await,
        Err(error) => {
            let required = std::env::var_os("MEMOLOCK_TEST_DOCKER_REQUIRED").is_some();
            assert!(!required, "{error}");
            eprintln!("not run: {error}: `cargo xtask image` makes the image");
        }
    }
}

/// Nothing is to fail here.
fn masters() -> ClusterOptions {
    ClusterOptions {
        replicas_per_master: 0,
        ..ClusterOptions::default()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_a_spawned_server() {
    played(memolock_tests::own_server().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_redis_7_0_in_a_container() {
    in_containers(TestServer::start_image("memolock-test-redis:7.0").await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_redis_8_0_in_a_container() {
    in_containers(TestServer::start_image("memolock-test-redis:8.0").await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_valkey_8_1_in_a_container() {
    in_containers(TestServer::start_image("memolock-test-valkey:8.1").await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn behind_tls() {
    played(TlsServer::start().await.unwrap()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_a_spawned_cluster() {
    let cluster = TestCluster::start_local_with(masters()).await;
    played(cluster.unwrap()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_a_cluster_with_tls() {
    played(TestCluster::start_tls(masters()).await.unwrap()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_a_cluster_of_redis_8_0_in_containers() {
    let image = "memolock-test-redis:8.0";
    in_containers(TestCluster::start_image_with(image, masters()).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_a_cluster_of_valkey_8_1_in_containers() {
    let image = "memolock-test-valkey:8.1";
    in_containers(TestCluster::start_image_with(image, masters()).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn under_a_spawned_sentinel() {
    played(TestSentinel::start_local().await.unwrap()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn under_sentinel_of_valkey_8_1_in_containers() {
    in_containers(TestSentinel::start_image("memolock-test-valkey:8.1").await).await;
}
