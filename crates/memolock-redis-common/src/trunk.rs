//! The command connection: found, waited for, checked, and known by its number when it fails.

use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::time::Duration;

use memolock_core::ErrorKind;
use memolock_core::redis::{Address, Fault};
use tokio::time::Instant;

use crate::client::{Client, Ends, Purpose};
use crate::counters::Counters;
use crate::dial::Line;
use crate::link::{Doubt, Link, Tenant, heartbeat};
use crate::paused::late;
use crate::site::Site;
use crate::transfers::{Patience, Sizes};

/// How long a command that met a dead connection waits for the link's task to notice. It takes
/// microseconds; the bound is for a process that is short of processor time.
const NOTICING: Duration = Duration::from_millis(100);

/// The end of a connection that sends.
pub type SenderOf<C> = <<C as Client>::Ends as Ends>::Sender;

/// A connection, and the how many-th it is: a dead one is told from its successor by that.
#[derive(Clone)]
pub struct Wire<S> {
    /// What sends.
    pub sender: S,
    /// How long its commands wait.
    pub patience: Patience,
    /// One for the first, and one more for each that follows.
    pub nth: u64,
}

/// The command connection. How a command is sent over it is the adapter's affair.
pub struct Trunk<C: Client> {
    link: Link<Wire<SenderOf<C>>>,
    counters: Arc<Counters>,
    doubts: [Doubt; 2],
    site: Arc<Site<C>>,
    bound: Duration,
}

impl<C: Client> Trunk<C> {
    /// Opens the link, within a tokio runtime. `other` is the doubt of the subscription connection: a server that does
    /// not answer here may not answer there.
    #[must_use]
    pub fn open(site: &Arc<Site<C>>, counters: &Arc<Counters>, other: Doubt) -> Self {
        let doubt = Doubt::default();
        let tenant = Keeper {
            counters: Arc::clone(counters),
            doubt: doubt.clone(),
            interval: site.options.heartbeat,
            bound: site.options.command_timeout,
            sizes: (!C::SEES_BYTES).then(|| Arc::new(AtSite(Arc::clone(site))) as Arc<dyn Sizes>),
            made: 0,
        };
        Self {
            link: Link::open(site, Purpose::Commands, tenant, counters),
            counters: Arc::clone(counters),
            doubts: [doubt, other],
            site: Arc::clone(site),
            bound: site.options.command_timeout,
        }
    }

    /// What dials, and tells of the connection.
    #[must_use]
    pub fn link(&self) -> &Link<Wire<SenderOf<C>>> {
        &self.link
    }

    /// Where it leads.
    #[must_use]
    pub fn address(&self) -> &Address {
        &self.site.address
    }

    /// The number of the connection that there is now.
    #[must_use]
    pub fn nth(&self) -> Option<u64> {
        let wire = self.link.now()?.ok()?;
        Some(wire.nth)
    }

    /// A command is about to be sent.
    pub fn count(&self) {
        self.counters.command();
    }

    /// While the first attempt to connect is under way: part of the bound goes by, the rest is the command's, and comes
    /// with the connection. Dropping the future does no harm.
    ///
    /// # Errors
    /// The attempt has failed, or took too long.
    pub async fn wait(&self) -> Result<Wire<SenderOf<C>>, Fault> {
        let since = Instant::now();
        let settled = tokio::time::timeout(self.bound, self.link.settled()).await;
        let mut wire = settled.map_err(|_| Fault::still_connecting())??;
        let rest = self.bound.saturating_sub(since.elapsed());
        wire.patience.bound = rest.max(Duration::from_millis(1));
        Ok(wire)
    }

    /// A command failed over the `nth` connection: has done whatever follows from that, and says what its caller is
    /// told.
    pub async fn failed(&self, nth: u64, fault: Fault) -> Fault {
        match fault.kind() {
            ErrorKind::Timeout => self.late(),
            ErrorKind::Unavailable => {
                // The next command shall find the link connecting and wait, rather than fail on the
                // same dead connection.
                let noticed = self.link.noticed(|wire| wire.nth == nth);
                let _ = tokio::time::timeout(NOTICING, noticed).await;
                match self.link.now() {
                    Some(Err(gone)) if gone.kind() == ErrorKind::NoRuntime => gone,
                    _ => fault,
                }
            }
            _ => {
                if let (true, Some(sentinels)) = (fault.is_readonly(), &self.site.sentinels) {
                    // A master that has been demoted: both connections ask for its role, and part.
                    sentinels.ask();
                    self.doubts.iter().for_each(Doubt::raise);
                }
                fault
            }
        }
    }

    /// A command had no answer within the bound: both connections are checked.
    #[must_use]
    pub fn late(&self) -> Fault {
        self.doubts.iter().for_each(Doubt::raise);
        late(self.bound)
    }
}

/// Keeps the command connection honest: it is in use elsewhere, and is checked here.
struct Keeper {
    counters: Arc<Counters>,
    doubt: Doubt,
    interval: Duration,
    bound: Duration,
    sizes: Option<Arc<dyn Sizes>>,
    made: u64,
}

/// Asks where the site says.
struct AtSite<C>(Arc<Site<C>>);

impl<C> fmt::Debug for AtSite<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AtSite")
    }
}

impl<C: Client> Sizes for AtSite<C> {
    fn size_of(&self, name: &str) -> Pin<Box<dyn Future<Output = Option<usize>> + Send + '_>> {
        let (sizes, name) = (self.0.sizes.get().and_then(Weak::upgrade), name.to_owned());
        Box::pin(async move { sizes?.size_of(&name).await })
    }
}

impl Keeper {
    fn patience(&self, ends: &impl Ends) -> Patience {
        Patience {
            transfers: ends.transfers(),
            bound: self.bound,
            sizes: self.sizes.clone(),
        }
    }
}

impl<C: Client> Tenant<C> for Keeper {
    type Handle = Wire<SenderOf<C>>;

    fn handle(&mut self, line: &Line<C>) -> Self::Handle {
        self.made += 1;
        Wire {
            sender: line.ends.sender(),
            patience: self.patience(&line.ends),
            nth: self.made,
        }
    }

    async fn serve(&mut self, mut line: Line<C>) -> Fault {
        let mut beat = heartbeat(self.interval);
        let patience = self.patience(&line.ends);
        loop {
            tokio::select! {
                // In the same order in every run, for simulations.
                biased;
                fault = line.ends.ended() => return fault,
                name = line.names.changed() => {
                    let _ = patience.within(line.ends.rename(name)).await;
                    continue;
                }
                _ = beat.tick() => {}
                () = self.doubt.raised() => {}
            }
            self.counters.command();
            // If the connection breaks meanwhile, the ping fails.
            let is_master = line.place.is_some();
            match patience.within(line.ends.sign_of_life(is_master)).await {
                Some(Ok(())) => {}
                Some(Err(fault)) => return fault,
                None => return Fault::new(ErrorKind::Timeout, "the server does not answer a PING"),
            }
        }
    }
}
