//! A herd: one compute, few commands, every caller served.

mod common;

use std::process::Stdio;

use common::{PATIENCE, finish, memolock, on, run, sees, server};
use tokio::io::AsyncReadExt;
use tokio::time::timeout;

#[tokio::test]
async fn without_a_server_it_runs_on_the_embedded_backend() {
    let ended = run(memolock(&["herd", "--tasks", "500", "--compute", "20ms"])).await;
    let table = ended.succeeds().text();
    let title = "500 callers on 1 key in 1 process, 20ms a compute, backend memory\n";
    assert!(table.starts_with(title), "{table}");
    for row in [
        "computes",
        "errors",
        "p50",
        "p99",
        "max",
        "over the compute",
        "commands",
    ] {
        assert!(table.contains(row), "{row} in {table}");
    }
}

#[tokio::test]
async fn the_default_herd_is_ten_thousand_callers_of_one_compute() {
    let report = run(memolock(&["--json", "herd"])).await.succeeds().json();
    assert_eq!(report["backend"], "memory");
    for (field, figure) in [
        ("processes", 1),
        ("tasks", 10_000),
        ("keys", 1),
        ("compute_ms", 100),
        ("computes", 1),
        ("errors", 0),
        ("wrong", 0),
        ("commands", 3),
    ] {
        assert_eq!(report[field], figure, "{field} in {report}");
    }
    assert!(report["elapsed_ms"].as_f64() >= Some(100.0), "{report}");
    let latency = |name| report["latency_ms"][name].as_f64().expect("a number");
    assert!(latency("p50") <= latency("p99") && latency("p99") <= latency("max"));
}

#[tokio::test]
async fn every_key_is_computed_once() {
    let args = [
        "herd",
        "--tasks",
        "3000",
        "--keys",
        "100",
        "--compute",
        "10ms",
        "--json",
    ];
    let report = run(memolock(&args)).await.succeeds().json();
    assert_eq!(report["computes"], 100);
    assert_eq!(report["max_computes_per_key"], 1);
}

#[tokio::test]
async fn four_processes_share_one_compute_at_eight_commands_each_at_most() {
    let server = server().await;
    let args = ["herd", "--processes", "4", "--tasks", "400", "--json"];
    for _ in 0..2 {
        // A second herd meets none of the first one's values.
        let report = run(on(&server, &args)).await.succeeds().json();
        assert_eq!(report["backend"], "redis-rs");
        assert_eq!(report["computes"], 1, "{report}");
        assert_eq!(report["errors"], 0, "{report}");
        assert_eq!(report["wrong"], 0, "{report}");
        assert!(
            report["commands_max_process"].as_u64() <= Some(8),
            "{report}"
        );
    }
}

#[tokio::test]
async fn it_counts_the_commands_that_the_server_sees() {
    let server = server().await;
    let mut monitor = server.monitor().await.unwrap();
    let args = [
        "herd",
        "--processes",
        "3",
        "--tasks",
        "60",
        "--keys",
        "4",
        "--json",
    ];
    let report = run(on(&server, &args)).await.succeeds().json();
    let seen = monitor.drain().await.unwrap();
    // What sets a connection up is not counted.
    let set_up = ["HELLO", "CLIENT", "SELECT"];
    let sent: Vec<_> = seen
        .iter()
        .filter(|command| !command.from_script() && !set_up.contains(&&*command.name()))
        .collect();
    let channels = |name: &str| -> usize {
        let named = sent.iter().filter(|command| command.name() == name);
        named.map(|command| command.args().len() - 1).sum()
    };
    // One that is counted as it is sent may end with the process before it arrives: the last there is to send.
    let unsent = channels("SUBSCRIBE") - channels("UNSUBSCRIBE");
    let counted = report["commands"].as_u64().unwrap();
    let sent_at_most = (sent.len() + unsent) as u64;
    assert!(
        (sent.len() as u64..=sent_at_most).contains(&counted),
        "{report} {sent:#?}"
    );
}

#[tokio::test]
async fn repeated_herds_use_fresh_keys_over_the_same_connections() {
    let server = server().await;
    let args = [
        "herd",
        "--repeat",
        "20",
        "--processes",
        "2",
        "--tasks",
        "40",
        "--compute",
        "5ms",
        "--json",
    ];
    let report = run(on(&server, &args)).await.succeeds().json();
    assert_eq!(report["repeat"], 20);
    assert_eq!(report["computes"], 20, "{report}");
    assert_eq!(report["max_computes_per_key"], 1, "{report}");
    assert_eq!(report["timeouts"], 0, "{report}");
    assert!(
        report["commands_max_process"].as_u64() <= Some(8),
        "{report}"
    );
}

#[tokio::test]
async fn several_processes_need_a_server() {
    let ended = run(memolock(&["herd", "--processes", "2"])).await;
    let line = ended.fails(2);
    assert!(
        line.contains("--url") && line.contains("MEMOLOCK_URL"),
        "{line}"
    );
}

#[tokio::test]
async fn callers_that_fail_are_counted_and_fail_the_herd() {
    let server = server().await;
    let args = [
        "herd",
        "--processes",
        "2",
        "--tasks",
        "20",
        "--compute",
        "2s",
        "--wait",
        "50ms",
        "--json",
    ];
    let ended = run(on(&server, &args)).await;
    let line = ended.fails(1);
    // One computes, in one process; all others lose patience.
    assert!(
        line.starts_with("of 20 callers 19 failed and 0 got"),
        "{line}"
    );
    assert_eq!(ended.json()["timeouts"], 19);
}

#[tokio::test]
async fn a_server_that_dies_costs_computes_and_no_caller() {
    let server = server().await;
    let mut monitor = server.monitor().await.unwrap();
    let args = [
        "herd",
        "--processes",
        "2",
        "--tasks",
        "20",
        "--compute",
        "1s",
        "--lease",
        "500ms",
        "--json",
    ];
    let herd = on(&server, &args).spawn().unwrap();
    sees(&mut monitor, "SUBSCRIBE").await;
    server.kill().await.unwrap();
    let report = finish(herd).await.succeeds().json();
    assert_eq!(
        (&report["errors"], &report["wrong"]),
        (&0.into(), &0.into()),
        "{report}"
    );
    assert_eq!(report["computes"], 2, "{report}");
    assert_eq!(report["degraded"], 1, "{report}");
}

#[tokio::test]
async fn workers_end_when_their_parent_is_killed() {
    let server = server().await;
    let mut monitor = server.monitor().await.unwrap();
    let args = [
        "herd",
        "--processes",
        "2",
        "--tasks",
        "20",
        "--compute",
        "10m",
    ];
    let mut parent = on(&server, &args).stdout(Stdio::null()).spawn().unwrap();
    // One computes and one waits: the herd is under way.
    sees(&mut monitor, "SUBSCRIBE").await;
    parent.start_kill().unwrap();
    // The workers have its stderr, which ends with the last of them.
    let mut stderr = parent.stderr.take().unwrap();
    let mut said = String::new();
    let end = timeout(PATIENCE, stderr.read_to_string(&mut said)).await;
    end.expect("workers that end").unwrap();
    assert_eq!(finish(parent).await.code, None);
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_worker_that_is_killed_fails_the_herd_in_one_line() {
    let server = server().await;
    let mut monitor = server.monitor().await.unwrap();
    let args = [
        "herd",
        "--processes",
        "2",
        "--tasks",
        "20",
        "--compute",
        "10m",
    ];
    let parent = on(&server, &args).spawn().unwrap();
    sees(&mut monitor, "SUBSCRIBE").await;
    kill(children(parent.id().unwrap())[0]);
    let ended = finish(parent).await;
    let line = ended.fails(1);
    assert!(
        line.contains("of 2 ended when it was to serve its callers"),
        "{line}"
    );
}

#[cfg(target_os = "linux")]
fn children(parent: u32) -> Vec<i32> {
    // Any thread of the parent may have started a child.
    let threads = std::fs::read_dir(format!("/proc/{parent}/task")).expect("a live parent");
    threads
        .filter_map(|thread| std::fs::read_to_string(thread.ok()?.path().join("children")).ok())
        .flat_map(|list| {
            list.split_whitespace()
                .flat_map(str::parse)
                .collect::<Vec<_>>()
        })
        .collect()
}

#[cfg(target_os = "linux")]
fn kill(process: i32) {
    use rustix::process::{Pid, Signal, kill_process};
    let process = Pid::from_raw(process).expect("not zero");
    kill_process(process, Signal::KILL).expect("it lives");
}
