//! One container on a network of its own, and what can be done to it.

use std::time::{Duration, Instant};

use futures_util::StreamExt;
use testcontainers::bollard::Docker;
use testcontainers::bollard::models::{NetworkConnectRequest, NetworkDisconnectRequest};
use testcontainers::bollard::query_parameters::{
    KillContainerOptions, LogsOptionsBuilder, StopContainerOptionsBuilder,
};

use super::bridge::at;
use super::docker::connect;
use super::{Address, STARTUP};
use crate::connection::Connection;

/// The port inside the container, which is the one outside.
const PORT: u16 = 6379;

/// A container. Its network removes it.
#[derive(Debug)]
pub(super) struct Member {
    name: String,
    network: String,
    address: Address,
}

impl Member {
    pub(super) fn new(name: String, network: String, host: &str) -> Self {
        Self {
            name,
            network,
            address: Address::plain(host, PORT),
        }
    }

    pub(super) fn address(&self) -> &Address {
        &self.address
    }

    pub(super) async fn start(&self, docker: &Docker) -> Result<(), String> {
        done(docker.start_container(&self.name, None).await)?;
        self.ready(docker).await
    }

    /// Starts it anew. Its data is gone, whatever it held before; what it wrote down of its peers is not.
    pub(super) async fn restart(&self) -> Result<(), String> {
        let docker = connect().await?;
        if self.runs(&docker).await? {
            self.kill().await?;
        }
        self.start(&docker).await
    }

    /// Ends it at once, as a power cut would.
    pub(super) async fn kill(&self) -> Result<(), String> {
        let docker = connect().await?;
        // A paused container would be waited for; one that is not paused refuses.
        let _ = docker.unpause_container(&self.name).await;
        let options = KillContainerOptions {
            signal: "SIGKILL".into(),
        };
        let killed = docker.kill_container(&self.name, Some(options)).await;
        let deadline = Instant::now() + STARTUP;
        while self.runs(&docker).await? {
            if Instant::now() > deadline {
                // The reason why it runs on.
                return done(killed).and_then(|()| Err(format!("it runs on for {STARTUP:?}")));
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok(())
    }

    /// Ends it in good order.
    pub(super) async fn stop(&self) -> Result<(), String> {
        let options = StopContainerOptionsBuilder::default().t(10).build();
        let docker = connect().await?;
        done(docker.stop_container(&self.name, Some(options)).await)
    }

    pub(super) async fn pause(&self) -> Result<(), String> {
        done(connect().await?.pause_container(&self.name).await)
    }

    pub(super) async fn resume(&self) -> Result<(), String> {
        done(connect().await?.unpause_container(&self.name).await)
    }

    /// Pulls its plug: packets to it and from it are lost, and nobody is told.
    pub(super) async fn disconnect(&self) -> Result<(), String> {
        let request = NetworkDisconnectRequest {
            container: self.name.clone(),
            force: Some(true),
        };
        let docker = connect().await?;
        done(docker.disconnect_network(&self.network, request).await)
    }

    pub(super) async fn reconnect(&self) -> Result<(), String> {
        let request = NetworkConnectRequest {
            container: self.name.clone(),
            endpoint_config: Some(at(self.address.host())),
        };
        let docker = connect().await?;
        done(docker.connect_network(&self.network, request).await)?;
        self.ready(&docker).await
    }

    async fn ready(&self, docker: &Docker) -> Result<(), String> {
        let deadline = Instant::now() + STARTUP;
        while Instant::now() < deadline {
            let greeted = async {
                let mut connection = Connection::open(&self.address).await?;
                connection.command(&["PING"]).await
            };
            // It is no sooner asked again than it can have learned the way to this address.
            let greeted = tokio::time::timeout(Duration::from_millis(500), greeted).await;
            if greeted.is_ok_and(|reply| reply.is_ok()) {
                return Ok(());
            }
            if !self.runs(docker).await.unwrap_or(true) {
                let log = self.last_words(docker).await;
                return Err(format!("the container ended: {log}"));
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Err(format!(
            "the container at {} gave no answer within {STARTUP:?}: containers' own addresses can be \
             reached on Linux, with the daemon beside us",
            self.address.place()
        ))
    }

    async fn runs(&self, docker: &Docker) -> Result<bool, String> {
        let inspected = docker.inspect_container(&self.name, None).await;
        let inspected = inspected.map_err(|error| error.to_string())?;
        Ok(inspected.state.and_then(|state| state.running) == Some(true))
    }

    async fn last_words(&self, docker: &Docker) -> String {
        let options = LogsOptionsBuilder::default()
            .stdout(true)
            .stderr(true)
            .tail("20")
            .build();
        let lines = docker.logs(&self.name, Some(options));
        let lines = lines.filter_map(async |line| line.ok().map(|line| line.to_string()));
        super::last_words(&lines.collect::<Vec<_>>().await.concat())
    }
}

fn done(result: Result<(), testcontainers::bollard::errors::Error>) -> Result<(), String> {
    result.map_err(|error| error.to_string())
}
