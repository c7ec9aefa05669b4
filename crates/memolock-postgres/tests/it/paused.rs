//! Users' tests with tokio's clock paused: connecting works, and a command whose time-out came before the server's
//! answer says so.

use std::sync::mpsc;

use memolock_core::{Backend, ErrorKind};
use tokio::runtime::{Builder, Runtime};
use tokio::task::spawn_blocking;

use crate::common::{Place, key};

fn paused() -> Runtime {
    let builder = &mut Builder::new_current_thread();
    builder.enable_all().start_paused(true).build().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connecting_works_while_time_is_paused() {
    let Some(place) = Place::new().await else {
        return;
    };
    let builder = place.builder();
    let connects = spawn_blocking(move || {
        let runtime = paused();
        for _ in 0..20 {
            let backend = runtime.block_on(builder.clone().connect()).unwrap();
            runtime.block_on(backend.close());
        }
    });
    connects.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_says_that_its_time_out_was_of_paused_time() {
    let Some(place) = Place::new().await else {
        return;
    };
    let builder = place.builder();
    let (connected, is_connected) = tokio::sync::oneshot::channel();
    let (locked, is_locked) = mpsc::channel();
    let asks = spawn_blocking(move || {
        let runtime = paused();
        let backend = runtime.block_on(builder.connect()).unwrap();
        connected.send(()).unwrap();
        is_locked.recv().unwrap();
        let answer = runtime.block_on(backend.get(&key("kristoff")));
        runtime.block_on(backend.close());
        answer
    });
    is_connected.await.unwrap();
    place
        .sql("BEGIN; LOCK TABLE memolock IN ACCESS EXCLUSIVE MODE")
        .await;
    locked.send(()).unwrap();
    let error = asks.await.unwrap().unwrap_err();
    let said = error.to_string();
    assert_eq!(error.kind(), ErrorKind::Timeout, "{said}");
    assert!(
        said.contains("start_paused") && said.lines().count() == 1,
        "{said}"
    );
    place.sql("ROLLBACK").await;
}
