//! `cargo xtask languages`: what the tests with peers in other languages need, below the target directory.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::help::Usage;
use crate::machine;
use crate::run::{capture, program, run as run_command, succeeds};
use crate::test;
use crate::tidy::workspace::Workspace;

/// Where the tests look for a Python that has `requirements.txt`.
const PYTHON: &str = "MEMOLOCK_TEST_PYTHON";
/// Where they look for the peer in Go.
const GO_PEER: &str = "MEMOLOCK_TEST_GO_PEER";

const REQUIREMENTS: &str = "tests/polyglot/requirements.txt";
const GO_SOURCES: &str = "tests/polyglot/go";

/// Debian's packages of Go libraries unpack there.
const GO_PATH: &str = "/usr/share/gocode";
const GO_CLIENT: &str = "src/gopkg.in/redis.v5";

/// What was found or made: an environment variable of the tests, and its value.
pub(crate) type Setting = (&'static str, PathBuf);

/// Whether packages of the system may be installed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effort {
    /// What is there, or comes from Python's package index.
    Light,
    /// Debian's packages, too.
    Whole,
}

/// Prepares everything, and fails if a language is not there.
pub(crate) fn run(args: &[String]) -> Result<()> {
    if let Some(other) = args.first() {
        return Err(Usage::unknown("languages", other));
    }
    let found = prepare(Effort::Whole)?;
    for (name, value) in &found {
        println!("{name}={}", value.display());
    }
    if found.len() < 2 {
        bail!("not every language is there: see above");
    }
    Ok(())
}

/// Says which languages the tests will find. What is not there is no error: the tests say that they did not
/// run.
pub(crate) fn prepare(effort: Effort) -> Result<Vec<Setting>> {
    let workspace = Workspace::load()?;
    let home = workspace.target.join("polyglot");
    fs::create_dir_all(&home).with_context(|| format!("cannot make {}", home.display()))?;
    let languages: [(&str, Make); 2] = [(PYTHON, python), (GO_PEER, go)];
    let mut found = Vec::new();
    for (name, make) in languages {
        let named = std::env::var_os(name).filter(|value| !value.is_empty());
        let made = match named {
            Some(value) => Ok(value.into()),
            None => make(&workspace.root, &home, effort),
        };
        match made {
            Ok(value) => {
                eprintln!("tests find {name}={}", value.display());
                found.push((name, value));
            }
            Err(error) => {
                eprintln!("tests of peers find no {name}, and will not run: {error:#}");
            }
        }
    }
    Ok(found)
}

/// Makes it below a directory, from the sources below another.
type Make = fn(root: &Path, home: &Path, effort: Effort) -> Result<PathBuf>;

/// A virtual environment with the packages that the tests use.
fn python(root: &Path, home: &Path, effort: Effort) -> Result<PathBuf> {
    let wanted = root.join(REQUIREMENTS);
    let (venv, stamp) = (home.join("venv"), home.join("venv/made-from.txt"));
    let interpreter = venv.join("bin/python");
    let wanted_text = fs::read(&wanted).with_context(|| format!("no {REQUIREMENTS}"))?;
    // The stamp is written last: half an environment has none. Python may have moved since.
    let made = fs::read(&stamp).is_ok_and(|made| made == wanted_text);
    if made && succeeds(&mut program(&interpreter, &["-c", "import redis"])) {
        return Ok(interpreter);
    }
    let make = || {
        // What is left of an older one would be in the way.
        let _ = fs::remove_dir_all(&venv);
        capture(program("python3", &["-m", "venv"]).arg(&venv)).context("no virtual environment")
    };
    if let Err(error) = make() {
        if effort == Effort::Light {
            return Err(error);
        }
        test::apt_install(&["python3-venv"], "python3 with venv")?;
        make()?;
    }
    let pip = [
        "-m",
        "pip",
        "install",
        "-q",
        "--disable-pip-version-check",
        "--retries",
        "2",
        "--timeout",
        "20",
        "-r",
    ];
    run_command(program(&interpreter, &pip).arg(&wanted))?;
    fs::write(&stamp, &wanted_text).with_context(|| format!("cannot write {}", stamp.display()))?;
    Ok(interpreter)
}

/// The peer as a program, built anew where its sources have changed.
fn go(root: &Path, home: &Path, effort: Effort) -> Result<PathBuf> {
    let client = Path::new(GO_PATH).join(GO_CLIENT);
    if machine::find("go").is_none() || !client.is_dir() {
        if effort == Effort::Light {
            bail!("`go` or {} is not there", client.display());
        }
        test::apt_install(&["golang-go", "golang-gopkg-redis.v5-dev"], "Go")?;
    }
    let peer = home.join("go-peer");
    let mut build = program("go", &["build", "-o"]);
    build
        .arg(&peer)
        .arg(".")
        .current_dir(root.join(GO_SOURCES))
        .env("GO111MODULE", "off")
        .env("GOPATH", GO_PATH)
        .env("GOFLAGS", "");
    capture(&mut build)?;
    Ok(peer)
}
