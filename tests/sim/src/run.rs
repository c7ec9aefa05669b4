//! Runs one schedule: a runtime of its own, whose clock goes on only when everybody waits.

use std::sync::Arc;
use std::time::Duration;

use memolock::Error;
use tokio::time::{Instant, sleep_until, timeout};

use crate::backend::SimBackend;
use crate::caller::{Lore, Memos, Process, process};
use crate::history::History;
use crate::many::ManyWork;
use crate::plan::{Does, Plan};
use crate::promises;
use crate::stranger::Ancestor;
use crate::vandal;
use crate::world::{Life, World};

/// How long a close may take: its patience with work under way, and a little.
const CLOSING: Duration = Duration::from_secs(10);

/// What came of a schedule.
#[derive(Debug)]
pub struct Report {
    /// What was to happen.
    pub plan: Plan,
    /// What happened.
    pub history: History,
    /// The promises that were broken: a sentence each.
    pub broken: Vec<String>,
}

/// What is left when all is over.
#[derive(Debug, Default)]
pub(crate) struct Remains {
    /// A sentence each.
    pub(crate) leaks: Vec<String>,
}

/// Runs the schedule of a seed.
///
/// # Errors
/// If there is no runtime to be had, or the plan's settings are refused.
pub fn run(seed: u64) -> anyhow::Result<Report> {
    run_plan(Plan::of(seed))
}

/// Runs a plan.
///
/// # Errors
/// As [`run`].
pub fn run_plan(plan: Plan) -> anyhow::Result<Report> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()?;
    let (history, remains) = runtime.block_on(live(&plan))?;
    let broken = promises::broken(&plan, &history, &remains);
    Ok(Report {
        plan,
        history,
        broken,
    })
}

async fn live(plan: &Plan) -> Result<(History, Remains), Error> {
    let world = World::new(plan.seed, plan.latency);
    let began = Instant::now();
    let bound = Duration::from_millis(plan.bound);
    // First those that may be paused and killed: the plan counts them from zero.
    let backends: Vec<_> = (0..plan.processes)
        .map(|_| SimBackend::new(&world, bound))
        .collect();
    // Programs that other programs start have connections of their own.
    let lore = Lore::new(SimBackend::new(&world, bound).1);
    let mut fleet = Vec::new();
    for (id, backend) in backends {
        fleet.push(process(plan, &world, &lore, id, backend).await?);
    }
    tokio::spawn(Arc::clone(&world).turn());
    for (at, fault) in &plan.faults {
        world.plan(*at, *fault);
    }
    for (id, call) in plan.calls.iter().enumerate() {
        let process = fleet[call.process].clone();
        match call.does {
            Does::Along { .. } => {}
            Does::Many { lasts, ends } => {
                let work = ManyWork { lasts, ends };
                tokio::spawn(process.run_many(id, call.clone(), plan.keys, work));
            }
            _ => {
                tokio::spawn(process.run(id, call.clone()));
            }
        }
    }
    for (nth, stranger) in plan.strangers.iter().enumerate() {
        let (process, backend) = SimBackend::new(&world, bound);
        let (world, lore) = (Arc::clone(&world), Arc::clone(&lore));
        let ancestor = Ancestor {
            world,
            process,
            backend,
            lore,
        };
        tokio::spawn(ancestor.run(plan.calls.len() + nth, *stranger));
    }
    for damage in &plan.vandals {
        let (process, _) = SimBackend::new(&world, bound);
        tokio::spawn(vandal::run(Arc::clone(&world), process, *damage));
    }
    let end = began + Duration::from_millis(plan.end);
    tokio::select! {
        biased;
        () = world.goes_in_a_circle() => {
            let leaks = vec!["R2: it goes in a circle".to_owned()];
            return Ok((world.take_history(), Remains { leaks }));
        }
        () = sleep_until(end) => {}
    }
    let remains = remains(&world, &fleet).await;
    Ok((world.take_history(), remains))
}

/// Looks at what is left, closes everything, and looks again.
async fn remains(world: &World, fleet: &[Process]) -> Remains {
    let mut remains = Remains::default();
    let leaks = &mut remains.leaks;
    for key in world.locks() {
        leaks.push(format!("R5: a lock of {key} is still held at the end"));
    }
    for process in fleet {
        if world.life(process.id) == Life::Dead {
            continue;
        }
        let who = format!("p{}", process.id);
        look(&process.memos, &who, "before a close", leaks);
        if timeout(CLOSING, process.memos.close()).await.is_err() {
            leaks.push(format!("R10: {who} does not close"));
        }
        look(&process.memos, &who, "after a close", leaks);
        let called = process.memos.get("k0").await;
        if !matches!(called, Err(Error::Closed)) {
            leaks.push(format!("R10: {who} is closed and answers {called:?}"));
        }
    }
    remains
}

fn look(memos: &Memos, who: &str, when: &str, leaks: &mut Vec<String>) {
    let left = memos.in_flight();
    if (left.flights, left.leases, left.tasks) != (0, 0, 0) {
        leaks.push(format!("R9: {who} has {left:?} {when}"));
    }
    let subscriptions = memos.stats().backend.subscriptions;
    if subscriptions != 0 {
        leaks.push(format!("R9: {who} listens to {subscriptions} keys {when}"));
    }
}
