//! The matrix: one test a fault, all adapters at once. `cargo xtask faults` shows what came of it as a table.

use std::path::Path;

use memolock_tests::faults::{Table, faults, play};
use tokio::task::JoinSet;

/// Every adapter meets the fault of this name.
async fn met(name: &str) {
    let fault = faults().find(|fault| fault.name == name);
    let fault = fault.expect("a fault of this name");
    let program = Path::new(env!("CARGO_BIN_EXE_member"));
    let mut playing = JoinSet::new();
    for adapter in fault.place.adapters() {
        playing.spawn(async move { play(fault, *adapter, program).await });
    }
    let mut table = Table::default();
    while let Some(ended) = playing.join_next().await {
        match ended.unwrap() {
            Ok(row) => table.add(&row),
            Err(error) => {
                let required = std::env::var_os("MEMOLOCK_TEST_DOCKER_REQUIRED").is_some();
                assert!(fault.place.wants_docker() && !required, "{error}");
                eprintln!("not run: {error}: `cargo xtask image` makes the image");
                return;
            }
        }
    }
    println!("{table}");
}

/// Each fault is a test, and each test a fault.
macro_rules! matrix {
    ($($test:ident: $fault:literal,)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                met($fault).await;
            }
        )*

        #[test]
        fn every_fault_is_met() {
            let names: Vec<_> = faults().map(|fault| fault.name).collect();
            assert_eq!(names, [$($fault),*]);
        }
    };
}

matrix! {
    the_server_is_killed: "server-killed",
    the_server_is_stopped: "server-stopped",
    the_holder_is_killed: "holder-killed",
    the_holder_is_stopped_past_its_lease: "holder-stopped",
    connections_for_commands_are_killed: "client-kill-normal",
    connections_with_subscriptions_are_killed: "client-kill-pubsub",
    all_clients_are_paused: "client-pause-all",
    clients_that_write_are_paused: "client-pause-write",
    everything_is_flushed: "flushall",
    scripts_are_flushed: "script-flush",
    memory_is_full: "memory-full",
    values_and_locks_are_evicted: "memory-evicted",
    the_server_becomes_a_replica: "replica",
    a_password_is_rotated_in: "password",
    values_are_too_large_for_a_listeners_buffer: "large-values",
    the_container_is_paused: "container-paused",
    the_container_is_taken_off_its_network: "container-unplugged",
    a_clusters_master_is_killed: "cluster-master-killed",
    a_clusters_master_is_stopped_and_deposed: "cluster-master-stopped",
    a_clusters_master_hands_over: "cluster-handover",
    a_slot_moves_to_another_master: "cluster-slot-moved",
    a_clusters_master_is_killed_and_sharded_listeners_follow: "cluster-sharded-master-killed",
    a_slot_moves_and_sharded_listeners_follow: "cluster-sharded-slot-moved",
    connections_to_every_node_are_killed: "cluster-clients-killed",
    a_clusters_container_is_paused_and_deposed: "cluster-container-paused",
    a_clusters_container_is_cut_off_and_deposed: "cluster-container-unplugged",
    a_watched_master_is_killed: "sentinel-master-killed",
    a_watched_master_is_stopped_and_deposed: "sentinel-master-stopped",
    a_watched_master_hands_over: "sentinel-handover",
    a_watched_container_is_paused_and_deposed: "sentinel-container-paused",
    a_watched_container_is_cut_off_and_deposed: "sentinel-container-unplugged",
    a_server_with_tls_is_killed: "tls-server-killed",
    a_server_with_tls_is_stopped: "tls-server-stopped",
    connections_with_tls_are_killed: "tls-clients-killed",
    a_certificate_is_rotated_in: "tls-certificate",
    a_master_with_tls_is_killed: "tls-cluster-master-killed",
    a_master_with_tls_hands_over: "tls-cluster-handover",
}
