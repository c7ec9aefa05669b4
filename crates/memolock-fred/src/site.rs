//! What all connections of a backend have in common.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt;
use memolock_core::redis::{Address, ClientName, CredentialsProvider, Fault, Options};
use memolock_core::{ErrorKind, Tag};
use tokio::sync::watch;

use crate::sentinels::Sentinels;
use crate::tls::Tls;

/// How connections are made, wherever they go. Clones share what they know.
#[derive(Clone, Default)]
pub(crate) struct Way {
    /// Some if the URL says so.
    pub(crate) tls: Option<Tls>,
    /// None: as the URL says.
    pub(crate) credentials: Option<CredentialsProvider>,
    pub(crate) names: Names,
}

/// Where to connect, as whom and how.
pub(crate) struct Site {
    pub(crate) address: Address,
    pub(crate) options: Options,
    pub(crate) way: Way,
    /// Some if they know where the server is, and not the URL.
    pub(crate) sentinels: Option<Sentinels>,
}

impl Site {
    /// The address with the credentials of now.
    pub(crate) async fn identify(&self, address: &Address) -> Result<Address, Fault> {
        match &self.way.credentials {
            Some(provider) => {
                let asking = AssertUnwindSafe(provider.identify(address)).catch_unwind();
                // The task that mends the connection must outlive whatever users' code does.
                asking.await.unwrap_or_else(|_| {
                    let detail = "the provider of credentials panicked";
                    Err(Fault::new(ErrorKind::Unavailable, detail))
                })
            }
            None => Ok(address.clone()),
        }
    }

    /// Ends its tasks, for good.
    pub(crate) fn close(&self) {
        if let Some(sentinels) = &self.sentinels {
            sentinels.close();
        }
    }

    /// Waits until they have ended, after [`close`](Self::close).
    pub(crate) async fn ended(&self) {
        if let Some(sentinels) = &self.sentinels {
            sentinels.ended().await;
        }
    }
}

/// What the connections are called, which may change. By default nothing.
#[derive(Clone)]
pub(crate) struct Names(Arc<watch::Sender<ClientName>>);

impl Default for Names {
    fn default() -> Self {
        Self::new(ClientName::new(None, true))
    }
}

impl Names {
    pub(crate) fn new(name: ClientName) -> Self {
        Self(Arc::new(watch::Sender::new(name)))
    }

    pub(crate) fn introduce(&self, tag: &Tag) {
        self.0.send_if_modified(|name| name.introduce(tag));
    }

    /// Names of connections with this suffix, from now on.
    pub(crate) fn of(&self, suffix: &'static str) -> NameWatch {
        let names = self.0.subscribe();
        NameWatch { names, suffix }
    }
}

/// The name of one connection.
pub(crate) struct NameWatch {
    names: watch::Receiver<ClientName>,
    suffix: &'static str,
}

impl NameWatch {
    pub(crate) fn now(&mut self) -> Option<String> {
        self.names.borrow_and_update().text(self.suffix)
    }

    /// The next name. Cancel-safe.
    pub(crate) async fn changed(&mut self) -> String {
        loop {
            if self.names.changed().await.is_err() {
                // There will be none.
                std::future::pending::<()>().await;
            }
            if let Some(name) = self.now() {
                return name;
            }
        }
    }
}

/// Sites are shared by everything that connects.
pub(crate) type SharedSite = Arc<Site>;
