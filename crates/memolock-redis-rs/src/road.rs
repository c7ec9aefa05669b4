//! The road that commands take: a connection of our own, or an application's pool.

use memolock_core::Key;
use memolock_core::redis::{Call, Fault, Reply};
use redis::Cmd;

use crate::command::Commands;
#[cfg(feature = "deadpool")]
use crate::pooled::Pooled;

/// Both roads bound each command in time and keep the order of calls on a key.
pub(crate) enum Road {
    Own(Commands),
    #[cfg(feature = "deadpool")]
    Pooled(Box<Pooled>),
}

impl Road {
    /// The backend's name in reports.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Own(_) => "redis-rs",
            #[cfg(feature = "deadpool")]
            Self::Pooled(_) => "redis-rs-pooled",
        }
    }

    /// How the first attempt to connect ends, and whether the server is of use.
    pub(crate) async fn first_attempt(&self) -> Result<(), Fault> {
        match self {
            Self::Own(commands) => {
                commands.trunk().link().first_attempt().await?;
                commands.knows_scripts().await
            }
            #[cfg(feature = "deadpool")]
            Self::Pooled(pooled) => pooled.ready().await,
        }
    }

    /// Sends one command on `keys` and waits for its reply. An error reply is an error.
    #[cfg_attr(not(feature = "deadpool"), allow(unused_variables))]
    pub(crate) async fn send(&self, keys: &[&Key], command: Cmd) -> Result<Reply, Fault> {
        match self {
            Self::Own(commands) => commands.send(&command).await,
            #[cfg(feature = "deadpool")]
            Self::Pooled(pooled) => pooled.send(keys, command).await,
        }
    }

    /// Runs a script, in the order of calls on `keys`; in any if there are none.
    #[cfg_attr(not(feature = "deadpool"), allow(unused_variables))]
    pub(crate) async fn run(&self, keys: &[&Key], call: &Call) -> Result<Reply, Fault> {
        match self {
            Self::Own(commands) => commands.run(call).await,
            #[cfg(feature = "deadpool")]
            Self::Pooled(pooled) => pooled.run(keys, call).await,
        }
    }

    /// Whether the last attempt to connect has failed.
    pub(crate) fn is_down(&self) -> bool {
        match self {
            Self::Own(commands) => matches!(commands.trunk().link().now(), Some(Err(_))),
            #[cfg(feature = "deadpool")]
            Self::Pooled(_) => false,
        }
    }

    /// Waits until that is so.
    pub(crate) async fn down(&self) {
        match self {
            Self::Own(commands) => {
                commands.trunk().link().hopeless().await;
            }
            #[cfg(feature = "deadpool")]
            Self::Pooled(_) => std::future::pending().await,
        }
    }

    /// A word for `Debug`.
    pub(crate) fn condition(&self) -> &'static str {
        match self {
            Self::Own(commands) => commands.trunk().link().condition(),
            #[cfg(feature = "deadpool")]
            Self::Pooled(_) => "pooled",
        }
    }

    /// Ends what is ours of it, for good.
    pub(crate) fn close(&self) {
        match self {
            Self::Own(commands) => commands.trunk().link().close(),
            #[cfg(feature = "deadpool")]
            Self::Pooled(pooled) => pooled.close(),
        }
    }

    /// Waits until tasks have ended, after [`close`](Self::close).
    pub(crate) async fn ended(&self) {
        match self {
            Self::Own(commands) => commands.trunk().link().ended().await,
            #[cfg(feature = "deadpool")]
            Self::Pooled(pooled) => pooled.ended().await,
        }
    }
}
