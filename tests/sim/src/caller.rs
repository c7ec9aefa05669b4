//! The callers of a process: what they ask of the real memolock, and the computes they bring.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

use memolock::core::{Backend, FailurePolicy, Key, Keyspace, Layout, OutagePolicy, PutMode, Tag};
use memolock::{Computed, Error, Lease, Memo, Memolock, NearCache, Source, UndecodablePolicy};
use tokio::time::sleep;

use crate::backend::SimBackend;
use crate::codec::{SimText, marked};
use crate::history::{CallId, ComputeId, End, ProcessId, What};
use crate::nesting::{OUTER, needs_place};
use crate::plan::{Call, Does, Ends, Leaves, Plan};
use crate::store::Millis;
use crate::world::World;

/// What a call does that is one of many.
pub(crate) const MANY: &str = "makes with others, if it must,";

/// What a detached call does.
pub(crate) const APART: &str = "computes apart if it must";

/// The tag of everything in a simulation.
const TAG: &str = "sim";

/// The memolock of a process.
pub type Memos = Memolock<String, SimText>;

/// What callers of one process share.
#[derive(Debug, Clone)]
pub struct Process {
    /// The real thing.
    pub memos: Memos,
    pub(crate) id: ProcessId,
    /// Of the type of its values, where the fleet has several.
    pub(crate) version: Option<u32>,
    pub(crate) world: Arc<World>,
    pub(crate) lore: Arc<Lore>,
}

/// What all processes share: numbers for computes, and somebody who stores for other programs.
#[derive(Debug)]
pub struct Lore {
    computes: AtomicUsize,
    program: SimBackend,
}

impl Lore {
    /// Before the first compute.
    #[must_use]
    pub fn new(program: SimBackend) -> Arc<Self> {
        let computes = AtomicUsize::new(0);
        Arc::new(Self { computes, program })
    }

    /// The next number.
    pub(crate) fn number(&self) -> ComputeId {
        self.computes.fetch_add(1, Ordering::Relaxed)
    }
}

impl Process {
    /// Does what a call of the plan says, and tells the history.
    pub async fn run(self, id: CallId, call: Call) {
        sleep(Duration::from_millis(call.at)).await;
        self.world.running(self.id).await;
        let does = name(&call.does);
        let (process, key) = (self.id, call.key);
        self.world.note(What::CallBegan {
            call: id,
            process,
            key,
            does,
        });
        let call_id = id;
        let work = self.call(id, &call);
        let end = match call.leaves {
            None => Some(work.await),
            Some(Leaves::After(time)) => tokio::select! {
                biased;
                end = work => Some(end),
                () = sleep(Duration::from_millis(time)) => None,
            },
            Some(Leaves::AfterPolls(polls)) => leave_after(polls, work).await,
        };
        self.world.note(match end {
            Some(end) => What::CallEnded { call: call_id, end },
            None => What::CallLeft { call: call_id },
        });
    }

    async fn call(&self, call: CallId, plan: &Call) -> End {
        let id = id(plan.key);
        let entry = self.memos.entry(&id);
        match plan.does {
            Does::Compute { lasts, ends } => {
                let work = |lease| self.clone().compute(call, plan.key, lasts, ends, lease);
                self.end(call, entry.or_compute_with(work).await)
            }
            Does::Detached { lasts, ends } => {
                let (process, key) = (self.clone(), plan.key);
                let work = move |lease| process.compute(call, key, lasts, ends, lease);
                self.end(call, entry.detach().or_compute_with(work).await)
            }
            Does::External { lasts, comes } => {
                let trigger = || self.trigger(call, plan.key, lasts, comes);
                self.end(call, entry.or_external(trigger).await)
            }
            Does::Get => match self.look(call, &id).await {
                Ok(Some(value)) => End::Value(value.as_str().to_owned()),
                Ok(None) => End::Nothing,
                Err(error) => refused(&error),
            },
            Does::Nested { lasts, apart } => {
                let nested = (lasts, apart);
                let work = |lease| self.clone().nesting(call, plan.key, nested, lease);
                self.end(call, entry.or_compute_with(work).await)
            }
            // Callers of many have a road of their own.
            Does::Many { .. } | Does::Along { .. } => End::Nothing,
            Does::Put => {
                let number = self.lore.number();
                done(
                    self.memos
                        .put(&id, &self.value(plan.key, 'p', number))
                        .await,
                )
            }
            Does::Invalidate => done(self.memos.invalidate(&id).await),
            Does::Close => {
                self.world.note(What::Closed { process: self.id });
                self.memos.close().await;
                End::Closed
            }
        }
    }

    /// A value of this process's version.
    pub(crate) fn value(&self, key: usize, maker: char, number: ComputeId) -> String {
        marked(value(key, maker, number), self.version)
    }

    /// A look does not say where its value is from; a near cache answers at the first poll.
    async fn look(&self, call: CallId, id: &str) -> Result<Option<Arc<String>>, Error> {
        let mut look = pin!(self.memos.get(id));
        let mut first = true;
        std::future::poll_fn(|context| {
            let hits = self.memos.stats().near.hits;
            let polled = look.as_mut().poll(context);
            if std::mem::take(&mut first) && self.memos.stats().near.hits > hits {
                self.world.note(What::Near { call });
            }
            polled
        })
        .await
    }

    pub(crate) fn end(&self, call: CallId, called: Result<Memo<String>, Error>) -> End {
        if called
            .as_ref()
            .is_ok_and(|memo| memo.source() == Source::Near)
        {
            self.world.note(What::Near { call });
        }
        end(called)
    }

    pub(crate) async fn compute(
        self,
        call: CallId,
        key: usize,
        lasts: Millis,
        ends: Ends,
        lease: Lease,
    ) -> Result<Computed<String>, String> {
        self.world.running(self.id).await;
        let compute = self.lore.number();
        let (process, leased) = (self.id, lease.is_held());
        self.world.note(What::ComputeBegan {
            compute,
            call,
            process,
            key,
            leased,
            placed: needs_place(&lease),
        });
        let mut under_way = UnderWay {
            process: &self,
            compute,
            ended: false,
        };
        sleep(Duration::from_millis(lasts)).await;
        self.world.running(self.id).await;
        under_way.ended = true;
        let well = matches!(ends, Ends::Well | Ends::NotKept);
        self.world.note(What::ComputeEnded { compute, well });
        let made = self.value(key, 'v', compute);
        match ends {
            Ends::Well => Ok(Computed::new(made)),
            Ends::NotKept => Ok(Computed::new(made).no_store()),
            Ends::Fails => Err(made),
            Ends::Panics => panic!("simulated"),
        }
    }

    /// Starts a program that stores and publishes after a while, or never does.
    async fn trigger(
        &self,
        call: CallId,
        key: usize,
        lasts: Millis,
        comes: bool,
    ) -> Result<(), String> {
        let process = self.id;
        self.world.note(What::Triggered { call, process, key });
        if comes {
            let lore = Arc::clone(&self.lore);
            tokio::spawn(async move {
                sleep(Duration::from_millis(lasts)).await;
                let made = value(key, 'x', lore.number());
                let (key, ttl) = (self::key(key), Duration::from_secs(600));
                // It tries once, as programs do.
                let _ = lore
                    .program
                    .put(&key, made.into(), ttl, PutMode::Resolve)
                    .await;
            });
        }
        Ok(())
    }
}

/// Notes when a compute is dropped before its end.
pub(crate) struct UnderWay<'a> {
    pub(crate) process: &'a Process,
    pub(crate) compute: ComputeId,
    pub(crate) ended: bool,
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        if !self.ended {
            let compute = self.compute;
            self.process.world.note(What::ComputeLeft { compute });
        }
    }
}

/// A memolock for a process of the plan.
///
/// # Errors
/// If the plan's settings cannot be used.
pub async fn process(
    plan: &Plan,
    world: &Arc<World>,
    lore: &Arc<Lore>,
    id: ProcessId,
    backend: SimBackend,
) -> Result<Process, Error> {
    let mut random = fastrand::Rng::with_seed(plan.seed ^ (id as u64 + 1));
    let version = plan.version(id);
    let backend = match plan.repeats.get(id) {
        Some(Some(after)) => backend.repeating(Duration::from_millis(*after)),
        _ => backend,
    };
    let memos = Memolock::builder(TAG, backend)
        .codec(SimText(version))
        .ttl(Duration::from_millis(plan.ttl))
        .wait_timeout(Duration::from_millis(plan.wait))
        .lease(Duration::from_millis(plan.lease))
        .max_lease(Duration::from_millis(plan.max_lease))
        .trigger_timeout(Duration::from_millis(plan.trigger_timeout))
        .on_remote_failure(match plan.shares {
            true => FailurePolicy::Share,
            false => FailurePolicy::Retry,
        })
        .on_outage(match plan.insists {
            true => OutagePolicy::Fail,
            false => OutagePolicy::Compute,
        })
        .on_undecodable(match plan.refuses {
            true => UndecodablePolicy::Fail,
            false => UndecodablePolicy::Recompute,
        })
        .local_computes(plan.local)
        .large_bytes(plan.large)
        .entropy(Seeded(random.fork()));
    let memos = match plan.compute_timeout {
        Some(limit) => memos.compute_timeout(Duration::from_millis(limit)),
        None => memos,
    };
    let memos = match plan.fixed {
        true => memos.fixed_lease(),
        false => memos,
    };
    let memos = match plan.near.get(id) {
        Some(true) => memos.near_cache(NearCache::entries(100)),
        _ => memos,
    };
    let memos = memos.build().await?;
    Ok(Process {
        memos,
        id,
        version,
        world: Arc::clone(world),
        lore: Arc::clone(lore),
    })
}

struct Seeded(fastrand::Rng);

impl memolock::core::Entropy for Seeded {
    fn bits(&mut self) -> u128 {
        self.0.u128(..)
    }
}

/// How the n-th key is called.
pub(crate) fn id(key: usize) -> String {
    format!("k{key}")
}

pub(crate) fn key(key: usize) -> Key {
    let tag = Tag::new(TAG).expect("a legal tag");
    // Both are short and plain.
    let space = Keyspace::new(tag, Layout::Classic).expect("a legal space");
    space.key(&id(key)).expect("a legal id")
}

/// A value says whose it is and who made it.
pub(crate) fn value(key: usize, maker: char, number: ComputeId) -> String {
    format!("k{key}{maker}{number}")
}

pub(crate) fn end(called: Result<Memo<String>, Error>) -> End {
    match called {
        Ok(memo) => End::Value(memo.into_arc().as_str().to_owned()),
        Err(Error::Compute(error)) => End::Failed(error.to_string()),
        Err(error) => refused(&error),
    }
}

fn done(called: Result<(), Error>) -> End {
    called.map_or_else(|error| refused(&error), |()| End::Nothing)
}

fn refused(error: &Error) -> End {
    match error {
        Error::Panicked { .. } => End::Panicked,
        Error::Timeout { .. } => End::TimedOut,
        Error::Closed => End::Closed,
        Error::Remote { .. } => End::Remote,
        Error::Codec { .. } => End::Undecodable,
        Error::Compute(_) | Error::ComputeTimeout { .. } | Error::Missing { .. } => {
            End::Failed(error.to_string())
        }
        other => End::Store(other.to_string()),
    }
}

fn name(does: &Does) -> &'static str {
    match does {
        Does::Compute { .. } => "computes if it must",
        Does::Detached { .. } => APART,
        Does::External { .. } => "has another program make",
        Does::Many { .. } | Does::Along { .. } => MANY,
        Does::Nested { .. } => OUTER,
        Does::Get => "looks at",
        Does::Put => "puts",
        Does::Invalidate => "invalidates",
        Does::Close => "closes, for",
    }
}

/// Polls so often at most, and drops it then.
pub(crate) async fn leave_after<T>(polls: u32, work: impl Future<Output = T>) -> Option<T> {
    let mut work = pin!(work);
    let mut left = polls;
    std::future::poll_fn(move |context| match work.as_mut().poll(context) {
        Poll::Ready(done) => Poll::Ready(Some(done)),
        Poll::Pending => {
            left -= 1;
            match left {
                0 => Poll::Ready(None),
                _ => Poll::Pending,
            }
        }
    })
    .await
}
