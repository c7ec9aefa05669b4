//! The least-privilege users of docs/security.md: with these rights everything works, and with one less
//! something does not.

mod document;
mod repeats;
mod trial;
mod work;

use memolock::core::{ErrorKind, Layout};
use memolock_testkit::TestServer;
use memolock_tests::Adapter;

use document::{User, soft};
use trial::Court;
use work::{Ends, Role};

/// Tries the document on one server.
async fn tried(server: TestServer) {
    let court = Court::new(server).await;
    for adapter in Adapter::ALL {
        for role in Role::ALL {
            let user = court.user(role, adapter).await;
            for layout in [Layout::Classic, Layout::HashTagged] {
                let verdict = court.judge(&user, role, adapter, layout).await;
                assert!(
                    verdict.is_clean(),
                    "{adapter}, {role:?}, {layout:?}, {user}: {verdict:#?}"
                );
            }
            for right in user.rights() {
                is_missed(&court, role, adapter, &user, &right).await;
            }
        }
    }
}

/// Takes away one right.
async fn is_missed(court: &Court, role: Role, adapter: Adapter, user: &User, right: &str) {
    let less = user.without(right);
    let verdict = court.judge(&less, role, adapter, Layout::Classic).await;
    let which = format!("{adapter}, {role:?}, without {right}: {verdict:#?}");
    let Ends { errors, oddities } = &verdict.ends;
    let denied = errors.iter().all(|e| e.kind() == ErrorKind::Denied);
    assert!(denied, "another kind: {which}");
    assert!(!verdict.denied.is_empty(), "nobody asks for it: {which}");
    let soft = soft().iter().any(|soft| soft == right);
    match soft && !(adapter == Adapter::Fred && right == "+ping") {
        true => assert!(
            errors.is_empty() && oddities.is_empty(),
            "not soft: {which}"
        ),
        false => assert!(!errors.is_empty(), "soft: {which}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_a_spawned_server() {
    tried(memolock_tests::own_server().await).await;
}

async fn in_container(image: &str) {
    match TestServer::start_image(image).await {
        Ok(server) => tried(server).await,
        Err(error) => {
            let required = std::env::var_os("MEMOLOCK_TEST_DOCKER_REQUIRED").is_some();
            assert!(!required, "{error}");
            eprintln!("not run: {error}: `cargo xtask image` makes the image");
        }
    }
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
