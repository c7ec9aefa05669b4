//! The id of a `run`: the command, and what else its output depends on.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use clap::Args;
use clap::builder::{OsStringValueParser, TypedValueParser};
use sha2::{Digest as _, Sha256};

use crate::exit::Failure;

/// The longest command line that is its own id, in bytes. Of a longer one the id has as much, and a digest.
const READABLE: usize = 200;

/// What a digest begins with, so that another release may change what it is made of.
const VERSION: &str = "memolock run 1";

/// What the output depends on besides the command.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Options for the id")]
pub(crate) struct IdParts {
    /// Read standard input to its end, add it to the id, and pass it to the command; by default it gets no input
    #[arg(long)]
    pub(crate) stdin: bool,
    /// Add the working directory to the id, with symbolic links resolved
    #[arg(long)]
    cwd: bool,
    /// Add an environment variable to the id; unset and empty are different. Can be given several times, in any order
    #[arg(long = "env", value_name = "NAME", value_parser = OsStringValueParser::new().try_map(variable))]
    variables: Vec<OsString>,
    /// Add a file's modification time to the id; a missing file counts as a time of its own. Can be given several times
    #[arg(long = "modtime", value_name = "FILE")]
    files: Vec<PathBuf>,
}

impl IdParts {
    /// The id: `given`, or else the command line; with a digest where there are parts, or the line is long.
    pub(super) fn complete(
        &self,
        given: Option<&str>,
        line: impl FnOnce() -> String,
        input: Option<&[u8]>,
    ) -> Result<String, Failure> {
        let base = given.map_or_else(line, str::to_owned);
        if self.is_empty() && (given.is_some() || base.len() <= READABLE) {
            return Ok(base);
        }
        let mut digest = Fields::new();
        digest.add(VERSION);
        digest.add(&base);
        if let Some(input) = input {
            digest.add("stdin");
            digest.add(input);
        }
        if self.cwd {
            let cwd = env::current_dir()
                .map_err(|error| Failure::failed(format!("--cwd: there is none: {error}")))?;
            digest.add("cwd");
            digest.add(bytes(&cwd));
        }
        for name in sorted(&self.variables) {
            let value = env::var_os(name);
            digest.add("env");
            digest.add(bytes(name));
            digest.add(if value.is_some() { "set" } else { "unset" });
            digest.add(bytes(&value.unwrap_or_default()));
        }
        for file in sorted(&self.files) {
            digest.add("modtime");
            digest.add(bytes(file));
            digest.add(modified(file)?);
        }
        Ok(format!("{} #{}", beginning(&base), digest.hex()))
    }

    fn is_empty(&self) -> bool {
        !self.stdin && !self.cwd && self.variables.is_empty() && self.files.is_empty()
    }
}

/// A digest of fields, each of which has its length before it: what is in one cannot pass for another.
struct Fields(Sha256);

impl Fields {
    fn new() -> Self {
        Self(Sha256::new())
    }

    fn add(&mut self, field: impl AsRef<[u8]>) {
        let field = field.as_ref();
        self.0.update((field.len() as u64).to_le_bytes());
        self.0.update(field);
    }

    fn hex(self) -> String {
        let bytes = self.0.finalize();
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// As much of it as people need to know it again.
fn beginning(base: &str) -> &str {
    let mut end = base.len().min(READABLE);
    while !base.is_char_boundary(end) {
        end -= 1;
    }
    &base[..end]
}

/// In one order, whatever the command line's: and each once.
fn sorted<T: Ord>(given: &[T]) -> Vec<&T> {
    let mut sorted: Vec<&T> = given.iter().collect();
    sorted.sort_unstable();
    sorted.dedup();
    sorted
}

fn bytes(text: &(impl AsRef<OsStr> + ?Sized)) -> &[u8] {
    text.as_ref().as_encoded_bytes()
}

fn modified(file: &Path) -> Result<String, Failure> {
    let time = match fs::metadata(file).and_then(|found| found.modified()) {
        Ok(time) => time,
        // The path ends at something that is not there, or is no directory.
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok("none".to_owned());
        }
        Err(error) => {
            let file = file.display();
            return Err(Failure::failed(format!("--modtime {file}: {error}")));
        }
    };
    Ok(match time.duration_since(UNIX_EPOCH) {
        Ok(after) => format!("+{}", after.as_nanos()),
        Err(before) => format!("-{}", before.duration().as_nanos()),
    })
}

fn variable(name: OsString) -> Result<OsString, &'static str> {
    match name.as_encoded_bytes() {
        [] => Err("a variable has a name"),
        name if name.contains(&b'=') => Err("the name alone: the value is that of the environment"),
        _ => Ok(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(parts: &IdParts, base: &str, input: Option<&[u8]>) -> String {
        parts.complete(None, || base.to_owned(), input).unwrap()
    }

    fn stdin() -> IdParts {
        IdParts {
            stdin: true,
            ..IdParts::default()
        }
    }

    #[test]
    fn a_short_command_is_its_own_id() {
        let none = IdParts::default();
        assert_eq!(id(&none, "echo hi", None), "echo hi");
        let longest = "a".repeat(READABLE);
        assert_eq!(id(&none, &longest, None), longest);
    }

    #[test]
    fn an_id_that_is_given_stays_as_it_is_and_parts_are_added_to_it() {
        let given = "g".repeat(READABLE + 1);
        let line = || unreachable!("an id is given");
        let id = IdParts::default().complete(Some(&given), line, None);
        assert_eq!(id.unwrap(), given);
        let id = stdin().complete(Some("report"), line, Some(b"")).unwrap();
        assert!(id.starts_with("report #"), "{id}");
    }

    #[test]
    fn a_long_command_has_a_beginning_and_a_digest() {
        let none = IdParts::default();
        // The boundary of the beginning falls into a character.
        let long = format!("{}{}", "a".repeat(READABLE - 1), "ü".repeat(50_000));
        let one = id(&none, &long, None);
        assert_eq!(one.len(), READABLE - 1 + 2 + 64);
        let other = id(&none, &(long + "x"), None);
        assert_ne!(one, other);
        assert_eq!(one[..READABLE], other[..READABLE]);
    }

    /// What two releases, or two machines, have in common: this may change only together with the version.
    #[test]
    fn the_digest_stays_the_same() {
        let digest = "cc79156715eeecdcdae85d15efb3035022416332836d14dab123dcd0593fad4b";
        assert_eq!(
            id(&stdin(), "wc -l", Some(b"one\n")),
            format!("wc -l #{digest}")
        );
    }

    #[test]
    fn the_input_is_part_of_it_also_where_it_is_empty() {
        let ids = [
            id(&IdParts::default(), "cat", None),
            id(&stdin(), "cat", Some(b"")),
            id(&stdin(), "cat", Some(b"a")),
        ];
        assert!(ids[0] != ids[1] && ids[1] != ids[2], "{ids:?}");
    }

    #[test]
    fn order_and_repetition_mean_nothing() {
        let of = |names: &[&str]| IdParts {
            variables: names.iter().map(OsString::from).collect(),
            ..IdParts::default()
        };
        let one = id(&of(&["NO_SUCH_1", "NO_SUCH_2"]), "x", None);
        assert_eq!(
            one,
            id(&of(&["NO_SUCH_2", "NO_SUCH_1", "NO_SUCH_2"]), "x", None)
        );
        assert_ne!(one, id(&of(&["NO_SUCH_1"]), "x", None));
    }

    #[test]
    fn a_field_cannot_pass_for_two() {
        let digest = |fields: &[&str]| {
            let mut digest = Fields::new();
            fields.iter().for_each(|field| digest.add(field));
            digest.hex()
        };
        assert_ne!(digest(&["ab", "c"]), digest(&["a", "bc"]));
        assert_ne!(digest(&["ab"]), digest(&["ab", ""]));
    }
}
