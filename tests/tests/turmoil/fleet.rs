//! Three hosts that ask for the same few keys, and what happens to their network meanwhile.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use memolock::Memolock;
use memolock::codec::Text;
use memolock::core::Entropy;
use memolock::redis_rs::RedisBackend;
use tokio::time::{sleep, timeout};

use crate::server::{PORT, serve};

/// What happens between 3 s and 9 s of each run. A lease is 2 s.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trouble {
    None,
    PartitionOne,
    PartitionAll,
    OneWay,
    Hold,
    Crash,
}

const HOSTS: [&str; 3] = ["a", "b", "c"];
const LEASE: Duration = Duration::from_secs(2);
/// No call may take longer: the longest outage, two leases and a few time-outs. On the simulated clock.
const BOUND: Duration = Duration::from_secs(15);

type History = Rc<RefCell<Vec<String>>>;

/// One run; what happened in it.
pub(crate) fn run(trouble: Trouble, seed: u64) -> Vec<String> {
    let history = History::default();
    let mut random = fastrand::Rng::with_seed(seed);
    let mut sim = turmoil::Builder::new()
        .rng_seed(seed)
        .tick_duration(Duration::from_millis(2))
        .simulation_duration(Duration::from_secs(120))
        .min_message_latency(Duration::from_millis(1))
        .max_message_latency(Duration::from_millis(random.u64(2..60)))
        .build();
    sim.host("server", serve);
    for host in HOSTS {
        let (seed, history) = (random.u64(..), Rc::clone(&history));
        sim.client(host, live(host, seed, trouble, history));
    }
    let from = Duration::from_millis(3000 + random.u64(..1000));
    let until = Duration::from_millis(5000 + random.u64(..4000));
    let victim = HOSTS[random.usize(..HOSTS.len())];
    let (mut struck, mut healed) = (false, false);
    while !sim
        .step()
        .unwrap_or_else(|e| panic!("{trouble:?}, seed {seed}: {e}"))
    {
        let now = sim.elapsed();
        if !struck && now >= from {
            struck = true;
            match trouble {
                Trouble::None => {}
                Trouble::PartitionOne => sim.partition(victim, "server"),
                Trouble::PartitionAll => HOSTS.iter().for_each(|h| sim.partition(*h, "server")),
                Trouble::OneWay => sim.partition_oneway("server", victim),
                Trouble::Hold => sim.hold(victim, "server"),
                Trouble::Crash => sim.crash("server"),
            }
        }
        if !healed && now >= until {
            healed = true;
            match trouble {
                Trouble::None => {}
                Trouble::PartitionOne => sim.repair(victim, "server"),
                Trouble::PartitionAll => HOSTS.iter().for_each(|h| sim.repair(*h, "server")),
                Trouble::OneWay => sim.repair_oneway("server", victim),
                Trouble::Hold => sim.release(victim, "server"),
                Trouble::Crash => sim.bounce("server"),
            }
        }
    }
    drop(sim);
    let history = history.borrow().clone();
    promises(trouble, seed, &history);
    history
}

/// Without trouble there is never a second compute of a key at a time; with it there is one again, for the
/// whole fleet, once it is over.
fn promises(trouble: Trouble, seed: u64, history: &[String]) {
    let last = history.iter().filter(|h| h.contains("computes last"));
    assert_eq!(last.count(), 1, "{trouble:?}, seed {seed}: {history:#?}");
    if trouble == Trouble::None {
        for id in ["k0", "k1", "k2"] {
            let steps = history.iter().filter(|h| h.ends_with(id));
            let steps: Vec<_> = steps.filter(|h| !h.contains("got")).collect();
            for pair in steps.chunks(2) {
                let turn = pair[0].contains("computes") && pair[1].contains("has");
                assert!(turn, "R1, seed {seed}: {history:#?}");
            }
        }
    }
}

struct Seeded(fastrand::Rng);

impl Entropy for Seeded {
    fn bits(&mut self) -> u128 {
        self.0.u128(..)
    }
}

async fn live(
    host: &'static str,
    seed: u64,
    trouble: Trouble,
    history: History,
) -> turmoil::Result {
    let mut random = fastrand::Rng::with_seed(seed);
    let backend = RedisBackend::builder("redis://server")
        .connector(|| turmoil::net::TcpStream::connect(("server", PORT)))
        .entropy(Seeded(random.fork()))
        .command_timeout(Duration::from_millis(500))
        .connect_timeout(Duration::from_millis(500))
        .heartbeat(Duration::from_millis(500))
        .connect_lazy()?;
    let likes = Memolock::<String>::builder("likes", backend)
        .codec(Text)
        .entropy(Seeded(random.fork()))
        .ttl(Duration::from_millis(700))
        .lease(LEASE)
        .build()
        .await?;
    let tell = |what: &str, id: &str| {
        let at = turmoil::sim_elapsed().unwrap_or_default();
        history
            .borrow_mut()
            .push(format!("{at:?} {host} {what} {id}"));
    };
    let ask = async |id: &str, work: Duration| {
        let compute = |_| async {
            tell("computes", id);
            sleep(work).await;
            tell("has", id);
            Ok::<_, String>(format!("{id} of {host}"))
        };
        let call = likes.entry(id).or_compute(compute);
        let value = timeout(BOUND, call).await;
        let value = value.unwrap_or_else(|_| panic!("{trouble:?}: {host} hangs on {id}"));
        let value = value.unwrap_or_else(|e| panic!("{trouble:?}: {host} on {id}: {e}"));
        assert!(value.starts_with(id), "{host} got {} for {id}", *value);
        tell("got", id);
    };
    while turmoil::sim_elapsed().unwrap_or_default() < Duration::from_secs(12) {
        let id = format!("k{}", random.u8(..3));
        ask(&id, Duration::from_millis(random.u64(10..1500))).await;
        sleep(Duration::from_millis(random.u64(..200))).await;
    }
    // Long after the repair. Everybody has found back, and one computes for all.
    let now = turmoil::sim_elapsed().unwrap_or_default();
    sleep(Duration::from_secs(25).saturating_sub(now)).await;
    ask("last", Duration::from_secs(3)).await;
    likes.close().await;
    Ok(())
}
