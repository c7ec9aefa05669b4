//! `memolock herd`: many callers at once, in one process or several, and what they cost.

mod attack;
mod fleet;
mod plan;
mod progress;
mod report;
mod tally;
mod wire;
pub(crate) mod worker;

use std::time::{Duration, Instant};

use memolock::OsEntropy;
use memolock::core::Entropy;

use crate::cli::{Common, HerdArgs};
use crate::connect::{Target, shared};
use crate::exit::{Code, Failure, Outcome};
use crate::output;

use attack::Attacker;
use fleet::Fleet;
use plan::Plan;
use progress::Progress;
use report::Report;
use tally::{Share, Tally};

pub(crate) async fn herd(common: &Common, args: &HerdArgs) -> Outcome {
    let plan = plan(common, args)?;
    // Opened here also for a fleet: what is wrong with it is then said once.
    let mut backends = Vec::new();
    for target in &plan.targets {
        backends.push(target.open(plan.timeout).await?);
    }
    let names: Vec<_> = backends.iter().map(|b| b.capabilities().name).collect();
    let progress = Progress::begin(u64::from(plan.tasks) * u64::from(args.repeat));
    let tally = if plan.processes == 1 {
        let attacker = Attacker::new(plan.clone(), 0, backends.swap_remove(0)).await?;
        rounds(&plan, args.repeat, &mut Solo(attacker), &progress).await
    } else {
        for backend in backends {
            shared(backend, "a herd of several processes")?
                .close()
                .await;
        }
        let mut fleet = Fleet::muster(&plan, common.verbose).await?;
        rounds(&plan, args.repeat, &mut fleet, &progress).await
    };
    progress.end();
    let report = Report::new(&plan, names.join(","), args.repeat, tally?);
    match common.json {
        true => output::json(&report)?,
        false => output::bytes(report.table().as_bytes())?,
    }
    match report.complaint() {
        None => Ok(Code::FINE),
        Some(complaint) => Err(Failure::failed(complaint)),
    }
}

fn plan(common: &Common, args: &HerdArgs) -> Result<Plan, Failure> {
    for (noun, n) in [("processes", args.processes), ("keys", args.keys)] {
        if n > args.tasks {
            let tasks = args.tasks;
            return Err(Failure::usage(format!(
                "--{noun} {n} with --tasks {tasks}: each must have a task"
            )));
        }
    }
    let targets = Target::choose_many(common)?;
    if targets.len() > args.processes as usize {
        let (kinds, processes) = (targets.len(), args.processes);
        return Err(Failure::usage(format!(
            "{kinds} backends with --processes {processes}: each must have a process"
        )));
    }
    let herd = common.id.as_deref().unwrap_or("herd");
    Ok(Plan {
        targets,
        tag: common.tag.clone(),
        // Fresh keys: a herd that finds values would show nothing.
        prefix: format!("{herd}-{:016x}", OsEntropy.bits() as u64),
        tasks: args.tasks,
        processes: args.processes,
        keys: args.keys,
        compute: args.compute,
        wait: args
            .wait
            .unwrap_or(args.compute.saturating_add(Duration::from_secs(30))),
        lease: args.lease,
        timeout: common.timeout,
        progress: progress::is_wanted(),
    })
}

/// All the processes of a herd.
trait Army {
    /// One herd: has every caller wait at the gate, opens it, and waits for the last one. Returns how
    /// long that took from the gate on, and each process's share.
    async fn herd(
        &mut self,
        round: u32,
        progress: &Progress,
    ) -> Result<(Duration, Vec<Share>), Failure>;

    /// Ends it; returns the commands that each process has sent.
    async fn end(&mut self) -> Result<Vec<u64>, Failure>;
}

async fn rounds(
    plan: &Plan,
    repeat: u32,
    army: &mut impl Army,
    progress: &Progress,
) -> Result<Tally, Failure> {
    let mut tally = Tally::new(plan);
    for round in 0..repeat {
        progress.round(round, repeat);
        let (elapsed, shares) = army.herd(round, progress).await?;
        tally.add(elapsed, shares);
    }
    tally.end(&army.end().await?);
    Ok(tally)
}

/// This very process.
struct Solo(Attacker);

impl Army for Solo {
    async fn herd(
        &mut self,
        round: u32,
        progress: &Progress,
    ) -> Result<(Duration, Vec<Share>), Failure> {
        let parked = self.0.park(round).await;
        let begun = Instant::now();
        let charge = parked.release(|done| progress.done(done)).await;
        let elapsed = begun.elapsed();
        Ok((elapsed, vec![charge.share().await]))
    }

    async fn end(&mut self) -> Result<Vec<u64>, Failure> {
        Ok(vec![self.0.end().await])
    }
}
