//! Images of the servers that the interop tests meet: official ones where a registry is reached, else made of
//! Debian's packages.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::image::{Scratch, pack};
use crate::run::{capture, program, succeeds};
use crate::{machine, test};

/// One release of a server.
struct Release {
    /// The image that the tests ask for.
    image: &'static str,
    /// The official image.
    official: &'static str,
    /// The release of Debian that has it, the package, and the program of that package.
    suite: &'static str,
    package: &'static str,
    program: &'static str,
    /// What the program says of itself.
    version: &'static str,
}

const RELEASES: [Release; 3] = [
    Release {
        image: "memolock-test-redis:7.0",
        official: "redis:7.0",
        suite: "bookworm",
        package: "redis-server",
        program: "/usr/bin/redis-server",
        version: "v=7.0.",
    },
    Release {
        image: "memolock-test-redis:8.0",
        official: "redis:8.0",
        suite: "trixie",
        package: "redis-server",
        program: "/usr/bin/redis-server",
        version: "v=8.0.",
    },
    Release {
        image: "memolock-test-valkey:8.1",
        official: "valkey/valkey:8.1",
        suite: "trixie",
        package: "valkey-server",
        program: "/usr/bin/valkey-server",
        version: "v=8.1.",
    },
];

/// Makes what is missing. `server` is this machine's own.
pub(crate) fn make(server: &Path) -> Result<()> {
    let missing: Vec<_> = RELEASES.iter().filter(|r| !r.is_there()).collect();
    let mut roots = Vec::new();
    for release in missing {
        if release.pulled() {
            println!("{}: the official {}", release.image, release.official);
        } else if release.is(server) {
            pack(Path::new("/"), server, release.image)?;
        } else {
            let root = root_of(release.suite, &mut roots)?;
            pack(&root, Path::new(release.program), release.image)?;
        }
    }
    Ok(())
}

impl Release {
    fn is_there(&self) -> bool {
        let there = succeeds(&mut program("docker", &["image", "inspect", self.image]));
        if there {
            println!("{}: is there", self.image);
        }
        there
    }

    fn pulled(&self) -> bool {
        // A registry out of reach says nothing for a long time.
        let pull = ["60", "docker", "pull", "-q", self.official];
        succeeds(&mut program("timeout", &pull))
            && succeeds(&mut program("docker", &["tag", self.official, self.image]))
    }

    /// Whether this machine's server is of the release.
    fn is(&self, server: &Path) -> bool {
        let said = capture(program(server, &[]).arg("--version"));
        let name = Path::new(self.program).file_name();
        said.is_ok_and(|said| said.contains(self.version)) && server.file_name() == name
    }
}

/// A release of Debian with every server of ours that it has, unpacked once.
fn root_of(suite: &'static str, roots: &mut Vec<(&'static str, Scratch)>) -> Result<PathBuf> {
    if let Some((_, root)) = roots.iter().find(|(known, _)| *known == suite) {
        return Ok(root.0.clone());
    }
    if !machine::is_root() {
        bail!(
            "no registry was reached, and only root may unpack Debian's packages: run it as root"
        );
    }
    if machine::find("debootstrap").is_none() {
        test::apt_install(&["debootstrap"], "debootstrap")?;
    }
    let packages: Vec<_> = RELEASES
        .iter()
        .filter(|r| r.suite == suite)
        .map(|r| r.package)
        .collect();
    let root = Scratch::new()?;
    println!("unpacking {} of Debian {suite}", packages.join(" and "));
    let mut unpack = Command::new("debootstrap");
    unpack
        .args([
            "--variant=minbase",
            &format!("--include={}", packages.join(",")),
        ])
        .arg(suite)
        .arg(&root.0)
        .arg(mirror()?);
    capture(&mut unpack)?;
    let path = root.0.clone();
    roots.push((suite, root));
    Ok(path)
}

/// The mirror that apt is set to.
fn mirror() -> Result<String> {
    let mut texts = vec![fs::read_to_string("/etc/apt/sources.list").unwrap_or_default()];
    if let Ok(more) = fs::read_dir("/etc/apt/sources.list.d") {
        let more = more.flatten().map(|file| fs::read_to_string(file.path()));
        texts.extend(more.flatten());
    }
    let found = mirror_in(&texts.join("\n"));
    found.context("apt knows no mirror of Debian: is this Debian?")
}

fn mirror_in(sources: &str) -> Option<String> {
    let live = sources.lines().filter(|line| !line.trim().starts_with('#'));
    let mut words = live.flat_map(str::split_whitespace);
    let mirror =
        words.find(|word| word.contains("://") && word.trim_end_matches('/').ends_with("/debian"));
    mirror.map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::mirror_in;

    #[test]
    fn the_mirror_is_found_in_both_forms_of_source() {
        let new = "Types: deb\n# http://old/debian\nURIs: http://deb.debian.org/debian\n\
                   URIs: http://deb.debian.org/debian-security";
        assert_eq!(mirror_in(new).unwrap(), "http://deb.debian.org/debian");
        let old =
            "deb https://packages.example apt main\ndeb http://a.mirror/debian/ bookworm main";
        assert_eq!(mirror_in(old).unwrap(), "http://a.mirror/debian/");
        assert_eq!(mirror_in("deb http://security/debian-security x"), None);
    }
}
