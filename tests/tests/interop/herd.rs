//! A mixed herd: processes over every adapter ask for the same key at once, again and again.

use futures_util::future::join_all;
use memolock_testkit::unique_tag;
use memolock_tests::interop::Member;
use memolock_tests::{Adapter, SECOND, own_server};

const ROUNDS: usize = 200;
/// Processes over each adapter, and callers in each process.
const PROCESSES: usize = 2;
const CALLERS: usize = 10;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mixed_herd_computes_once_each_time() {
    let server = own_server().await;
    let tag = unique_tag("mixed");
    let adapters = Adapter::ALL.repeat(PROCESSES);
    let members = adapters
        .iter()
        .map(|adapter| Member::start(crate::program(), *adapter, server.url(), &tag, 300 * SECOND));
    let mut members = join_all(members).await;
    for round in 0..ROUNDS {
        let (id, value) = (format!("round-{round}"), format!("value-{round}"));
        let asked = members.iter_mut().map(|member| async {
            let mut calls = Vec::new();
            for _ in 0..CALLERS {
                calls.push(member.ask(&id).await);
            }
            member.herd(&calls, &value).await
        });
        let computes: u32 = join_all(asked).await.into_iter().sum();
        assert_eq!(computes, 1, "in round {round}");
    }
    println!(
        "{ROUNDS} herds of {} callers in {} processes over {} adapters: 1 compute each",
        members.len() * CALLERS,
        members.len(),
        Adapter::ALL.len()
    );
}
