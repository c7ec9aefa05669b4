//! Every pair in every scenario on one ground, and the table of how they ended.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use memolock_testkit::unique_tag;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::{Meeting, SCENARIOS};
use crate::{Adapter, Ground};

/// Meetings at a time: each is two processes, and most of them wait.
const AT_ONCE: usize = 8;

/// How every meeting on one ground ended.
pub struct Table {
    /// What it is.
    ground: String,
    /// Who could come.
    adapters: &'static [Adapter],
    /// By pair and scenario: why it failed, if it did.
    ends: BTreeMap<(String, usize), Option<String>>,
}

impl Table {
    /// Has every ordered pair of adapters meet in every scenario.
    pub async fn play(ground: impl Into<Ground>, program: &Path) -> Self {
        let ground: Arc<Ground> = Arc::new(ground.into());
        let (adapters, seats) = (ground.adapters(), Arc::new(Semaphore::new(AT_ONCE)));
        let (mut playing, mut names) = (JoinSet::new(), BTreeMap::new());
        for (nth, scenario) in SCENARIOS.iter().enumerate() {
            for (holder, waiter) in pairs(adapters) {
                let meeting = Meeting {
                    holder,
                    waiter,
                    tag: unique_tag("interop"),
                    ground: Arc::clone(&ground),
                    program: program.to_owned(),
                };
                let (seats, play) = (Arc::clone(&seats), scenario.play);
                let task = playing.spawn(async move {
                    let _seat = seats.acquire_owned().await;
                    play(meeting).await;
                });
                names.insert(task.id().to_string(), (pair(holder, waiter), nth));
            }
        }
        let mut ends = BTreeMap::new();
        while let Some(ended) = playing.join_next_with_id().await {
            let (id, why) = match ended {
                Ok((id, ())) => (id, None),
                Err(error) => (error.id(), Some(reason(error))),
            };
            let name = names.remove(&id.to_string()).expect("each was named");
            ends.insert(name, why);
        }
        Self {
            ground: ground.name().await,
            adapters,
            ends,
        }
    }

    /// Fails, with the table, if a meeting did.
    ///
    /// # Panics
    /// If a meeting failed, or did not take place.
    pub fn assert_ok(&self) {
        assert_eq!(
            self.ends.len(),
            pairs(self.adapters).count() * SCENARIOS.len()
        );
        assert!(self.ends.values().all(Option::is_none), "{self}");
    }

    /// The failures: whose, in which scenario, and why.
    pub fn failures(&self) -> impl Iterator<Item = (&str, &'static str, &str)> {
        self.ends.iter().filter_map(|((pair, nth), why)| {
            Some((pair.as_str(), SCENARIOS[*nth].name, why.as_deref()?))
        })
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\n{}", self.ground)?;
        write!(f, "  {:34}", "holder -> waiter")?;
        for scenario in SCENARIOS {
            write!(f, " {:>12}", scenario.name)?;
        }
        for (holder, waiter) in pairs(self.adapters) {
            let pair = pair(holder, waiter);
            write!(f, "\n  {pair:34}")?;
            for nth in 0..SCENARIOS.len() {
                let end = match self.ends.get(&(pair.clone(), nth)) {
                    Some(None) => "ok",
                    Some(Some(_)) => "FAILED",
                    None => "-",
                };
                write!(f, " {end:>12}")?;
            }
        }
        writeln!(f)?;
        for (pair, scenario, why) in self.failures() {
            writeln!(f, "  {pair}, {scenario}: {why}")?;
        }
        Ok(())
    }
}

fn pairs(adapters: &'static [Adapter]) -> impl Iterator<Item = (Adapter, Adapter)> {
    let each = |holder: &'static Adapter| adapters.iter().map(move |waiter| (*holder, *waiter));
    adapters.iter().flat_map(each)
}

fn pair(holder: Adapter, waiter: Adapter) -> String {
    format!("{holder} -> {waiter}")
}

fn reason(error: tokio::task::JoinError) -> String {
    let panic = match error.try_into_panic() {
        Ok(panic) => panic,
        Err(error) => return error.to_string(),
    };
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("no message").replace('\n', " ")
}
