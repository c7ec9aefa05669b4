//! Every ordered pair of adapters in separate processes, in every scenario: on a spawned server, and on three
//! releases in containers. `cargo xtask interop` shows the tables.

mod herd;

use std::path::Path;

use memolock_testkit::TestServer;
use memolock_tests::interop::Table;

/// The program of members.
fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_member"))
}

async fn played(server: TestServer) {
    let table = Table::play(server, program()).await;
    println!("{table}");
    table.assert_ok();
}

async fn in_container(image: &str) {
    match TestServer::start_image(image).await {
        Ok(server) => played(server).await,
        Err(error) => {
            let required = std::env::var_os("MEMOLOCK_TEST_DOCKER_REQUIRED").is_some();
            assert!(!required, "{error}");
            eprintln!("not run: {error}: `cargo xtask image` makes the image");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_a_spawned_server() {
    played(memolock_tests::own_server().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_redis_7_0_in_a_container() {
    in_container("memolock-test-redis:7.0").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_redis_8_0_in_a_container() {
    in_container("memolock-test-redis:8.0").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_valkey_8_1_in_a_container() {
    in_container("memolock-test-valkey:8.1").await;
}
