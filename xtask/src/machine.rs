//! What this machine has: programs, Docker, rights.

use std::path::PathBuf;

use crate::run::{capture, cargo, program, succeeds};

/// The image that `cargo xtask image` makes and that the test kit asks Docker for.
pub(crate) const LOCAL_IMAGE: &str = "memolock-test-redis:local";
/// The image that the test kit pulls where there is nothing else.
const PUBLIC_IMAGE: &str = "redis:7-alpine";

/// Where a program is on the `PATH`.
pub(crate) fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let mut places = std::env::split_paths(&path).map(|dir| dir.join(name));
    places.find(|place| place.is_file())
}

/// A server program on the `PATH`.
pub(crate) fn server() -> Option<PathBuf> {
    find("redis-server").or_else(|| find("valkey-server"))
}

/// Whether a Docker daemon answers.
pub(crate) fn docker_answers() -> bool {
    find("docker").is_some()
        && succeeds(&mut program(
            "docker",
            &["version", "--format", "{{.Server.Version}}"],
        ))
}

/// The image with which the test kit could start a container at once.
pub(crate) fn docker_image() -> Option<String> {
    let named = std::env::var("MEMOLOCK_TEST_IMAGE")
        .ok()
        .filter(|name| !name.is_empty());
    let images = match named {
        Some(name) => vec![name],
        None => vec![LOCAL_IMAGE.to_owned(), PUBLIC_IMAGE.to_owned()],
    };
    let there = |image: &String| succeeds(&mut program("docker", &["image", "inspect", image]));
    if !docker_answers() {
        return None;
    }
    images.into_iter().find(there)
}

/// Whether we may install packages.
pub(crate) fn is_root() -> bool {
    capture(&mut program("id", &["-u"])).is_ok_and(|id| id.trim() == "0")
}

/// Whether cargo has a subcommand.
pub(crate) fn cargo_has(subcommand: &str) -> bool {
    succeeds(&mut cargo(&[subcommand, "--version"]))
}
