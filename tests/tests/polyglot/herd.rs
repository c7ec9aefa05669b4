//! Everybody asks at once, in their language and in ours: one compute.

use memolock_tests::{Call, Case, Event, HANG, Ours, SECOND, end_of};
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

in_every_language!(one_of_all_computes);

/// How often, each time with another id.
const ROUNDS: usize = 5;

async fn one_of_all_computes(case: Case) {
    let mut peers = [case.peer(60 * SECOND).await, case.peer(60 * SECOND).await];
    let ours = [case.ours().await, case.ours().await];
    for round in 0..ROUNDS {
        let id = round.to_string();
        let (begun, mut computing) = mpsc::unbounded_channel();
        let (end, _) = watch::channel(false);
        // Who asks first is drawn by the machine, and turned around by the round.
        let mut calls = Vec::new();
        if round % 2 == 0 {
            calls = ask(&ours, &id, &begun, &end);
        }
        for peer in &mut peers {
            peer.get(&id, HANG).await;
        }
        if round % 2 == 1 {
            calls = ask(&ours, &id, &begun, &end);
        }
        let mut holder = None;
        for (n, peer) in peers.iter_mut().enumerate() {
            match peer.event().await {
                Event::Computing => {
                    assert_eq!(holder.replace(n), None, "round {round}: two compute");
                }
                other => assert_eq!(other, Event::Waiting, "round {round}"),
            }
        }
        // Everybody else has to be waiting before the holder ends: an ancestor that has looked for the value
        // and not yet for the lock would compute again.
        let value = match holder {
            Some(n) => {
                case.we_wait(&id, 2).await;
                let value = format!("of peer {n}");
                peers[n].fulfil(&value).await;
                value
            }
            None => {
                let first = timeout(HANG, computing.recv()).await.expect("a hang");
                case.we_wait(&id, 1).await;
                end.send_replace(true);
                first.unwrap()
            }
        };
        for (n, peer) in peers.iter_mut().enumerate() {
            if holder != Some(n) {
                peer.has(&value, "awaited").await;
            }
        }
        for call in calls {
            assert_eq!(end_of(call).await.unwrap().as_str(), value);
        }
        assert!(computing.try_recv().is_err(), "round {round}: two compute");
    }
}

/// A call from each process of ours, which says so if it computes, and ends when it is told.
fn ask(
    ours: &[Ours; 2],
    id: &str,
    begun: &mpsc::UnboundedSender<String>,
    end: &watch::Sender<bool>,
) -> Vec<Call> {
    let call = |(n, ours): (usize, &Ours)| {
        let (likes, id) = (ours.likes.clone(), id.to_owned());
        let (begun, mut end) = (begun.clone(), end.subscribe());
        tokio::spawn(async move {
            let compute = |_| async move {
                let value = format!("of process {n}");
                begun.send(value.clone()).unwrap();
                end.wait_for(|ended| *ended).await.unwrap();
                Ok::<_, String>(value)
            };
            likes.entry(&id).or_compute(compute).await
        })
    };
    ours.iter().enumerate().map(call).collect()
}
