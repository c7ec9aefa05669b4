//! Making one connection: where to, as whom, and all of it within one bound.

use std::sync::Arc;

use memolock_core::ErrorKind;
use memolock_core::redis::sentinel::Place;
use memolock_core::redis::{Address, Fault};

use crate::client::{Client, Ends, Purpose};
use crate::greeting;
use crate::paused::RealTime;
use crate::site::{NameWatch, Site};

/// Makes connections for one purpose.
pub struct Dialer<C: Client> {
    site: Arc<Site<C>>,
    purpose: Purpose,
}

/// One connection, and what it is to its backend.
pub struct Line<C: Client> {
    /// What sends and what hears.
    pub ends: C::Ends,
    /// What it is to be called.
    pub names: NameWatch,
    /// Where sentinels said that the master is, if they were asked.
    pub place: Option<Place>,
}

impl<C: Client> Dialer<C> {
    /// Makes connections of the site.
    #[must_use]
    pub fn new(site: &Arc<Site<C>>, purpose: Purpose) -> Self {
        let site = Arc::clone(site);
        Self { site, purpose }
    }

    /// Where it connects to, or which sentinels know.
    #[must_use]
    pub fn address(&self) -> &Address {
        &self.site.address
    }

    /// Finds the server, connects, authenticates, selects the database and says its name, all within
    /// the bound of one attempt. Dropping the future ends the attempt.
    ///
    /// # Errors
    /// Why there is no connection, and where.
    pub async fn dial(&self) -> Result<Line<C>, Fault> {
        self.bounded(self.address(), self.find()).await
    }

    /// The same, to where another connection goes, which sentinels have named.
    ///
    /// # Errors
    /// As [`dial`](Self::dial).
    pub async fn dial_to(&self, place: Option<&Place>) -> Result<Line<C>, Fault> {
        let Some(place) = place else {
            return self.dial().await;
        };
        let address = self.address().at_host(place.host(), place.port());
        let connecting = self.connect(&address, Some(place));
        self.bounded(&address, connecting).await
    }

    /// What the server says of a connection that another made to it and lost, as an application's pool may.
    pub async fn explain(&self, fault: Fault) -> Fault {
        self.explained(self.address(), fault).await
    }

    pub(crate) fn purpose(&self) -> Purpose {
        self.purpose
    }

    /// Waits until a server is no more the one to be connected to.
    pub(crate) async fn deposed(&self, place: Option<&Place>) -> Fault {
        match (&self.site.sentinels, place) {
            (Some(sentinels), Some(place)) => sentinels.moved_from(place).await,
            _ => std::future::pending().await,
        }
    }

    /// The master that sentinels name now, if that is how the server is found.
    pub(crate) fn master(&self) -> Option<Place> {
        self.site.sentinels.as_ref()?.master()
    }

    /// Has sentinels asked again: the server says that it is no master.
    pub(crate) fn ask_sentinels(&self) {
        if let Some(sentinels) = &self.site.sentinels {
            sentinels.ask();
        }
    }

    /// Waits until there is a reason to try again at once: sentinels name another master than the one that was `known`.
    pub(crate) async fn news(&self, known: Option<&Place>) {
        match &self.site.sentinels {
            Some(sentinels) => sentinels.news(known).await,
            None => std::future::pending().await,
        }
    }

    async fn bounded(
        &self,
        address: &Address,
        connecting: impl Future<Output = Result<Line<C>, Fault>>,
    ) -> Result<Line<C>, Fault> {
        let bound = self.site.options.connect_timeout;
        let _real = RealTime::hold(bound);
        match tokio::time::timeout(bound, connecting).await {
            Ok(outcome) => outcome,
            Err(_) => {
                let detail = format!("not connected after {bound:?}");
                Err(Fault::new(ErrorKind::Timeout, detail).at(address))
            }
        }
    }

    async fn find(&self) -> Result<Line<C>, Fault> {
        let Some(sentinels) = &self.site.sentinels else {
            return self.connect(self.address(), None).await;
        };
        let place = sentinels.resolve().await?;
        let address = self.address().at_host(place.host(), place.port());
        tokio::select! {
            biased;
            fault = sentinels.moved_from(&place) => Err(fault.at(&address)),
            line = self.connect(&address, Some(&place)) => line,
        }
    }

    async fn connect(&self, address: &Address, place: Option<&Place>) -> Result<Line<C>, Fault> {
        let address = self.site.identify(address).await?;
        match self.open(&address, place).await {
            Ok(line) => Ok(line),
            Err(fault) => Err(self.explained(&address, fault).await.at(&address)),
        }
    }

    /// A fault with what the server said, if it is not told and the server will say it again.
    async fn explained(&self, address: &Address, fault: Fault) -> Fault {
        if !greeting::is_wanting(&fault) {
            return fault;
        }
        let client = &self.site.way.client;
        let heard = async {
            let stream = client.raw_stream(address).await.ok()?;
            greeting::heard(stream).await
        };
        // Boxed: it is rare.
        match tokio::time::timeout(greeting::LONGEST, Box::pin(heard)).await {
            Ok(Some(heard)) => greeting::explained(fault, &heard),
            _ => fault,
        }
    }

    async fn open(&self, address: &Address, place: Option<&Place>) -> Result<Line<C>, Fault> {
        let Site { options, way, .. } = &*self.site;
        let mut ends = way.client.connect(address, options, self.purpose).await?;
        let mut names = way.names.of(self.purpose.suffix());
        if place.is_some() {
            ends.sign_of_life(true).await?;
        }
        ends.greet(names.now()).await?;
        Ok(Line {
            ends,
            names,
            place: place.cloned(),
        })
    }
}
