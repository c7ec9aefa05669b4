//! The other adapter, through the same doors.
#![cfg(feature = "fred")]

mod common;

use common::{memolock, on, run, server};

#[tokio::test]
async fn what_one_adapter_stores_the_other_finds() {
    let server = server().await;
    let put = ["put", "--backend", "fred", "--id", "x", "--ttl", "1m", "v"];
    run(on(&server, &put)).await.succeeds();
    let get = ["get", "--backend", "redis-rs", "--id", "x"];
    assert_eq!(run(on(&server, &get)).await.succeeds().text(), "v");
}

#[tokio::test]
async fn four_processes_share_one_compute_at_eight_commands_each_at_most() {
    let server = server().await;
    let args = [
        "herd",
        "--backend",
        "fred",
        "--processes",
        "4",
        "--tasks",
        "400",
        "--json",
    ];
    for _ in 0..2 {
        let report = run(on(&server, &args)).await.succeeds().json();
        assert_eq!(report["backend"], "fred");
        assert_eq!(report["computes"], 1, "{report}");
        assert_eq!(report["wrong"], 0, "{report}");
        assert!(
            report["commands_max_process"].as_u64() <= Some(8),
            "{report}"
        );
    }
}

#[tokio::test]
async fn processes_over_different_adapters_share_one_compute() {
    let server = server().await;
    let mix = ["herd", "--backend", "redis-rs,fred", "--processes", "4"];
    let herd = [&mix[..], &["--tasks", "80", "--compute", "10ms"]].concat();
    let herd = [&herd[..], &["--repeat", "20", "--json"]].concat();
    let report = run(on(&server, &herd)).await.succeeds().json();
    assert_eq!(report["backend"], "redis-rs,fred");
    assert_eq!(report["computes"], 20, "one each time: {report}");
    assert_eq!(report["wrong"], 0, "{report}");
}

#[tokio::test]
async fn a_list_of_backends_is_for_herds_with_a_process_for_each() {
    let url = ["--url", "redis://127.0.0.1:1", "--backend", "redis-rs,fred"];
    let get = [&url[..], &["get", "--id", "x"]].concat();
    run(memolock(&get)).await.fails(2);
    run(memolock(&[&url[..], &["herd"]].concat()))
        .await
        .fails(2);
}

#[tokio::test]
async fn a_url_that_cannot_be_used_is_a_usage_error() {
    for url in ["bogus", "redis-cluster://h:1/2", ""] {
        run(memolock(&[
            "--backend",
            "fred",
            "--url",
            url,
            "get",
            "--id",
            "x",
        ]))
        .await
        .fails(2);
    }
}
