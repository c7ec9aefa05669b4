//! The parent of a herd of several processes: starts them, has them begin together, collects.

use std::process::Stdio;
use std::time::{Duration, Instant};

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::mpsc;

use super::Army;
use super::plan::Plan;
use super::progress::Progress;
use super::tally::Share;
use super::wire::{Order, Word, line};
use crate::exit::Failure;

/// The workers. Dropping it ends them.
pub(super) struct Fleet {
    workers: Vec<Worker>,
    /// What any of them says; `None` when it says no more.
    words: mpsc::UnboundedReceiver<(usize, Option<Word>)>,
}

struct Worker {
    child: Child,
    orders: ChildStdin,
}

impl Fleet {
    /// Starts the workers, which are this program again, and waits until all are connected.
    pub(super) async fn muster(plan: &Plan, verbose: bool) -> Result<Self, Failure> {
        let (told, words) = mpsc::unbounded_channel();
        let mut fleet = Self {
            workers: Vec::new(),
            words,
        };
        for process in 0..plan.processes as usize {
            let (worker, stdout) = Worker::start(verbose)
                .map_err(|error| Failure::failed(format!("cannot start a process: {error}")))?;
            fleet.workers.push(worker);
            tokio::spawn(relay(process, stdout, told.clone()));
        }
        for (worker, process) in fleet.workers.iter_mut().zip(0..) {
            let plan = Box::new(plan.clone());
            worker.order(&Order::Join { plan, process }).await?;
        }
        fleet
            .all("connect", |word| matches!(word, Word::Joined))
            .await?;
        Ok(fleet)
    }

    async fn order(&mut self, order: &Order) -> Result<(), Failure> {
        for worker in &mut self.workers {
            worker.order(order).await?;
        }
        Ok(())
    }

    /// Waits until every worker has given the answer.
    async fn all(&mut self, what: &str, is_answer: fn(&Word) -> bool) -> Result<(), Failure> {
        for _ in 0..self.workers.len() {
            let (process, word) = self.next(what).await?;
            if !is_answer(&word) {
                return Err(senseless(process, what));
            }
        }
        Ok(())
    }

    /// The next word of anybody; it is a failure if that says so, or is gone.
    async fn next(&mut self, what: &str) -> Result<(usize, Word), Failure> {
        match self.words.recv().await {
            Some((_, Some(Word::Failed { code, line }))) => Err(Failure::coded(code, line)),
            Some((process, Some(word))) => Ok((process, word)),
            Some((process, None)) => Err(self.lost(process, what).await),
            None => Err(Failure::failed(format!("no process is left to {what}"))),
        }
    }

    async fn lost(&mut self, process: usize, what: &str) -> Failure {
        let how = match self.workers.get_mut(process) {
            // Its stdout is closed, so it has ended or is about to.
            Some(worker) => match worker.child.wait().await {
                Ok(status) => status.to_string(),
                Err(error) => error.to_string(),
            },
            None => "unknown".to_owned(),
        };
        let n = process + 1;
        let of = self.workers.len();
        Failure::failed(format!(
            "process {n} of {of} ended when it was to {what}: {how}"
        ))
    }
}

impl Army for Fleet {
    async fn herd(
        &mut self,
        round: u32,
        progress: &Progress,
    ) -> Result<(Duration, Vec<Share>), Failure> {
        self.order(&Order::Park { round }).await?;
        self.all("gather its callers", |word| matches!(word, Word::Parked))
            .await?;
        let begun = Instant::now();
        self.order(&Order::Go).await?;
        let what = "serve its callers";
        let mut elapsed = Duration::ZERO;
        let mut shares: Vec<Option<Share>> = self.workers.iter().map(|_| None).collect();
        while shares.iter().any(Option::is_none) {
            match self.next(what).await? {
                (_, Word::Progress(done)) => progress.done(done),
                (_, Word::Done) => elapsed = begun.elapsed(),
                (process, Word::Share(share)) if process < shares.len() => {
                    shares[process] = Some(*share);
                }
                (process, _) => return Err(senseless(process, what)),
            }
        }
        Ok((elapsed, shares.into_iter().flatten().collect()))
    }

    async fn end(&mut self) -> Result<Vec<u64>, Failure> {
        self.order(&Order::End).await?;
        let what = "close its connection";
        let mut sent: Vec<u64> = self.workers.iter().map(|_| 0).collect();
        for _ in 0..sent.len() {
            match self.next(what).await? {
                (process, Word::Ended { commands }) if process < sent.len() => {
                    sent[process] = commands;
                }
                (process, _) => return Err(senseless(process, what)),
            }
        }
        for worker in self.workers.drain(..) {
            let Worker { mut child, orders } = worker;
            // The end of its orders ends it.
            drop(orders);
            // Reaped; how it ended does not matter any more.
            let _ = child.wait().await;
        }
        Ok(sent)
    }
}

impl Worker {
    fn start(verbose: bool) -> std::io::Result<(Self, ChildStdout)> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("herd-worker");
        if verbose {
            command.arg("--verbose");
        }
        let mut child = command
            // It has the plan; a variable that it does not need can only confuse.
            .env_remove("MEMOLOCK_URL")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        match (child.stdin.take(), child.stdout.take()) {
            (Some(orders), Some(stdout)) => Ok((Self { child, orders }, stdout)),
            _ => Err(std::io::Error::other("it has no pipes")),
        }
    }

    async fn order(&mut self, order: &Order) -> Result<(), Failure> {
        let line = line(order).map_err(Failure::failed)?;
        // A worker that has ended has said why, or its silence is noticed where answers are awaited.
        let _ = self.orders.write_all(&line).await;
        Ok(())
    }
}

/// Passes on what one worker says, until it says no more.
async fn relay(
    process: usize,
    stdout: ChildStdout,
    told: mpsc::UnboundedSender<(usize, Option<Word>)>,
) {
    let mut lines = BufReader::new(stdout).lines();
    // What is no word counts as the end.
    while let Ok(Some(line)) = lines.next_line().await {
        let Ok(word) = serde_json::from_str(&line) else {
            break;
        };
        if told.send((process, Some(word))).is_err() {
            return;
        }
    }
    // An error means that nobody listens any more.
    let _ = told.send((process, None));
}

fn senseless(process: usize, what: &str) -> Failure {
    let n = process + 1;
    Failure::failed(format!(
        "process {n} gave another answer when it was to {what}"
    ))
}
