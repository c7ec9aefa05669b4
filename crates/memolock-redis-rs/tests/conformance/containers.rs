//! The suite over a cluster and by way of sentinels in containers, where there is Docker and an image. Each server is at
//! an address of its own there, which it names; and no line can be broken, since containers reach no proxy here.

use memolock_testkit::{ServerError, TestCluster, TestSentinel};

use crate::cluster::{self, masters};
use crate::ways::Way;

/// Set where Docker must work, so that a broken set-up cannot pass for a missing one.
const REQUIRED: &str = "MEMOLOCK_TEST_DOCKER_REQUIRED";

/// What Docker started, or nothing where it may be missing.
fn started<T>(result: Result<T, ServerError>) -> Option<T> {
    if let Err(error) = &result {
        assert!(std::env::var_os(REQUIRED).is_none(), "{error}");
        eprintln!("not run: {error}: `cargo xtask image` makes the image");
    }
    result.ok()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_in_containers() {
    let cluster = TestCluster::start_docker_with(masters()).await;
    if let Some(cluster) = started(cluster) {
        cluster::conforms(cluster, |suite| suite.without("bulk::")).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn by_way_of_sentinels_in_containers() {
    if let Some(sentinel) = started(TestSentinel::start_docker().await) {
        Way::Sentinel(sentinel).conforms().await;
    }
}
