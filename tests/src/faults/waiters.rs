//! Waiters for the holder's value, each over connections of its own, and the listener for a foreign program's.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use memolock::{Error, Memo, Source};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use super::callers::value;
use super::fault::{Fault, Maker};
use super::run::settings;
use super::stage::{HELD, Stage, TAG};
use crate::{HANG, Ours};

/// The id whose lock a foreign program holds from before the fault.
pub(super) const FOREIGN: &str = "foreign";

/// The ids whose locks a foreign program holds after the fault begin so.
const LATER: &str = "later";

/// What a waiter got, and when.
type Got = (Result<Memo<String>, Error>, Instant);

/// Those who wait.
pub(super) struct Waiters {
    /// Their clients.
    pub(super) ours: Vec<Arc<Ours>>,
    waiting: Vec<JoinHandle<Got>>,
    listening: JoinHandle<Got>,
}

impl Waiters {
    /// They all listen when this returns.
    pub(super) async fn start(fault: &Fault, stage: &Stage) -> Self {
        let (mut ours, mut waiting) = (Vec::new(), Vec::new());
        for _ in 0..fault.waiters {
            let connected = stage.connect(fault).await;
            let one = Arc::new(Ours::over(connected, TAG, settings(fault)).await);
            waiting.push(ask(&one, HELD));
            ours.push(one);
        }
        let foreign = stage.beside(FOREIGN);
        stage.hold_foreign(&foreign).await;
        let listening = ask(&ours[0], &foreign);
        stage.listening(HELD, fault.waiters).await;
        stage.listening(&foreign, 1).await;
        Self {
            ours,
            waiting,
            listening,
        }
    }

    /// Whose value each of them got, and when the last one had it.
    ///
    /// # Panics
    /// If one hangs, fails, or got what nobody made.
    pub(super) async fn got(&mut self, held: &str) -> (Vec<Maker>, Instant) {
        let (mut makers, mut last) = (Vec::new(), None);
        for waiting in self.waiting.drain(..) {
            let (got, at) = end("a waiter", waiting).await;
            let got = got.unwrap_or_else(|e| panic!("a waiter: {e}"));
            makers.push(match got.source() {
                Source::Computed if *got == value(HELD, "waiter") => Maker::Waiter,
                // Another waiter may have been first to take over.
                Source::Awaited if *got == value(HELD, "waiter") => Maker::Waiter,
                Source::Awaited if *got == held => Maker::Holder,
                source => panic!("a waiter: a wrong value, {source:?}: {got:.100}"),
            });
            last = last.max(Some(at));
        }
        (makers, last.expect("there is a waiter"))
    }

    /// Says a foreign value to whoever listens since before the fault, on the channel alone. Whether it was heard:
    /// or the listener had computed the value itself, since the store had lost the foreign lock.
    ///
    /// # Panics
    /// If the listener hangs, fails, or got what nobody made.
    pub(super) async fn wake_listener(&mut self, stage: &Stage) -> bool {
        let foreign = stage.beside(FOREIGN);
        let (listening, said) = (&mut self.listening, value(&foreign, "publish"));
        crate::eventually("the listener's subscription", || async {
            listening.is_finished() || stage.listeners(&foreign).await > 0
        })
        .await;
        tell(stage, &foreign, &said, listening).await;
        let (got, _) = end("the listener", listening).await;
        let got = got.unwrap_or_else(|e| panic!("the listener: {e}"));
        match got.source() {
            Source::Awaited if *got == said => true,
            Source::Computed if *got == value(&foreign, "waiter") => false,
            source => panic!("the listener: a wrong value, {source:?}: {got:.100}"),
        }
    }

    /// Everybody waits once more, for a lock that outlives the test: only a message can wake them. Who is not
    /// connected again may compute instead, and is asked again.
    ///
    /// # Panics
    /// If one is never woken by the message.
    pub(super) async fn wake_later(&self, stage: &Stage) {
        for (nth, one) in self.ours.iter().enumerate() {
            let tries = AtomicUsize::new(0);
            crate::eventually("a waiter woken by push", || async {
                let id = format!("{LATER}-{nth}-{}", tries.fetch_add(1, SeqCst));
                let id = stage.beside(&id);
                stage.hold_foreign(&id).await;
                let woken = woken(stage, one, &id).await;
                stage.let_go(&id).await;
                woken
            })
            .await;
        }
    }
}

/// Whether it listens, and has what is said then.
async fn woken(stage: &Stage, one: &Ours, id: &str) -> bool {
    let asked = ask(one, id);
    crate::eventually("a listener, or an end", || async {
        asked.is_finished() || stage.listeners(id).await == 1
    })
    .await;
    let said = value(id, "publish");
    tell(stage, id, &said, &asked).await;
    let (got, _) = end("a later waiter", asked).await;
    let got = got.unwrap_or_else(|e| panic!("a later waiter: {e}"));
    match got.source() {
        Source::Awaited if *got == said => true,
        Source::Computed if *got == value(id, "waiter") => false,
        source => panic!("a later waiter: a wrong value, {source:?}: {:.100}", *got),
    }
}

/// Says a value to a listener until its call has ended.
///
/// Once is not enough: the server counts a listener from its first channel on, and the listener hears nothing before
/// its last one is confirmed. A real holder stores before it publishes, so that the look that follows the
/// confirmation finds the value. Here nothing is stored, because a message alone is to wake it.
async fn tell<T>(stage: &Stage, id: &str, said: &str, listening: &JoinHandle<T>) {
    let until = Instant::now() + 2 * HANG;
    while !listening.is_finished() && Instant::now() < until {
        stage.publish(id, said).await;
        sleep(Duration::from_millis(20)).await;
    }
}

/// Asks for `id`, and computes it at once if it comes to that.
fn ask(ours: &Ours, id: &str) -> JoinHandle<Got> {
    let (call, id) = (ours.get(id, &value(id, "waiter")), id.to_owned());
    tokio::spawn(async move {
        let got = call.await.unwrap_or_else(|e| panic!("{id}: {e}"));
        (got, Instant::now())
    })
}

async fn end(who: &str, call: impl Future<Output = Result<Got, tokio::task::JoinError>>) -> Got {
    // Who takes large values back over a busy machine needs longer than one hang.
    let ended = timeout(3 * HANG, call).await;
    let ended = ended.unwrap_or_else(|_| panic!("{who} hangs"));
    ended.unwrap_or_else(|e| panic!("{who}: {e}"))
}
