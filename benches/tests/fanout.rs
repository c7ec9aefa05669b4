//! The smoke run of `cargo xtask fanout`, and what it must find on any machine: who is told over a cluster's bus.

use std::path::Path;

use memolock_benches::fanout::{self, Completions};

const PROGRAM: &str = env!("CARGO_BIN_EXE_memolock-bench");

#[tokio::test]
async fn classic_values_go_to_every_node_and_sharded_ones_to_none() {
    let measured = fanout::measure(Path::new(PROGRAM), true).await;
    let measured = measured.expect("a measurement");

    let [classic, sharded] = measured.completions.as_slice() else {
        panic!("{:?}", measured.completions);
    };
    let count = u64::from(classic.count);
    // To both others, and each of the three hears of what it has not itself.
    assert_eq!(sum(classic, |sent, _| sent), 2 * count, "{classic:?}");
    assert_eq!(sum(classic, |_, received| received), 2 * count);
    let only_classic = classic.nodes.iter().map(|node| node.messages.sharded_sent);
    assert_eq!(only_classic.sum::<u64>(), 0, "{classic:?}");
    assert_eq!(sum(sharded, |sent, received| sent + received), 0);
    // Waiters are told by the nodes whichever way it is: names and values, at least.
    for run in [classic, sharded] {
        let told: u64 = run.nodes.iter().map(|node| node.sent).sum();
        assert!(told > count * 256, "{run:?}");
        assert!(run.scripts.iter().all(|micros| *micros > 0.0), "{run:?}");
    }

    assert_eq!(measured.fleets.len(), 2);
    for fleet in &measured.fleets {
        assert_eq!(fleet.computes, u64::from(fleet.keys), "{fleet:?}");
        for host in &fleet.nodes {
            // One for commands and one that listens, of each process.
            assert_eq!(host.idle.connections, 2 * u64::from(fleet.processes));
            assert_eq!(host.idle.subscriptions, 0, "nobody waits: {fleet:?}");
        }
    }

    let table = measured.table();
    for part in [
        "50 completions",
        "master 3",
        "sharded",
        "4 processes",
        "evalsha",
        "A quick run",
    ] {
        assert!(table.contains(part), "{part} is missing in\n{table}");
    }
}

fn sum(run: &Completions, of: fn(u64, u64) -> u64) -> u64 {
    let nodes = run.nodes.iter().map(|node| &node.messages);
    nodes
        .map(|messages| of(messages.sent(), messages.received()))
        .sum()
}
