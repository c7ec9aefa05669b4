//! A worker: one process of a herd. It ends by itself when its parent is gone.

use std::io::BufRead;

use tokio::sync::{mpsc, oneshot};

use super::attack::{Attacker, Parked};
use super::plan::Plan;
use super::wire::{Order, Word, line};
use crate::exit::{Code, Failure, Outcome};
use crate::output;

/// Obeys the orders on stdin until they end.
pub(crate) async fn serve() -> Outcome {
    let (mut orders, gone) = listen();
    let outcome = tokio::select! {
        biased;
        // Whatever is under way: nobody wants it any more.
        _ = gone => return Ok(Code::FINE),
        outcome = obey(&mut orders) => outcome,
    };
    if let Err(failure) = outcome {
        // The parent tells the user. If it cannot be told it is gone, or about to be.
        let _ = say(&Word::Failed {
            code: failure.code(),
            line: failure.line().to_owned(),
        });
    }
    Ok(Code::FINE)
}

async fn obey(orders: &mut mpsc::UnboundedReceiver<Order>) -> Result<(), Failure> {
    let Some(Order::Join { plan, process }) = orders.recv().await else {
        return Err(Failure::usage(
            "herd-worker is for herd's own use: it takes its orders from its parent",
        ));
    };
    let progress = plan.progress;
    let attacker = join(*plan, process).await?;
    say(&Word::Joined)?;
    let mut parked: Option<Parked> = None;
    while let Some(order) = orders.recv().await {
        match (order, parked.take()) {
            (Order::Park { round }, _) => {
                parked = Some(attacker.park(round).await);
                say(&Word::Parked)?;
            }
            (Order::Go, Some(parked)) => {
                let tell = |done| {
                    if progress {
                        // A parent that is gone is noticed elsewhere.
                        let _ = say(&Word::Progress(done));
                    }
                };
                let charge = parked.release(tell).await;
                say(&Word::Done)?;
                say(&Word::Share(Box::new(charge.share().await)))?;
            }
            (Order::End, _) => {
                let commands = attacker.end().await;
                // Stays until its orders end: the others may not have answered yet, and a worker that
                // is gone early counts as lost.
                say(&Word::Ended { commands })?;
            }
            (Order::Go | Order::Join { .. }, _) => {
                return Err(Failure::failed("an order that makes no sense"));
            }
        }
    }
    Ok(())
}

async fn join(plan: Plan, process: u32) -> Result<Attacker, Failure> {
    let backend = plan.target_of(process).open(plan.timeout).await?;
    Attacker::new(plan, process, backend).await
}

/// Orders as they come, and a receiver that ends with them. On a thread of its own, which ends with
/// the process: a read of stdin cannot be cancelled.
fn listen() -> (mpsc::UnboundedReceiver<Order>, oneshot::Receiver<()>) {
    let (given, orders) = mpsc::unbounded_channel();
    let (alive, gone) = oneshot::channel();
    std::thread::spawn(move || {
        let _alive = alive;
        for line in std::io::stdin().lock().lines() {
            let order = line.ok().and_then(|line| serde_json::from_str(&line).ok());
            let Some(order) = order else { break };
            if given.send(order).is_err() {
                break;
            }
        }
    });
    (orders, gone)
}

fn say(word: &Word) -> Result<(), Failure> {
    let line = line(word).map_err(|error| Failure::failed(format!("cannot report: {error}")))?;
    output::bytes(&line)
}
