//! The conformance suite: every sentence of the `Backend` trait, as cases against a real store.

mod bulk;
mod cancel;
mod case;
mod close;
mod damage;
mod ear;
mod errors;
mod events;
mod expiry;
mod fulfil;
mod gaps;
mod harness;
mod ids;
mod inspect;
mod invalidate;
mod lease;
mod listeners;
mod many;
mod put;
mod races;
mod release;
mod renew;
mod report;
mod timed;
mod tracking;
mod trial;
mod ttl;
mod value;

use std::any::Any;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use memolock_core::{Backend, Layout, Notifications};
use tokio::time::{Instant, timeout};

use case::{Case, Stop};
pub use harness::{Breakable, Damage, Harness, HarnessError, Line};
pub use report::{Entry, Outcome, Report};
use trial::{Trial, own_space};

/// Cases that run at once. More would only make them wait for each other.
const AT_ONCE: usize = 8;

/// How long a case waits for what must come, unless told otherwise: far longer than any store needs
/// on any machine, because it is reached only where something hangs.
const PATIENCE: Duration = Duration::from_secs(15);

/// A case as a whole may take this many times as long: it waits for several things.
const CASE_PATIENCE: u32 = 4;

/// Rooms whose cases run together.
const TOGETHER: [&[Case]; 22] = [
    value::CASES,
    lease::CASES,
    fulfil::CASES,
    release::CASES,
    renew::CASES,
    put::CASES,
    invalidate::CASES,
    inspect::CASES,
    expiry::CASES,
    ttl::CASES,
    events::CASES,
    listeners::CASES,
    ids::CASES,
    timed::CASES,
    tracking::CASES,
    errors::CASES,
    races::CASES,
    many::CASES,
    cancel::CASES,
    damage::CASES,
    close::CASES,
    gaps::CASES,
];

/// Cases that keep the store and the machine busy: one at a time, after all others.
const APART: [&[Case]; 1] = [bulk::CASES];

/// How clients are handed to the cases: wrappers of the trait must forward every method.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Wrapping {
    /// As they are.
    #[default]
    Bare,
    /// In an `Arc` that is itself a backend.
    InArc,
    /// In a `Box` that is itself a backend.
    Boxed,
}

impl Wrapping {
    fn wrap(self, client: Box<dyn Backend>) -> Arc<dyn Backend> {
        match self {
            Self::Bare => Arc::from(client),
            Self::InArc => Arc::new(Arc::<dyn Backend>::from(client)),
            Self::Boxed => Arc::new(client),
        }
    }
}

impl fmt::Display for Wrapping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bare => "bare",
            Self::InArc => "in an Arc",
            Self::Boxed => "boxed",
        })
    }
}

/// The suite over one harness.
///
/// It runs within a tokio runtime with its timer on, best one of several threads: there a case whose
/// backend blocks its thread is reported as well. The clock must not be paused, since stores have
/// clocks of their own.
///
/// ```
/// use memolock_core::{Backend, async_trait};
/// use memolock_memory::MemoryBackend;
/// use memolock_testkit::suite::{Harness, HarnessError, Suite};
///
/// struct Memory(MemoryBackend);
///
/// #[async_trait]
/// impl Harness for Memory {
///     async fn client(&self) -> Result<Box<dyn Backend>, HarnessError> {
///         Ok(Box::new(self.0.clone()))
///     }
///     // Closing one clone closes all.
///     async fn spare(&self) -> Result<Box<dyn Backend>, HarnessError> {
///         Ok(Box::new(MemoryBackend::new()))
///     }
/// }
///
/// # tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap().block_on(async {
/// let suite = Suite::new(Memory(MemoryBackend::new()));
/// # let suite = suite.only("value::");
/// suite.run().await.assert_ok();
/// # });
/// ```
#[must_use = "a suite does nothing until it is run"]
pub struct Suite {
    harness: Arc<dyn Harness>,
    wrapping: Wrapping,
    patience: Duration,
    layout: Option<Layout>,
    notifications: Notifications,
    only: Option<String>,
    without: Vec<String>,
}

impl Suite {
    /// Every case, with the defaults.
    pub fn new(harness: impl Harness) -> Self {
        Self {
            harness: Arc::new(harness),
            wrapping: Wrapping::default(),
            patience: PATIENCE,
            layout: None,
            notifications: Notifications::default(),
            only: None,
            without: Vec::new(),
        }
    }

    /// How clients are handed to the cases. Default: bare.
    pub fn wrapping(mut self, wrapping: Wrapping) -> Self {
        self.wrapping = wrapping;
        self
    }

    /// How long a case waits for one thing that must come; as a whole it may take four times as long.
    /// Default: 15 s, which only a store that hangs ever needs.
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// The layout of all names. Default: that in which the backend is atomic.
    pub fn layout(mut self, layout: Layout) -> Self {
        self.layout = Some(layout);
        self
    }

    /// How listeners are told. Default: classic.
    pub fn notifications(mut self, notifications: Notifications) -> Self {
        self.notifications = notifications;
        self
    }

    /// Runs only cases whose name begins with this, such as `lease::`. Default: all.
    pub fn only(mut self, part: impl Into<String>) -> Self {
        self.only = Some(part.into());
        self
    }

    /// Leaves out cases whose name begins with this, such as `bulk::`; they do not show in the report.
    pub fn without(mut self, part: impl Into<String>) -> Self {
        self.without.push(part.into());
        self
    }

    /// Runs the cases. It does not panic, whatever the backend does: that is in the report.
    pub async fn run(self) -> Report {
        let since = Instant::now();
        let clients = async {
            let store = self.harness.client().await?;
            let peer = self.harness.client().await?;
            Ok::<_, HarnessError>((self.wrapping.wrap(store), self.wrapping.wrap(peer)))
        };
        let (backend, entries) = match timeout(self.patience, clients).await {
            Ok(Ok((store, peer))) => {
                let name = store.capabilities().name.to_owned();
                (name, self.run_all(&store, &peer).await)
            }
            Ok(Err(error)) => no_client(&error.to_string()),
            Err(_) => no_client(&format!("there was none within {:?}", self.patience)),
        };
        Report {
            backend,
            wrapping: self.wrapping,
            entries,
            took: since.elapsed(),
        }
    }

    async fn run_all(&self, store: &Arc<dyn Backend>, peer: &Arc<dyn Backend>) -> Vec<Entry> {
        let mut entries = Vec::new();
        for (rooms, at_once) in [(&TOGETHER[..], AT_ONCE), (&APART[..], 1)] {
            let cases = rooms.iter().copied().flatten();
            let chosen = cases.filter(|case| self.chooses(&full_name(case)));
            let runs = chosen.map(|case| self.run_one(*case, store, peer));
            let mut done = stream::iter(runs).buffered(at_once);
            while let Some(entry) = done.next().await {
                entries.push(entry);
            }
        }
        entries
    }

    fn chooses(&self, name: &str) -> bool {
        self.only.as_ref().is_none_or(|part| name.starts_with(part))
            && !self.without.iter().any(|part| name.starts_with(part))
    }

    async fn run_one(
        &self,
        case: Case,
        store: &Arc<dyn Backend>,
        peer: &Arc<dyn Backend>,
    ) -> Entry {
        let since = Instant::now();
        let layout = self.layout.unwrap_or(store.capabilities().layout);
        let outcome = match own_space(layout, self.notifications, case.room) {
            Ok(space) => {
                let trial = Trial {
                    harness: Arc::clone(&self.harness),
                    wrapping: self.wrapping,
                    store: Arc::clone(store),
                    peer: Arc::clone(peer),
                    space,
                    patience: self.patience,
                };
                bounded(case, trial, self.patience * CASE_PATIENCE).await
            }
            Err(stop) => stop.into(),
        };
        Entry {
            name: full_name(&case),
            outcome,
            took: since.elapsed(),
        }
    }
}

/// Runs a case in a task of its own: its panic is caught there, and its hang is left behind.
async fn bounded(case: Case, trial: Trial, bound: Duration) -> Outcome {
    let mut task = tokio::spawn(async move { (case.run)(&trial).await });
    match timeout(bound, &mut task).await {
        Ok(Ok(Ok(()))) => Outcome::Passed,
        Ok(Ok(Err(stop))) => stop.into(),
        Ok(Err(error)) => match error.try_into_panic() {
            Ok(panic) => Stop::failed(format!("it panicked: {}", words(&*panic))).into(),
            Err(error) => Stop::failed(format!("its task ended: {error}")).into(),
        },
        Err(_) => {
            task.abort();
            Stop::failed(format!("it hung: no end after {bound:?}")).into()
        }
    }
}

/// What a panic said.
fn words(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("without words")
}

fn full_name(case: &Case) -> String {
    format!("{}::{}", case.room, case.name)
}

fn no_client(why: &str) -> (String, Vec<Entry>) {
    let entry = Entry {
        name: "harness::client".into(),
        outcome: Stop::failed(why).into(),
        took: Duration::ZERO,
    };
    ("unknown".into(), vec![entry])
}

impl From<Stop> for Outcome {
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::Failed(why) => Self::Failed(why),
            Stop::Skipped(why) => Self::Skipped(why),
        }
    }
}
