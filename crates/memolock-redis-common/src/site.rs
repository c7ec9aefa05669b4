//! What all connections of a backend have in common.

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, OnceLock, Weak};

use futures_util::FutureExt;
use memolock_core::redis::{Address, ClientName, CredentialsProvider, Fault, Options, Topology};
use memolock_core::{ErrorKind, Tag};
use tokio::runtime::Handle;
use tokio::sync::watch;

use crate::client::Client;
use crate::dice::Dice;
use crate::sentinels::{MAX_DELAY, Sentinels};
use crate::transfers::Sizes;

/// How connections are made, wherever they go. Clones share what they know.
#[derive(Clone, Default)]
pub struct Way<C> {
    /// The client, and what it must be told.
    pub client: C,
    /// Where jitter comes from.
    pub dice: Dice,
    /// None: as the URL says.
    pub credentials: Option<CredentialsProvider>,
    /// What they are called.
    pub names: Names,
    /// Where they are driven. None: on the runtime that they are opened in.
    pub runtime: Option<Handle>,
}

impl<C> Way<C> {
    /// The runtime where they are driven.
    ///
    /// # Panics
    /// Outside of a tokio runtime, if none was given.
    #[must_use]
    pub fn runtime(&self) -> Handle {
        self.runtime.clone().unwrap_or_else(Handle::current)
    }

    /// Settles that it is the one given, or else this one; whether there is one.
    #[must_use]
    pub fn settle_runtime(&mut self) -> bool {
        if self.runtime.is_none() {
            self.runtime = Handle::try_current().ok();
        }
        self.runtime.is_some()
    }
}

/// Where to connect, as whom and how.
pub struct Site<C> {
    /// Where to, as whom, and in which database.
    pub address: Address,
    /// Bounds, delays and names.
    pub options: Options,
    /// What the rest is made of.
    pub way: Way<C>,
    /// Some if they know where the server is, and not the URL.
    pub sentinels: Option<Sentinels>,
    /// Where the sizes of values can be asked for, once there is such a connection.
    pub(crate) sizes: OnceLock<Weak<dyn Sizes>>,
}

impl<C: Client> Site<C> {
    /// Starts asking sentinels, if the address names them. Needs a tokio runtime, then.
    #[must_use]
    pub fn open(address: Address, mut options: Options, way: Way<C>) -> Self {
        let sentinels = match address.topology() {
            Topology::Sentinel { service } => {
                options.reconnect_max_delay = options.reconnect_max_delay.min(MAX_DELAY);
                Some(Sentinels::open(&address, service, &options, &way))
            }
            Topology::Single | Topology::Cluster => None,
        };
        Self {
            address,
            options,
            way,
            sentinels,
            sizes: OnceLock::new(),
        }
    }

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
    pub fn close(&self) {
        if let Some(sentinels) = &self.sentinels {
            sentinels.close();
        }
    }

    /// Waits until they have ended, after [`close`](Self::close).
    pub async fn ended(&self) {
        if let Some(sentinels) = &self.sentinels {
            sentinels.ended().await;
        }
    }
}

/// What the connections are called, which may change. By default nothing.
#[derive(Clone)]
pub struct Names(Arc<watch::Sender<ClientName>>);

impl Default for Names {
    fn default() -> Self {
        Self::new(ClientName::new(None, true))
    }
}

impl Names {
    /// From now on this one.
    #[must_use]
    pub fn new(name: ClientName) -> Self {
        Self(Arc::new(watch::Sender::new(name)))
    }

    /// A memolock of this tag uses them: the name may say so.
    pub fn introduce(&self, tag: &Tag) {
        self.0.send_if_modified(|name| name.introduce(tag));
    }

    /// Names of connections with this suffix, from now on.
    pub(crate) fn of(&self, suffix: &'static str) -> NameWatch {
        let names = self.0.subscribe();
        NameWatch { names, suffix }
    }
}

/// The name of one connection.
pub struct NameWatch {
    names: watch::Receiver<ClientName>,
    suffix: &'static str,
}

impl NameWatch {
    /// The name, if there is one.
    pub fn now(&mut self) -> Option<String> {
        self.names.borrow_and_update().text(self.suffix)
    }

    /// The next name. Cancel-safe.
    pub async fn changed(&mut self) -> String {
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
