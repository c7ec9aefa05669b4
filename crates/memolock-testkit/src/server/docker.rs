//! A server in a container, by testcontainers.

use std::time::{Duration, Instant};

use futures_util::StreamExt;
use testcontainers::bollard::Docker;
use testcontainers::bollard::models::{
    ImageInspect, NetworkConnectRequest, NetworkDisconnectRequest, PortBinding,
};
use testcontainers::bollard::query_parameters::{
    CreateImageOptionsBuilder, RemoveContainerOptionsBuilder,
};
use testcontainers::core::IntoContainerPort;
use testcontainers::core::client::docker_client_instance;
use testcontainers::runners::AsyncRunner;
use testcontainers::{ContainerAsync, GenericImage, ImageExt};
use tokio::time::timeout;

use super::local::free_port;
use super::watcher::Watcher;
use super::{Address, STARTUP};
use crate::connection::Connection;
use crate::unique_tag;

/// The port inside the container.
const INSIDE: u16 = 6379;
/// Docker's network of containers that ask for no other.
const NETWORK: &str = "bridge";
/// How often another port is tried.
const PORTS: usize = 4;
/// A daemon that is there answers in milliseconds.
const DAEMON: Duration = Duration::from_secs(3);
/// A registry that has said nothing for so long is out of reach.
const REGISTRY: Duration = Duration::from_secs(8);
/// The most that a pull may take in all.
const PULL: Duration = Duration::from_secs(180);

/// A container and its port on this side.
#[derive(Debug)]
pub(super) struct Container {
    /// Taken on drop only.
    container: Option<ContainerAsync<GenericImage>>,
    watcher: Option<Watcher>,
    address: Address,
}

impl Container {
    /// Starts `image`, which is pulled if it is missing and `pull` says so.
    pub(super) async fn start(image: &str, options: &[&str], pull: bool) -> Result<Self, String> {
        let docker = connect().await?;
        let found = find(&docker, image, pull).await?;
        let mut last = String::new();
        for _ in 0..PORTS {
            match Self::run(&docker, image, &command(&found, image, options)).await {
                Ok(container) => return Ok(container),
                // Somebody else was quicker to take the port.
                Err(error) if error.contains("already") => last = error,
                Err(error) => return Err(error),
            }
        }
        Err(last)
    }

    async fn run(docker: &Docker, image: &str, command: &[String]) -> Result<Self, String> {
        let name = unique_tag("memolock-test");
        // Also if we are killed while it starts.
        let watcher = Watcher::spawn("docker rm -f \"$1\"", &[name.as_ref()]);
        let (repository, tag) = split(image);
        let port = free_port()?;
        // A fixed port, because a random one would change on restart.
        let request = GenericImage::new(repository, tag)
            .with_container_name(&name)
            .with_mapped_port(port, INSIDE.tcp())
            .with_host_config_modifier(move |host| {
                if on_loopback() {
                    let binding = PortBinding {
                        host_ip: Some("127.0.0.1".into()),
                        host_port: Some(port.to_string()),
                    };
                    host.port_bindings =
                        Some([(format!("{INSIDE}/tcp"), Some(vec![binding]))].into());
                }
            })
            .with_startup_timeout(STARTUP)
            .with_cmd(command);
        let container = match request.start().await {
            Ok(container) => container,
            Err(error) => {
                // It may have been created and not started, on a port that is taken.
                remove(docker, &name).await;
                return Err(error.to_string());
            }
        };
        let mut container = Self {
            container: Some(container),
            watcher,
            address: Address::plain("127.0.0.1", port),
        };
        let host = container
            .inner()?
            .get_host()
            .await
            .map_err(|error| error.to_string())?;
        let host = host.to_string();
        container.address = Address::plain(host.trim_matches(['[', ']']), port);
        container.ready().await?;
        Ok(container)
    }

    pub(super) fn address(&self) -> &Address {
        &self.address
    }

    /// Starts it anew. Its data is gone, whatever it held before.
    pub(super) async fn restart(&self) -> Result<(), String> {
        self.kill().await?;
        self.inner()?
            .start()
            .await
            .map_err(|error| error.to_string())?;
        self.ready().await
    }

    /// Ends it at once, as a power cut would.
    pub(super) async fn kill(&self) -> Result<(), String> {
        // A paused container would be waited for; one that is not paused refuses.
        let _ = self.inner()?.unpause().await;
        self.ended(Some(0)).await
    }

    /// Ends it in good order.
    pub(super) async fn stop(&self) -> Result<(), String> {
        self.ended(Some(10)).await
    }

    pub(super) async fn pause(&self) -> Result<(), String> {
        self.inner()?
            .pause()
            .await
            .map_err(|error| error.to_string())
    }

    pub(super) async fn resume(&self) -> Result<(), String> {
        self.inner()?
            .unpause()
            .await
            .map_err(|error| error.to_string())
    }

    /// Takes it off its network, which takes away its port on this side too.
    pub(super) async fn disconnect(&self) -> Result<(), String> {
        let request = NetworkDisconnectRequest {
            container: self.inner()?.id().to_owned(),
            force: Some(true),
        };
        let docker = connect().await?;
        let done = docker.disconnect_network(NETWORK, request).await;
        done.map_err(|error| error.to_string())
    }

    pub(super) async fn reconnect(&self) -> Result<(), String> {
        let request = NetworkConnectRequest {
            container: self.inner()?.id().to_owned(),
            ..NetworkConnectRequest::default()
        };
        let docker = connect().await?;
        let done = docker.connect_network(NETWORK, request).await;
        done.map_err(|error| error.to_string())?;
        self.ready().await
    }

    async fn ended(&self, seconds: Option<i32>) -> Result<(), String> {
        let stopped = self.inner()?.stop_with_timeout(seconds).await;
        stopped.map_err(|error| error.to_string())
    }

    async fn ready(&self) -> Result<(), String> {
        let deadline = Instant::now() + STARTUP;
        while Instant::now() < deadline {
            // The daemon's proxy accepts before the server does, so only an answer counts.
            if let Ok(mut connection) = Connection::open(&self.address).await
                && connection.command(&["PING"]).await.is_ok()
            {
                return Ok(());
            }
            if !self.inner()?.is_running().await.unwrap_or(true) {
                return Err(format!("the container ended: {}", self.last_words().await));
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Err(format!("the container gave no answer within {STARTUP:?}"))
    }

    async fn last_words(&self) -> String {
        let Ok(container) = self.inner() else {
            return String::new();
        };
        let mut log = container.stdout_to_vec().await.unwrap_or_default();
        log.extend(container.stderr_to_vec().await.unwrap_or_default());
        super::last_words(&String::from_utf8_lossy(&log))
    }

    fn inner(&self) -> Result<&ContainerAsync<GenericImage>, String> {
        self.container.as_ref().ok_or_else(|| "it is gone".into())
    }
}

/// testcontainers removes a container on drop only inside a runtime, and panics outside of one. A
/// thread of its own has one, whatever the test is doing.
impl Drop for Container {
    fn drop(&mut self) {
        let Some(container) = self.container.take() else {
            return;
        };
        let removed = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            match runtime {
                Ok(runtime) => runtime.block_on(container.rm()).is_ok(),
                Err(_) => {
                    // Its own drop would panic here; the watcher removes it.
                    std::mem::forget(container);
                    false
                }
            }
        });
        let removed = removed.join().unwrap_or(false);
        if !removed && let Some(watcher) = self.watcher.take() {
            watcher.fire();
        }
    }
}

pub(super) async fn connect() -> Result<Docker, String> {
    // The same as it starts containers with, wherever it found the daemon.
    let docker = docker_client_instance()
        .await
        .map_err(|error| error.to_string())?;
    match timeout(DAEMON, docker.ping()).await {
        Ok(Ok(_)) => Ok(docker),
        Ok(Err(error)) => Err(format!("no daemon answers: {error}")),
        Err(_) => Err(format!("no daemon answers within {DAEMON:?}")),
    }
}

/// An image, which is pulled if it is missing and `pull` says so.
pub(super) async fn find(docker: &Docker, image: &str, pull: bool) -> Result<ImageInspect, String> {
    match look(docker, image).await? {
        Some(found) => Ok(found),
        None if pull => {
            fetch(docker, image).await?;
            let found = look(docker, image).await?;
            found.ok_or_else(|| "the image vanished".into())
        }
        None => Err(format!("there is no image {image}")),
    }
}

async fn look(docker: &Docker, image: &str) -> Result<Option<ImageInspect>, String> {
    use testcontainers::bollard::errors::Error;
    match timeout(DAEMON, docker.inspect_image(image)).await {
        Ok(Ok(found)) => Ok(Some(found)),
        Ok(Err(Error::DockerResponseServerError {
            status_code: 404, ..
        })) => Ok(None),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("no daemon answers within {DAEMON:?}")),
    }
}

/// Pulls `image`; gives up soon where no registry answers.
async fn fetch(docker: &Docker, image: &str) -> Result<(), String> {
    let (repository, tag) = split(image);
    let options = CreateImageOptionsBuilder::default()
        .from_image(&repository)
        .tag(&tag)
        .build();
    let mut progress = docker.create_image(Some(options), None, None);
    let deadline = Instant::now() + PULL;
    let mut patience = REGISTRY;
    loop {
        match timeout(patience, progress.next()).await {
            Ok(Some(Ok(_))) if Instant::now() < deadline => patience = PULL,
            Ok(Some(Ok(_))) => return Err(format!("pulling {image} took longer than {PULL:?}")),
            Ok(Some(Err(error))) => return Err(format!("cannot pull {image}: {error}")),
            Ok(None) => return Ok(()),
            Err(_) => return Err(format!("cannot pull {image}: the registry does not answer")),
        }
    }
}

pub(super) async fn remove(docker: &Docker, name: &str) {
    let options = RemoveContainerOptionsBuilder::default()
        .force(true)
        .v(true)
        .build();
    // It fails where there is nothing to remove.
    let _ = timeout(STARTUP, docker.remove_container(name, Some(options))).await;
}

/// The program, which an image without an entry point needs named.
pub(super) fn entry(found: &ImageInspect, image: &str) -> Option<&'static str> {
    let entry = found
        .config
        .as_ref()
        .and_then(|config| config.entrypoint.as_ref());
    match entry {
        Some(entry) if !entry.is_empty() => None,
        _ if image.contains("valkey") => Some("valkey-server"),
        _ => Some("redis-server"),
    }
}

/// The command line.
fn command(found: &ImageInspect, image: &str, options: &[&str]) -> Vec<String> {
    let own = [
        "--save",
        "",
        "--appendonly",
        "no",
        "--bind",
        "0.0.0.0",
        "--protected-mode",
        "no",
    ];
    entry(found, image)
        .into_iter()
        .chain(own)
        .chain(options.iter().copied())
        .map(Into::into)
        .collect()
}

/// Repository and tag; `latest` where there is none. A registry's port is no tag.
fn split(image: &str) -> (String, String) {
    match image.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => (repository.into(), tag.into()),
        _ => (image.into(), "latest".into()),
    }
}

/// Whether the daemon runs beside us, so that nobody else needs to reach the port.
fn on_loopback() -> bool {
    let remote = std::env::var("DOCKER_HOST")
        .is_ok_and(|host| !host.starts_with("unix") && !host.is_empty());
    !remote && !std::path::Path::new("/.dockerenv").exists()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_are_split_at_the_tag_and_not_at_a_port() {
        let of = |image| split(image);
        assert_eq!(of("redis:7"), ("redis".into(), "7".into()));
        assert_eq!(
            of("valkey/valkey"),
            ("valkey/valkey".into(), "latest".into())
        );
        assert_eq!(
            of("host:5000/redis"),
            ("host:5000/redis".into(), "latest".into())
        );
        assert_eq!(
            of("host:5000/redis:8"),
            ("host:5000/redis".into(), "8".into())
        );
    }

    #[test]
    fn an_image_without_an_entry_point_gets_the_program_named() {
        let bare = ImageInspect::default();
        assert_eq!(command(&bare, "mine:1", &[])[0], "redis-server");
        assert_eq!(
            command(&bare, "valkey/valkey:8", &["--port", "1"])[0],
            "valkey-server"
        );
    }
}
