//! `cargo xtask image`: the images of the container tests, the first from this machine's own server program.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use anyhow::{Context, Result, bail};

use crate::help::Usage;
use crate::machine::{self, LOCAL_IMAGE};
use crate::releases;
use crate::run::{capture, program};
use crate::test;

pub(crate) fn run(args: &[String]) -> Result<()> {
    let name = match args {
        [] => None,
        [flag, name] if flag == "--name" => Some(name.as_str()),
        [flag] if flag == "--name" => return Err(Usage::missing("image", "the NAME of --name")),
        [other, ..] => return Err(Usage::unknown("image", other)),
    };
    if machine::find("docker").is_none() {
        bail!("docker is not on the PATH: install it (apt-get install docker.io)");
    }
    if !machine::docker_answers() {
        bail!("no Docker daemon answers: start it, and see that you may use it (docker version)");
    }
    if machine::server().is_none() {
        test::install()?;
    }
    let server = machine::server().context("there is no server program to pack")?;
    pack(Path::new("/"), &server, name.unwrap_or(LOCAL_IMAGE))?;
    // One name is a wish for one image.
    match name {
        Some(_) => Ok(()),
        None => releases::make(&server),
    }
}

/// Makes an image of a server program and the libraries it loads, as they stand below `base`.
pub(crate) fn pack(base: &Path, server: &Path, name: &str) -> Result<()> {
    let root = Scratch::new()?;
    for file in files(base, server)? {
        root.add(base, &file)?;
    }
    for dir in ["data", "tmp"] {
        fs::create_dir_all(root.0.join(dir))?;
    }
    import(&root.0, server, name)?;
    let inspect = ["image", "inspect", "--format", "{{.Size}}", name];
    let size = capture(&mut program("docker", &inspect))?;
    let megabytes = size.trim().parse::<f64>().unwrap_or_default() / 1e6;
    let version = capture(inside(base, server).arg("--version"))?;
    println!("{name}: {megabytes:.1} MB, {}", version.trim());
    Ok(())
}

/// A program below `base`, to be run there.
fn inside(base: &Path, program_path: &Path) -> std::process::Command {
    if base == Path::new("/") {
        return program(program_path, &[]);
    }
    let mut command = program("chroot", &[]);
    command.arg(base).arg(program_path);
    command
}

/// The program and the libraries it loads.
fn files(base: &Path, server: &Path) -> Result<BTreeSet<PathBuf>> {
    // Where it stands in the image: symbolic links are followed for the contents only.
    let mut files = BTreeSet::from([server.to_owned()]);
    let listed = capture(inside(base, Path::new("/usr/bin/ldd")).arg(server));
    match listed {
        Ok(listed) => files.extend(libraries(&listed)?),
        Err(error) if error.to_string().contains("not a dynamic executable") => {}
        Err(error) => return Err(error.context("cannot find the libraries of the server")),
    }
    Ok(files)
}

/// What `ldd` says, as paths: `libm.so.6 => /lib/libm.so.6 (0x7f..)` or `/lib64/ld.so (0x7f..)`.
fn libraries(listed: &str) -> Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for line in listed.lines() {
        if line.contains("not found") {
            bail!("a library of the server is missing: {}", line.trim());
        }
        let path = line.split_whitespace().find(|word| word.starts_with('/'));
        paths.extend(path.map(PathBuf::from));
    }
    Ok(paths)
}

fn import(root: &Path, server: &Path, name: &str) -> Result<()> {
    let mut tar = program("tar", &["--numeric-owner", "--owner=0", "--group=0", "-C"])
        .arg(root)
        .args(["-c", "."])
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot run tar")?;
    let packed = tar.stdout.take().context("tar has no output")?;
    let entry = format!("ENTRYPOINT [\"{}\"]", server.display());
    let changes = [
        "--change",
        &entry,
        "--change",
        "EXPOSE 6379",
        "--change",
        "WORKDIR /data",
    ];
    let imported = capture_from(
        packed,
        program("docker", &["import"])
            .args(changes)
            .args(["-", name]),
    );
    if !tar.wait().context("tar was lost")?.success() {
        bail!("tar failed");
    }
    imported
}

fn capture_from(
    input: std::process::ChildStdout,
    command: &mut std::process::Command,
) -> Result<()> {
    let output = command
        .stdin(Stdio::from(input))
        .output()
        .context("cannot run docker")?;
    if !output.status.success() {
        bail!(
            "docker import failed: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(())
}

/// A directory of a moment, such as one that becomes an image's root. It is removed again.
pub(crate) struct Scratch(pub(crate) PathBuf);

impl Scratch {
    pub(crate) fn new() -> Result<Self> {
        static MADE: AtomicUsize = AtomicUsize::new(0);
        let (process, nth) = (std::process::id(), MADE.fetch_add(1, Relaxed));
        let dir = std::env::temp_dir().join(format!("memolock-image-{process}-{nth}"));
        fs::create_dir_all(&dir).with_context(|| format!("cannot create {}", dir.display()))?;
        Ok(Self(dir))
    }

    fn add(&self, base: &Path, file: &Path) -> Result<()> {
        let relative = file
            .strip_prefix("/")
            .with_context(|| format!("{} is not absolute", file.display()))?;
        let target = self.0.join(relative);
        if let Some(parent) = target.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::copy(base.join(relative), &target)
            .with_context(|| format!("cannot copy {}", file.display()))?;
        Ok(())
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            eprintln!("cannot remove {}: {error}", self.0.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_are_read_from_every_form_of_line() {
        let listed = "\tlinux-vdso.so.1 (0x00007ffe)\n\
                      \tlibm.so.6 => /lib/x86_64-linux-gnu/libm.so.6 (0x00007f1b)\n\
                      \t/lib64/ld-linux-x86-64.so.2 (0x00007f1c)\n";
        let expected = [
            "/lib/x86_64-linux-gnu/libm.so.6",
            "/lib64/ld-linux-x86-64.so.2",
        ];
        assert_eq!(libraries(listed).unwrap(), expected.map(PathBuf::from));
    }

    #[test]
    fn a_missing_library_is_named() {
        let error = libraries("\tlibx.so => not found\n").unwrap_err();
        assert!(error.to_string().contains("libx.so"), "{error}");
    }
}
