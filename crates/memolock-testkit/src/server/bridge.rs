//! Containers on a network of their own, each with an address that is the same for this machine, for
//! the other containers, and after a restart.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::atomic::{AtomicU8, Ordering};

use futures_util::future::join_all;
use testcontainers::bollard::Docker;
use testcontainers::bollard::models::{
    ContainerCreateBody, EndpointIpamConfig, EndpointSettings, HostConfig, Ipam, IpamConfig,
    NetworkCreateRequest, NetworkingConfig,
};
use testcontainers::bollard::query_parameters::{
    CreateContainerOptionsBuilder, ListContainersOptionsBuilder, UploadToContainerOptionsBuilder,
};

use super::docker::{connect, entry, find, remove};
use super::ground::Role;
pub(super) use super::member::Member;
use super::watcher::Watcher;
use crate::unique_tag;

/// The first half of every address: set aside for tests of networks, so that nobody lives there.
const RANGE: &str = "198.19";
/// Addresses a network.
const SIZE: u8 = 64;
/// How often other addresses are tried.
const SUBNETS: usize = 32;
/// The file that a sentinel writes to.
const SETTINGS: &str = "server.conf";
/// Where servers keep their files, in the images we know.
const DATA: &str = "/data";
/// Removes what has the label `$1`, then the network of that name. A container that was being made
/// meanwhile shows up a little later.
const CLEANUP: &str = "for i in 1 2 3 4 5 6 7 8; do ids=$(docker ps -aq --filter \"label=$1\"); \
    [ -z \"$ids\" ] || docker rm -fv $ids; docker network rm \"$1\" && exit; sleep 1; done";

/// A network, and what is needed to start more on it. Dropping it removes all of its containers.
#[derive(Debug)]
pub(crate) struct Bridge {
    /// The network's, and the label of its containers.
    name: String,
    image: String,
    /// The program, where the image does not name it.
    program: Option<&'static str>,
    /// The first three parts of its addresses, and the last of the first one.
    subnet: (String, u8),
    members: AtomicU8,
    watcher: Option<Watcher>,
}

impl Bridge {
    /// Makes a network for containers of `image`, which is pulled if it is missing and `pull` says so.
    pub(super) async fn open(image: &str, pull: bool) -> Result<Self, String> {
        let docker = connect().await?;
        let found = find(&docker, image, pull).await?;
        let name = unique_tag("memolock-test");
        // Also if we are killed while it is made.
        let watcher = Watcher::spawn(CLEANUP, &[name.as_ref()]);
        let mut bridge = Self {
            name,
            image: image.to_owned(),
            program: entry(&found, image),
            subnet: (String::new(), 0),
            members: AtomicU8::new(2),
            watcher,
        };
        let mut last = String::new();
        for _ in 0..SUBNETS {
            bridge.subnet = subnet(RandomState::new().build_hasher().finish());
            match docker.create_network(bridge.request()).await {
                Ok(_) => return Ok(bridge),
                Err(error) if error.to_string().contains("overlap") => last = error.to_string(),
                Err(error) => return Err(error.to_string()),
            }
        }
        Err(last)
    }

    pub(super) fn image(&self) -> &str {
        &self.image
    }

    /// Starts one more container, and waits until it answers.
    pub(super) async fn start(&self, options: &[&str], role: Role) -> Result<Member, String> {
        let number = self.members.fetch_add(1, Ordering::Relaxed);
        if number >= SIZE - 1 {
            return Err("no more addresses on this network".into());
        }
        let host = self.host(number);
        let docker = connect().await?;
        let name = format!("{}-{number}", self.name);
        let created = CreateContainerOptionsBuilder::default().name(&name).build();
        let body = ContainerCreateBody {
            image: Some(self.image.clone()),
            cmd: Some(self.command(&host, options, role)),
            labels: Some([(self.name.clone(), String::new())].into()),
            networking_config: Some(NetworkingConfig {
                endpoints_config: Some([(self.name.clone(), at(&host))].into()),
            }),
            // Beside its own network it has none.
            host_config: Some(HostConfig {
                network_mode: Some(self.name.clone()),
                ..HostConfig::default()
            }),
            ..ContainerCreateBody::default()
        };
        let made = docker.create_container(Some(created), body).await;
        made.map_err(|error| error.to_string())?;
        if role == Role::Sentinel {
            put(&docker, &name).await?;
        }
        let member = Member::new(name, self.name.clone(), &host);
        member.start(&docker).await?;
        Ok(member)
    }

    fn command(&self, host: &str, options: &[&str], role: Role) -> Vec<String> {
        let settings = format!("{DATA}/{SETTINGS}");
        let role: &[&str] = match role {
            Role::Sentinel => &[&settings, "--sentinel"],
            // No Unix socket leads out of a container.
            Role::Server | Role::Unix => &["--save", "", "--appendonly", "no"],
            Role::Node => &[
                "--save",
                "",
                "--appendonly",
                "no",
                "--cluster-enabled",
                "yes",
                "--cluster-announce-ip",
                host,
            ],
        };
        let open = [
            "--port",
            "6379",
            "--bind",
            "0.0.0.0",
            "--protected-mode",
            "no",
        ];
        let words = self
            .program
            .into_iter()
            .chain(role.iter().copied())
            .chain(open);
        words
            .chain(options.iter().copied())
            .map(Into::into)
            .collect()
    }

    fn host(&self, number: u8) -> String {
        // The last part is below 256: a subnet begins at a multiple of its size.
        format!("{}.{}", self.subnet.0, self.subnet.1 + number)
    }

    fn request(&self) -> NetworkCreateRequest {
        let pool = IpamConfig {
            subnet: Some(format!("{}.{}/26", self.subnet.0, self.subnet.1)),
            gateway: Some(self.host(1)),
            ..IpamConfig::default()
        };
        NetworkCreateRequest {
            name: self.name.clone(),
            driver: Some("bridge".into()),
            ipam: Some(Ipam {
                config: Some(vec![pool]),
                ..Ipam::default()
            }),
            ..NetworkCreateRequest::default()
        }
    }
}

/// The settings of a place on a network.
pub(super) fn at(host: &str) -> EndpointSettings {
    EndpointSettings {
        ipam_config: Some(EndpointIpamConfig {
            ipv4_address: Some(host.to_owned()),
            ..EndpointIpamConfig::default()
        }),
        ..EndpointSettings::default()
    }
}

/// One of the subnets of [`RANGE`].
fn subnet(random: u64) -> (String, u8) {
    let [third, fourth, ..] = random.to_le_bytes();
    (format!("{RANGE}.{third}"), fourth / SIZE * SIZE)
}

/// Puts an empty file for settings into a container that has not started.
async fn put(docker: &Docker, name: &str) -> Result<(), String> {
    let options = UploadToContainerOptionsBuilder::default()
        .path(DATA)
        .build();
    let body = testcontainers::bollard::body_full(archive(SETTINGS).into());
    let put = docker.upload_to_container(name, Some(options), body).await;
    put.map_err(|error| format!("no file for its settings: {error}"))
}

/// A tar archive of one empty file, which anybody may write.
fn archive(name: &str) -> Vec<u8> {
    let mut header = [0_u8; 512];
    let mut field = |at: usize, text: &[u8]| header[at..at + text.len()].copy_from_slice(text);
    field(0, name.as_bytes());
    field(100, b"0000666\0"); // mode
    field(108, b"0000000\0"); // owner
    field(116, b"0000000\0"); // group
    field(124, b"00000000000\0"); // size
    field(136, b"00000000000\0"); // time
    field(148, b"        "); // its own sum counts as spaces
    field(156, b"0"); // a file
    field(257, b"ustar\x0000");
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    // Two empty blocks are the end.
    [header.as_slice(), &[0; 1024]].concat()
}

/// A thread of its own has a runtime, whatever the test is doing.
impl Drop for Bridge {
    fn drop(&mut self) {
        let name = self.name.clone();
        let removed = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            runtime.is_ok_and(|runtime| runtime.block_on(cleared(&name)).is_ok())
        });
        let removed = removed.join().unwrap_or(false);
        if !removed && let Some(watcher) = self.watcher.take() {
            watcher.fire();
        }
    }
}

async fn cleared(name: &str) -> Result<(), String> {
    let docker = connect().await?;
    let ours = ListContainersOptionsBuilder::default()
        .all(true)
        .filters(&[("label", vec![name])].into())
        .build();
    let listed = docker.list_containers(Some(ours)).await;
    let listed = listed.map_err(|error| error.to_string())?;
    let ids = listed
        .iter()
        .filter_map(|container| container.id.as_deref());
    join_all(ids.map(|id| remove(&docker, id))).await;
    let removed = docker.remove_network(name).await;
    removed.map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subnets_do_not_overlap() {
        for random in [0, 0xffff, 0x7f3f, u64::MAX] {
            let (parts, first) = subnet(random);
            assert!(parts.starts_with("198.19.") && first % SIZE == 0);
            assert!(first.checked_add(SIZE - 1).is_some());
        }
    }

    #[test]
    fn an_archive_is_whole_blocks_with_a_sum() {
        let archive = archive("server.conf");
        assert_eq!(archive.len() % 512, 0);
        assert!(archive.starts_with(b"server.conf\0"));
        let plain: u32 = archive[..148]
            .iter()
            .chain(&archive[156..512])
            .map(|b| u32::from(*b))
            .sum();
        let written = std::str::from_utf8(&archive[148..154]).unwrap();
        assert_eq!(u32::from_str_radix(written, 8).unwrap(), plain + 8 * 32);
    }
}
