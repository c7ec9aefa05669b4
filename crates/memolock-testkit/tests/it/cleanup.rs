//! Nothing is left running, however a test ends.

use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use memolock_testkit::TestServer;

use crate::Outcome;

/// Set for the copy of this test program that holds a server and waits to be killed.
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

/// Not a test of its own: the body of the process that the next test kills.
#[tokio::test]
async fn hold_a_server_when_asked() -> Outcome {
    if std::env::var_os(HOLD).is_some() {
        let server = TestServer::start_local().await?;
        println!("\nport={}", server.port());
        std::future::pending::<()>().await;
    }
    Ok(())
}

#[test]
fn killing_the_test_process_ends_it() {
    let program = std::env::current_exe().expect("the test program");
    let mut holder = Command::new(program)
        .args([
            "--exact",
            "cleanup::hold_a_server_when_asked",
            "--nocapture",
        ])
        .env(HOLD, "1")
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("a copy of the test program");
    let output = BufReader::new(holder.stdout.take().expect("a pipe"));
    let port = output
        .lines()
        .map_while(Result::ok)
        .find_map(|line| {
            line.strip_prefix("port=")
                .and_then(|port| port.parse().ok())
        })
        .expect("the copy starts a server and tells its port");
    assert!(listens(port));
    holder.kill().expect("it runs");
    holder.wait().expect("it was killed");
    let deadline = Instant::now() + Duration::from_secs(10);
    while listens(port) {
        assert!(
            Instant::now() < deadline,
            "the server outlives the test process"
        );
        std::thread::sleep(Duration::from_millis(5));
    }
}
