//! `simulate`: fresh seeds for a while, or one seed again with everything that happened.

use std::collections::BTreeMap;
use std::panic::catch_unwind;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Result;
use clap::Parser;
use memolock_sim::history::What;
use memolock_sim::{Report, Weather, run};

/// Seeds that once broke a promise.
const CORPUS: &str = include_str!("../../seeds.txt");

/// Simulates fleets of memolocks over a store that fails, one schedule for each seed.
#[derive(Debug, Parser)]
struct Args {
    /// Runs this seed alone.
    #[arg(long)]
    seed: Option<u64>,
    /// Prints everything that happened, with --seed.
    #[arg(long, requires = "seed")]
    trace: bool,
    /// Runs the seeds that once broke a promise.
    #[arg(long, conflicts_with = "seed")]
    corpus: bool,
    /// How long to go on.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// At most so many schedules.
    #[arg(long)]
    schedules: Option<u64>,
    /// The first seed. By default, one that nobody has had.
    #[arg(long)]
    from: Option<u64>,
    /// Stops at the first broken promise.
    #[arg(long)]
    first: bool,
    /// Threads. By default, one for each core.
    #[arg(long)]
    threads: Option<usize>,
}

fn main() -> Result<ExitCode> {
    let args = Args::parse();
    silence_simulated_panics();
    match args.seed {
        Some(seed) => one(seed, args.trace),
        None if args.corpus => corpus(),
        None => many(&args),
    }
}

/// Runs the corpus until a seed breaks a promise.
fn corpus() -> Result<ExitCode> {
    let seeds = CORPUS.lines().filter(|line| !line.starts_with('#'));
    for seed in seeds.filter_map(|line| line.split_whitespace().next()) {
        if one(seed.parse()?, false)? == ExitCode::FAILURE {
            return Ok(ExitCode::FAILURE);
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Runs one seed and shows it.
fn one(seed: u64, trace: bool) -> Result<ExitCode> {
    let report = run(seed)?;
    if trace {
        println!("{:?}\n", report.plan);
        for entry in &report.history.entries {
            println!("{entry}");
        }
        println!();
    }
    for sentence in &report.broken {
        println!("seed {seed}: {sentence}");
    }
    if report.broken.is_empty() {
        println!("seed {seed}: every promise was kept");
        return Ok(ExitCode::SUCCESS);
    }
    Ok(ExitCode::FAILURE)
}

/// What was seen in all schedules.
#[derive(Debug, Default)]
struct Tally {
    schedules: u64,
    by_weather: BTreeMap<&'static str, u64>,
    calls: u64,
    near: u64,
    computes: u64,
    effects: u64,
    faults: u64,
    failures: Vec<(u64, Vec<String>)>,
}

impl Tally {
    fn add(&mut self, report: Report) {
        self.schedules += 1;
        let weather = match report.plan.weather {
            Weather::Calm => "calm",
            Weather::Busy => "busy",
            Weather::Storm => "storm",
        };
        *self.by_weather.entry(weather).or_default() += 1;
        for entry in &report.history.entries {
            match entry.what {
                What::CallBegan { .. } => self.calls += 1,
                What::Near { .. } => self.near += 1,
                What::ComputeBegan { .. } => self.computes += 1,
                What::Effect { .. } => self.effects += 1,
                What::Fault { .. } | What::Killed { .. } => self.faults += 1,
                _ => {}
            }
        }
        if !report.broken.is_empty() {
            self.failures.push((report.plan.seed, report.broken));
        }
    }
}

/// Runs seeds one after the other, on every core, until the time is over or some have failed.
fn many(args: &Args) -> Result<ExitCode> {
    let enough = if args.first { 1 } else { 10 };
    let fresh = || {
        let now = std::time::UNIX_EPOCH
            .elapsed()
            .map_or(0, |now| now.as_nanos());
        // Short enough to be typed.
        fastrand::Rng::with_seed(now as u64).u64(0..1 << 40)
    };
    let first = args.from.unwrap_or_else(fresh);
    let threads = args
        .threads
        .or_else(|| std::thread::available_parallelism().ok().map(Into::into));
    let (began, budget) = (Instant::now(), Duration::from_secs(args.seconds));
    let (next, stop) = (AtomicU64::new(0), AtomicBool::new(false));
    let tally = Mutex::new(Tally::default());
    let work = || -> Result<()> {
        while !stop.load(Ordering::Relaxed) && began.elapsed() < budget {
            let nth = next.fetch_add(1, Ordering::Relaxed);
            if args.schedules.is_some_and(|most| nth >= most) {
                return Ok(());
            }
            let seed = first.wrapping_add(nth);
            let report = catch_unwind(|| run(seed));
            let mut tally = tally.lock().unwrap_or_else(PoisonError::into_inner);
            match report {
                Ok(report) => tally.add(report?),
                Err(_) => tally
                    .failures
                    .push((seed, vec!["it panicked: see above".into()])),
            }
            if tally.failures.len() >= enough {
                stop.store(true, Ordering::Relaxed);
            }
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads.unwrap_or(1))
            .map(|_| scope.spawn(work))
            .collect();
        for worker in workers {
            worker
                .join()
                .map_err(|_| anyhow::anyhow!("a schedule panicked: see above"))??;
        }
        anyhow::Ok(())
    })?;
    let tally = tally.into_inner().unwrap_or_else(PoisonError::into_inner);
    show(&tally, first, began.elapsed());
    Ok(match tally.failures.is_empty() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

fn show(tally: &Tally, first: u64, took: Duration) {
    let minute = tally.schedules as f64 / took.as_secs_f64() * 60.0;
    println!(
        "{} schedules from seed {first} on in {:.1} s: {minute:.0} a minute",
        tally.schedules,
        took.as_secs_f64()
    );
    let weather: Vec<_> = tally
        .by_weather
        .iter()
        .map(|(name, n)| format!("{n} {name}"))
        .collect();
    println!("weather   {}", weather.join(", "));
    println!(
        "calls     {}, {} answered by near caches",
        tally.calls, tally.near
    );
    println!("computes  {}", tally.computes);
    println!("commands  {} took effect", tally.effects);
    println!("faults    {} (and their ends)", tally.faults);
    println!("broken    {}", tally.failures.len());
    for (seed, broken) in &tally.failures {
        println!("\nseed {seed}: cargo xtask simulate --seed {seed} --trace");
        for sentence in broken {
            println!("  {sentence}");
        }
    }
}

/// Computes panic on purpose; anybody else's panic is shown as ever.
fn silence_simulated_panics() {
    let shown = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if panic.payload().downcast_ref::<&str>() != Some(&"simulated") {
            shown(panic);
        }
    }));
}
