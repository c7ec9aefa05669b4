//! Nothing is left running, however a test ends.

use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use memolock_testkit::{ClusterOptions, TestCluster, TestServer};

use crate::Outcome;
use crate::cluster_docker::{is_gone, network_of};
use crate::container::started;

/// Set for the copy of this test program that holds what it says, and waits to be killed.
const HOLD: &str = "MEMOLOCK_TESTKIT_HOLD";

fn listens(port: u16) -> bool {
    TcpStream::connect(("127.0.0.1", port)).is_ok()
}

#[tokio::test]
async fn dropping_it_ends_it() -> Outcome {
    let server = TestServer::start_local().await?;
    let port = server.port();
    assert!(listens(port));
    drop(server);
    assert!(!listens(port));
    Ok(())
}

#[tokio::test]
async fn a_panic_ends_it() {
    let panicked = tokio::spawn(async {
        let server = TestServer::start_local().await.expect("a server");
        std::panic::panic_any(server.port());
    });
    let payload = panicked.await.expect_err("it panics").into_panic();
    let port = payload.downcast::<u16>().expect("the port");
    assert!(!listens(*port));
}

#[test]
fn it_may_outlive_the_runtime() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let server = runtime
        .block_on(TestServer::start_local())
        .expect("a server");
    drop(runtime);
    let port = server.port();
    drop(server);
    assert!(!listens(port));
}

/// Not a test of its own: the body of the process that the next tests kill.
#[tokio::test]
async fn hold_a_server_when_asked() -> Outcome {
    let tell = |what: &str, name: &dyn std::fmt::Display| println!("\n{what}={name}");
    match std::env::var(HOLD).as_deref() {
        Ok("server") => {
            let server = TestServer::start_local().await?;
            tell("port", &server.port());
            std::future::pending::<()>().await;
        }
        Ok("cluster") => {
            let cluster = TestCluster::start_local_with(masters_alone()).await?;
            for node in cluster.nodes() {
                tell("port", &node.port());
            }
            for dir in cluster.command_all(&["CONFIG", "GET", "dir"]).await? {
                tell("dir", &dir.items()[1]);
            }
            std::future::pending::<()>().await;
        }
        Ok("containers") => {
            let cluster = TestCluster::start_docker_with(masters_alone()).await?;
            tell("network", &network_of(&cluster.nodes()[0]));
            std::future::pending::<()>().await;
        }
        _ => {}
    }
    Ok(())
}

fn masters_alone() -> ClusterOptions {
    ClusterOptions {
        replicas_per_master: 0,
        ..ClusterOptions::default()
    }
}

/// A copy of this program that holds something, killed once it has told `count` names of it.
fn told_by_the_killed(hold: &str, what: &str, count: usize) -> Vec<String> {
    let program = std::env::current_exe().expect("the test program");
    let mut holder = Command::new(program)
        .args([
            "--exact",
            "cleanup::hold_a_server_when_asked",
            "--nocapture",
        ])
        .env(HOLD, hold)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("a copy of the test program");
    let output = BufReader::new(holder.stdout.take().expect("a pipe"));
    let names: Vec<_> = output
        .lines()
        .map_while(Result::ok)
        .filter_map(|line| Some(line.strip_prefix(what)?.strip_prefix('=')?.to_owned()))
        .take(count)
        .collect();
    holder.kill().expect("it runs");
    holder.wait().expect("it was killed");
    assert_eq!(names.len(), count, "the copy starts it and tells its names");
    names
}

fn ends(what: &str, gone: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !gone() {
        assert!(
            Instant::now() < deadline,
            "{what} outlives the test process"
        );
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn killing_the_test_process_ends_it() {
    for (hold, count) in [("server", 1), ("cluster", 3)] {
        for port in told_by_the_killed(hold, "port", count) {
            let port = port.parse().expect("a number");
            ends(hold, || !listens(port));
        }
    }
    for dir in told_by_the_killed("cluster", "dir", 3) {
        ends("a directory", || !std::path::Path::new(&dir).exists());
    }
}

#[tokio::test]
async fn killing_the_test_process_ends_its_containers() -> Outcome {
    // Whether there is Docker at all.
    if started(TestServer::start_docker().await)?.is_none() {
        return Ok(());
    }
    let networks = told_by_the_killed("containers", "network", 1);
    ends("a network", || is_gone(&networks[0]));
    Ok(())
}
