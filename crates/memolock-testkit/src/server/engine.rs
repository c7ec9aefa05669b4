//! What runs a server, and what can be done to it.

use super::Address;
#[cfg(feature = "docker")]
use super::bridge::Member;
#[cfg(feature = "docker")]
use super::docker::Container;
use super::local::{Local, Signal};
use crate::ServerError;

/// Why a local process cannot be taken off the network.
const NO_NETWORK: &str = "only a container has a network of its own, use start_docker";

/// A server, whoever runs it.
#[derive(Debug)]
pub(super) enum Engine {
    Shared(Address),
    Local(Local),
    #[cfg(feature = "docker")]
    Docker(Box<Container>),
    /// A container among others on a network of their own.
    #[cfg(feature = "docker")]
    Member(Box<Member>),
}

impl Engine {
    pub(super) fn address(&self) -> &Address {
        match self {
            Self::Shared(address) => address,
            Self::Local(local) => local.address(),
            #[cfg(feature = "docker")]
            Self::Docker(container) => container.address(),
            #[cfg(feature = "docker")]
            Self::Member(member) => member.address(),
        }
    }

    pub(super) async fn kill(&self) -> Result<(), ServerError> {
        let verb = "killed";
        match self {
            Self::Shared(_) => Err(ServerError::Shared { verb }),
            Self::Local(local) => {
                local.kill();
                Ok(())
            }
            #[cfg(feature = "docker")]
            Self::Docker(container) => control(verb, container.kill().await),
            #[cfg(feature = "docker")]
            Self::Member(member) => control(verb, member.kill().await),
        }
    }

    pub(super) async fn stop(&self) -> Result<(), ServerError> {
        let verb = "stopped";
        match self {
            Self::Shared(_) => Err(ServerError::Shared { verb }),
            Self::Local(local) => control(verb, local.stop().await),
            #[cfg(feature = "docker")]
            Self::Docker(container) => control(verb, container.stop().await),
            #[cfg(feature = "docker")]
            Self::Member(member) => control(verb, member.stop().await),
        }
    }

    pub(super) async fn restart(&self) -> Result<(), ServerError> {
        let verb = "restarted";
        match self {
            Self::Shared(_) => Err(ServerError::Shared { verb }),
            Self::Local(local) => control(verb, local.run().await),
            #[cfg(feature = "docker")]
            Self::Docker(container) => control(verb, container.restart().await),
            #[cfg(feature = "docker")]
            Self::Member(member) => control(verb, member.restart().await),
        }
    }

    pub(super) async fn pause(&self) -> Result<(), ServerError> {
        let verb = "paused";
        match self {
            Self::Shared(_) => Err(ServerError::Shared { verb }),
            Self::Local(local) => control(verb, local.signal(Signal::Pause)),
            #[cfg(feature = "docker")]
            Self::Docker(container) => control(verb, container.pause().await),
            #[cfg(feature = "docker")]
            Self::Member(member) => control(verb, member.pause().await),
        }
    }

    pub(super) async fn resume(&self) -> Result<(), ServerError> {
        let verb = "resumed";
        match self {
            Self::Shared(_) => Err(ServerError::Shared { verb }),
            Self::Local(local) => control(verb, local.signal(Signal::Resume)),
            #[cfg(feature = "docker")]
            Self::Docker(container) => control(verb, container.resume().await),
            #[cfg(feature = "docker")]
            Self::Member(member) => control(verb, member.resume().await),
        }
    }

    pub(super) async fn disconnect(&self) -> Result<(), ServerError> {
        let verb = "disconnected";
        match self {
            Self::Shared(_) => Err(ServerError::Shared { verb }),
            Self::Local(_) => control(verb, Err(NO_NETWORK.into())),
            #[cfg(feature = "docker")]
            Self::Docker(container) => control(verb, container.disconnect().await),
            #[cfg(feature = "docker")]
            Self::Member(member) => control(verb, member.disconnect().await),
        }
    }

    pub(super) async fn reconnect(&self) -> Result<(), ServerError> {
        let verb = "reconnected";
        match self {
            Self::Shared(_) => Err(ServerError::Shared { verb }),
            Self::Local(_) => control(verb, Err(NO_NETWORK.into())),
            #[cfg(feature = "docker")]
            Self::Docker(container) => control(verb, container.reconnect().await),
            #[cfg(feature = "docker")]
            Self::Member(member) => control(verb, member.reconnect().await),
        }
    }
}

fn control(verb: &'static str, result: Result<(), String>) -> Result<(), ServerError> {
    result.map_err(|why| ServerError::Control { verb, why })
}
