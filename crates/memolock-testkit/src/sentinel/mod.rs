//! Sentinels for tests: a master, its replicas, and those that watch them.

mod front;
mod options;
mod start;
mod switch;
mod view;

use futures_util::future::join_all;
use tokio::time::timeout;

pub use front::SentinelFront;
pub use options::SentinelOptions;
pub use switch::{Switch, Switches};
use view::{PATIENCE, Survey};

use crate::server::Ground;
use crate::wait::Wait;
use crate::{Provider, ServerError, TestServer, Value};

/// How often a sentinel asks and tells, in milliseconds, which else is each 10 s and each 2 s: it takes four
/// of its own messages before it corrects a server. And how late it may be woken, which else is 2 s:
/// on a busy machine it would take itself for mad, and do nothing for half a minute.
const QUICK: [&str; 8] = [
    "SENTINEL",
    "DEBUG",
    "INFO-PERIOD",
    "1000",
    "PUBLISH-PERIOD",
    "500",
    "TILT-TRIGGER",
    "20000",
];

/// What is waited for, in errors.
const WHAT: &str = "sentinel";

/// A master with a replica and three sentinels for a test, or what [`SentinelOptions`] say. Dropping it
/// ends it, with all servers and networks.
///
/// Servers and sentinels are [`TestServer`]s, with their verbs: `sentinel.servers()[0].kill()`. The first
/// server is the one that began as master. A server that is [restarted](TestServer::restart) is empty,
/// and what it was at the start; sentinels make a replica of it a few seconds later, if that is its place
/// now. A sentinel that is restarted has forgotten nothing but to hurry, of which
/// [`wait_stable`](Self::wait_stable) reminds it.
///
/// ```no_run
/// # async fn example() -> Result<(), memolock_testkit::ServerError> {
/// use memolock_testkit::TestSentinel;
///
/// let sentinel = TestSentinel::start_local().await?;
/// println!("{}", sentinel.url()); // redis-sentinel://127.0.0.1:…,127.0.0.1:…,127.0.0.1:…/memolock
/// let mut switches = sentinel.switches().await?;
/// let master = sentinel.master().await?;
/// sentinel.servers()[master].kill().await?;
/// let switch = switches.next().await?;
/// assert_eq!(switch.from, master);
/// sentinel.servers()[master].restart().await?;
/// sentinel.wait_stable().await?; // it is a replica now
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct TestSentinel {
    /// Before the ground, which goes last; and sentinels first, who would see servers go.
    sentinels: Vec<TestServer>,
    servers: Vec<TestServer>,
    ground: Ground,
    name: String,
    url: String,
}

impl TestSentinel {
    /// Its URL: `redis-sentinel://127.0.0.1:1,127.0.0.1:2,127.0.0.1:3/memolock`, all sentinels and the
    /// master's name.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The URL of one of the master's databases: `redis-sentinel://…/memolock/3`.
    #[must_use]
    pub fn url_of_database(&self, database: u32) -> String {
        format!("{}/{database}", self.url)
    }

    /// The master's name, as sentinels know it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The servers that are watched. The first began as master, all others as its replicas.
    #[must_use]
    pub fn servers(&self) -> &[TestServer] {
        &self.servers
    }

    /// Those that watch.
    #[must_use]
    pub fn sentinels(&self) -> &[TestServer] {
        &self.sentinels
    }

    /// Where its servers came from, for reports.
    #[must_use]
    pub fn provider(&self) -> &Provider {
        // There is always a first server.
        self.servers[0].provider()
    }

    /// [`unique_tag`](crate::unique_tag), where sentinels are at hand.
    #[must_use]
    pub fn unique_tag(&self, prefix: &str) -> String {
        crate::unique_tag(prefix)
    }

    /// The index in [`servers`](Self::servers) of the present master, asked of the sentinels: the newest
    /// word of those that answer. A master that hangs is the master until another is made.
    ///
    /// # Errors
    /// [`ServerError::Unsettled`] if no sentinel answers.
    pub async fn master(&self) -> Result<usize, ServerError> {
        let wait = Wait::new(WHAT);
        loop {
            if let Some(master) = self.survey().await.master() {
                return Ok(master);
            }
            wait.again("no sentinel knows the master").await?;
        }
    }

    /// Sends one command to the present master, on a connection of its own, and returns the reply.
    ///
    /// # Errors
    /// As [`master`](Self::master) and [`TestServer::command`].
    pub async fn command<A: AsRef<[u8]>>(&self, args: &[A]) -> Result<Value, ServerError> {
        self.servers[self.master().await?].command(args).await
    }

    /// A sentinel makes a replica the master, though the master lives. Returns the index of the new master
    /// once it is one and all sentinels name it; the old one is made its replica a few seconds later, which
    /// [`wait_stable`](Self::wait_stable) waits for.
    ///
    /// # Errors
    /// [`ServerError::Unsettled`] if no replica is fit, or it does not take over in time.
    pub async fn failover(&self) -> Result<usize, ServerError> {
        let wait = Wait::new(WHAT);
        let old = self.master().await?;
        let asked = self.answering().await?;
        loop {
            let survey = self.survey().await;
            match survey.agreed() {
                Some(new) if new != old && survey.is_master(new) => return Ok(new),
                _ => {}
            }
            // Not asked yet, or given up: another may put the replica back that was just promoted.
            if survey.is_content(asked, old) {
                let command = ["SENTINEL", "FAILOVER", &self.name];
                match self.sentinels[asked].command(&command).await {
                    // If refused, no replica is known to be fit yet.
                    Ok(_) | Err(ServerError::Refused { .. }) => {}
                    Err(error) => return Err(error),
                }
            }
            wait.again("no replica takes over").await?;
        }
    }

    /// The changes of the master from now on, as a sentinel announces them (`+switch-master`).
    ///
    /// # Errors
    /// [`ServerError`] if no sentinel answers.
    pub async fn switches(&self) -> Result<Switches, ServerError> {
        let places = self.servers.iter().map(|server| server.address().place());
        let sentinel = &self.sentinels[self.answering().await?];
        Switches::open(sentinel, &self.name, places.collect()).await
    }

    /// Returns once all is in order: the sentinels that answer know each other and agree on a living
    /// master, and all other servers follow it and are in step, but for those that do not answer, and that
    /// the sentinels know to have failed. So, after the kill of a master, this waits until a replica has
    /// taken over.
    ///
    /// # Errors
    /// [`ServerError::Unsettled`] with what is amiss, after a minute.
    pub async fn wait_stable(&self) -> Result<(), ServerError> {
        self.hurry().await;
        let wait = Wait::new(WHAT);
        loop {
            let Some(trouble) = self.survey().await.trouble() else {
                return Ok(());
            };
            wait.again(&trouble).await?;
        }
    }

    /// The first sentinel that answers.
    async fn answering(&self) -> Result<usize, ServerError> {
        let wait = Wait::new(WHAT);
        loop {
            if let Some(index) = self.survey().await.answering() {
                return Ok(index);
            }
            wait.again("no sentinel answers").await?;
        }
    }

    /// Tells all sentinels that answer to ask each other often, which none of them writes down.
    async fn hurry(&self) {
        let told = self.sentinels.iter().map(|sentinel| {
            // Before Redis 7 it is refused, and all takes longer.
            timeout(PATIENCE, sentinel.command(&QUICK))
        });
        join_all(told).await;
    }

    async fn survey(&self) -> Survey<'_> {
        Survey::of(&self.sentinels, &self.servers, &self.name).await
    }
}
