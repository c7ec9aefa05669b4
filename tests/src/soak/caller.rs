//! Callers of a worker: one random call after the other.

use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use memolock::{Error, Memo};
use tokio::time::{sleep, timeout};

use super::clock::{Micros, micros, now};
use super::compute::{Own, Work, ttl};
use super::stamp::{Maker, Stamp};
use super::wire::{Call, Does, End, How, Plant, What};
use super::worker::{COMMAND_TIMEOUT, Worker};

/// Keys that everybody asks for, the first of them most.
const HOT: u32 = 16;
/// Keys that hardly anybody asks for.
const TAIL: u32 = 5_000;
/// Where the keys begin that other programs make the values of, and how many they are.
const EXTERNAL: (u32, u32) = (10_000, 40);
/// Longer than anything may take: a call that has not ended by then never will.
const HUNG: Duration = Duration::from_secs(60);

impl Worker {
    /// Calls until it is told to rest.
    pub(super) async fn call_on(self: Arc<Self>, seed: u64) {
        let mut rng = Rng::with_seed(seed);
        let mut going = self.going.subscribe();
        while *going.borrow() {
            let does = does(&mut rng);
            let key = key(does, &mut rng);
            Arc::clone(&self).call(does, key, &mut rng).await;
            let pause = Duration::from_millis(rng.u64(..200) * rng.u64(..3));
            let _ = timeout(pause, going.changed()).await;
        }
    }

    /// One call, reported when it is over.
    async fn call(self: Arc<Self>, does: Does, key: u32, rng: &mut Rng) {
        let work = Work::random(rng);
        let limit = limit(does, rng);
        let leaves = match (does, rng.u32(..10)) {
            (Does::Compute | Does::External, 0) => Some(Duration::from_millis(rng.u64(..60))),
            (Does::Detached, 0..5) => Some(Duration::from_millis(rng.u64(..60))),
            _ => None,
        };
        let own = Arc::new(Own::default());
        let began = now();
        let call = Arc::clone(&self).perform(does, key, work, limit, Arc::clone(&own));
        let end = tokio::select! {
            biased;
            end = timeout(HUNG, call) => end.unwrap_or(End::Hung),
            () = sleep(leaves.unwrap_or(2 * HUNG)) => End::Left,
        };
        match self.me.plant {
            Some(Plant::LateCall) if rng.u32(..200) == 0 => {
                sleep(limit + Duration::from_secs(2)).await;
            }
            Some(Plant::Leak) if rng.u32(..200) == 0 => {
                tokio::spawn(std::future::pending::<()>());
            }
            _ => {}
        }
        self.tell(does, key, (began, micros(limit)), &own, end);
    }

    fn tell(&self, does: Does, key: u32, (began, limit): (Micros, Micros), own: &Own, end: End) {
        self.recorder.note(What::Called(Call {
            does,
            key,
            began,
            limit,
            own: own.spent(),
            made: own.made(),
            end,
        }));
    }

    async fn perform(
        self: Arc<Self>,
        does: Does,
        key: u32,
        work: Work,
        limit: Duration,
        own: Arc<Own>,
    ) -> End {
        let (memos, id) = (self.memos(key), id(key));
        let entry = memos.entry(&id).wait_timeout(limit);
        match does {
            Does::Compute => {
                let compute = |lease| Arc::clone(&self).compute(key, work, own, lease);
                of_call(entry.or_compute_with(compute).await)
            }
            Does::Detached => {
                let worker = Arc::clone(&self);
                let compute = move |lease| worker.compute(key, work, own, lease);
                of_call(entry.detach().or_compute_with(compute).await)
            }
            Does::External => {
                let trigger = || async {
                    self.recorder.note(What::Triggered { key });
                    Ok::<_, String>(())
                };
                of_call(entry.or_external(trigger).await)
            }
            Does::Get => match memos.get(&id).await {
                Ok(Some(value)) => of_value(&value),
                Ok(None) => End::Nothing,
                Err(error) => End::Error(kind(&error)),
            },
            Does::Put => self.write(key, How::Put, work, &own).await,
            Does::Resolve => self.write(key, How::Resolve, work, &own).await,
            Does::Invalidate => self.write(key, How::Invalidate, work, &own).await,
        }
    }

    /// A write, told of before it can have an effect. The telling is not memolock's time.
    async fn write(&self, key: u32, how: How, work: Work, own: &Own) -> End {
        let telling = now();
        let (number, nonce) = (self.number(), self.nonce());
        let (memos, id) = (self.memos(key), id(key));
        self.recorder
            .deliver(What::Writing {
                number,
                key,
                how,
                nonce,
            })
            .await;
        own.add(telling, now());
        let process = self.me.process;
        let maker = Maker { process, number };
        let value = || Stamp { key, maker, nonce }.sealed(work.size);
        let entry = memos.entry(&id).ttl(work.ttl.unwrap_or_default());
        let written = match how {
            How::Put => entry.put(&value()).await,
            How::Resolve => entry.resolve(&value()).await,
            How::Invalidate => memos.invalidate(&id).await,
        };
        let done = written.is_ok();
        self.recorder.note(What::Wrote { number, done });
        written.map_or_else(|error| End::Error(kind(&error)), |()| End::Nothing)
    }

    /// What another program does: it stores the value that was asked for.
    pub(super) async fn resolve(self: Arc<Self>, key: u32, after: Duration) {
        sleep(after).await;
        let mut rng = Rng::with_seed(self.nonce());
        let mut work = Work::random(&mut rng);
        work.ttl = Some(ttl(&mut rng));
        let (began, own) = (now(), Own::default());
        let limit = limit(Does::Resolve, &mut rng);
        let call = self.write(key, How::Resolve, work, &own);
        let end = timeout(HUNG, call).await.unwrap_or(End::Hung);
        self.tell(Does::Resolve, key, (began, micros(limit)), &own, end);
    }

    /// Asks for a value that is too large for a listener's output buffer.
    pub(super) async fn ask_for_much(self: Arc<Self>, key: u32, size: usize) {
        let mut rng = Rng::with_seed(self.nonce());
        let mut work = Work::random(&mut rng);
        work.lasts = Duration::from_millis(300);
        work.ends = super::compute::Ends::Well;
        (work.size, work.ttl) = (size, Some(Duration::from_secs(2)));
        let (began, own) = (now(), Arc::new(Own::default()));
        let limit = Duration::from_secs(8);
        let does = Does::Compute;
        let call = Arc::clone(&self).perform(does, key, work, limit, Arc::clone(&own));
        let end = timeout(HUNG, call).await.unwrap_or(End::Hung);
        self.tell(does, key, (began, micros(limit)), &own, end);
    }
}

fn does(rng: &mut Rng) -> Does {
    match rng.u32(..100) {
        0..68 => Does::Compute,
        68..74 => Does::Detached,
        74..78 => Does::External,
        78..92 => Does::Get,
        92..96 => Does::Put,
        _ => Does::Invalidate,
    }
}

/// Hot ones mostly, the lower the hotter.
fn key(does: Does, rng: &mut Rng) -> u32 {
    let external = does == Does::External || rng.u32(..50) == 0;
    if external {
        return EXTERNAL.0 + rng.u32(..EXTERNAL.1);
    }
    if rng.u32(..10) < 7 {
        return rng.u32(..HOT) * rng.u32(..HOT) / HOT;
    }
    HOT + rng.u32(..TAIL)
}

/// How long it may wait. Writes have no time-out of their own: each is a command, sent twice where the server
/// has forgotten the script.
fn limit(does: Does, rng: &mut Rng) -> Duration {
    match does {
        Does::Put | Does::Resolve | Does::Invalidate => 2 * COMMAND_TIMEOUT,
        Does::Get => super::worker::WAIT_TIMEOUT,
        _ => Duration::from_millis(
            *rng.choice(&[300, 1_000, 3_000, 8_000])
                .expect("four of them"),
        ),
    }
}

pub(super) fn id(key: u32) -> String {
    format!("k{key}")
}

fn of_call(result: Result<Memo<String>, Error>) -> End {
    match result {
        Ok(value) => of_value(&value),
        Err(error) => End::Error(kind(&error)),
    }
}

fn of_value(value: &str) -> End {
    match Stamp::read(value) {
        Some(stamp) => End::Value(stamp),
        None => End::Garbage(value.chars().take(100).collect()),
    }
}

/// Few words for an error, the same for many.
fn kind(error: &Error) -> String {
    match error {
        Error::Compute(_) => "compute failed".to_owned(),
        Error::Panicked { .. } => "compute panicked".to_owned(),
        Error::Remote { .. } => "remote failure".to_owned(),
        Error::Backend(error) => format!("store: {}: {:?}", error.operation(), error.kind()),
        Error::Codec { .. } => "codec".to_owned(),
        Error::Timeout { phase, .. } => format!("timeout while {phase}"),
        Error::LeaseLost { .. } => "lease lost".to_owned(),
        Error::Closed => "closed".to_owned(),
        _ => "another".to_owned(),
    }
}
