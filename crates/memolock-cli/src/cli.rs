//! The command line: options, their defaults and their help.

use std::ffi::OsString;
use std::time::Duration;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Args, Parser, Subcommand, value_parser};

use crate::connect::BackendName;
use crate::exit::Failure;
use crate::repeat::RepeatNotice;
use crate::run::id::IdParts;
use crate::tls::TlsFiles;

const URL_HELP: &str = "The server: redis://[user[:pass]@]host[:port][/db], rediss://…, \
                        redis-sentinel://host[:port][,host…]/service[/db], redis-cluster://host[:port][,host…] or redis+unix:///path.sock";

const EXIT_CODES: &str = "\
Exit codes:
  0  fine
  1  failed
  2  the command line, a URL or a setting cannot be used
  3  there is no value (get)
  4  the wait timed out (run)
run passes on the exit code of its command, or 126 or 127 if that cannot be started. It exits with 124 if
--compute-timeout passes, and with 129, 130 or 143 if it is interrupted by SIGHUP, SIGINT or SIGTERM.";

const EXAMPLES: &str = "\
Examples:
  memolock herd                                    ten thousand callers, one compute, no server needed
  export MEMOLOCK_URL=redis://127.0.0.1:6379
  memolock herd --processes 8                      the same from eight processes, through the server
  memolock run --ttl 10s -- curl -s example.org    run it once in ten seconds, however many ask
  memolock inspect --tag likes --id kristoff       is there a value, and who is computing it?";

const RUN_HELP: &str = "\
Examples:
  memolock run --ttl 10s -- curl -s https://example.org/rates
  memolock run --ttl 1h --id report --wait 5m -- ./make-report --month 11

The command runs if no output is stored and no other process is running it. Other runs with the same id, on any
machine, wait and get the same bytes. The command writes to the stderr of memolock, and has no stdin unless --stdin
is given. Its stdout is printed when it has ended; above 512 MiB it is printed and not stored. If the command fails,
memolock passes on its exit code and stores nothing, and one of the waiting runs starts the command. If memolock is
interrupted, it ends the command (SIGTERM, and SIGKILL after 2 s) and releases the lock. If memolock is killed with
SIGKILL, the command goes on, and the lock ends with its lease. A signal that is ignored when memolock starts, as
under nohup, stays ignored.

The id is the command line. Words with spaces or other special characters are in quotes, so 'a b' and a b are two
ids. Nothing else is part of the id: no input, working directory, environment or file. --stdin, --cwd, --env and
--modtime add these, as one digest after ' #'. A command line of more than 200 bytes is cut and has a digest too.
--id replaces the command line; the other options add to it. --json prints the whole id.

Exit codes: that of the command, or 128 + the number of the signal that ended it; 126 and 127 if it cannot be
started; 124 if --compute-timeout passes; 1 for an error that running without the server would not fix;
2 for usage; 4 if --wait passes; 129, 130 and 143 if interrupted by SIGHUP, SIGINT or SIGTERM.";

const HERD_HELP: &str = "\
Examples:
  memolock herd
  memolock herd --tasks 16000 --keys 1000 --compute 10ms
  memolock herd --url redis://127.0.0.1:6379 --processes 8 --repeat 500 --tasks 400

All callers begin at once, on keys that nobody has used before. Each checks that the value it gets belongs to its
key, and in the end there must be one value per key over all processes. Latencies count from the moment at which
the callers are let go. The ids of the keys begin with --id (default: herd); their values are gone after 60s.

Exit codes: 0; 1 if any caller failed or got a wrong value; 2 for usage.";

/// Distributed memoization with promises: one caller computes, everybody else waits and is woken
#[derive(Debug, Parser)]
#[command(
    name = "memolock",
    version,
    max_term_width = 110,
    disable_help_subcommand = true
)]
#[command(after_help = format!("{EXAMPLES}\n\n{EXIT_CODES}"))]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Options of every command, before its name or after it.
#[derive(Debug, Args)]
#[command(next_help_heading = "Common options")]
pub(crate) struct Common {
    /// The backend (herd: or a list, dealt to its processes); by default redis-rs if there is a URL, else memory
    #[arg(long, global = true, value_name = "NAME", value_delimiter = ',')]
    pub(crate) backend: Vec<BackendName>,
    // Not a doc comment: rustdoc would make links of it.
    #[arg(long, global = true, env = "MEMOLOCK_URL", hide_env_values = true, help = URL_HELP)]
    pub(crate) url: Option<String>,
    #[command(flatten)]
    pub(crate) tls: TlsFiles,
    /// The tag: keys are TAG:ID, TAG/lock:ID and so on
    #[arg(long, global = true, default_value = "memolock")]
    pub(crate) tag: String,
    /// The id within the tag
    #[arg(long, global = true)]
    pub(crate) id: Option<String>,
    /// How long the store may take to answer a command; large values need more
    #[arg(long, global = true, default_value = "1s", value_name = "TIME", value_parser = command_timeout)]
    pub(crate) timeout: Duration,
    /// Print one JSON object
    #[arg(long, global = true)]
    pub(crate) json: bool,
    // Nor here: clap would print the backticks that the lint wants.
    #[arg(
        long,
        short,
        global = true,
        help = "Log to stderr; RUST_LOG chooses more finely"
    )]
    pub(crate) verbose: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Let a thundering herd loose and count what it costs
    #[command(after_help = HERD_HELP)]
    Herd(HerdArgs),
    /// Memoize a command: print its stdout, stored or fresh
    #[command(after_help = RUN_HELP)]
    Run(RunArgs),
    /// Print a value, byte for byte; exit code 3 where there is none
    Get(GetArgs),
    /// Store a value and end whatever compute is under way
    Put(StoreArgs),
    /// Store a value and tell those who wait, leaving the lock to its holder, as an external program does
    Resolve(StoreArgs),
    /// Delete a value; a compute that is under way cannot store its own any more
    Invalidate(InvalidateArgs),
    /// Look at a value and its lock without touching them
    Inspect(InspectArgs),
    /// One process of a herd, told by its parent over stdin what to do
    #[command(hide = true)]
    HerdWorker,
}

#[derive(Debug, Args)]
pub(crate) struct HerdArgs {
    /// Callers, over all processes
    #[arg(long, default_value_t = 10_000, value_name = "N", value_parser = value_parser!(u32).range(1..=100_000_000))]
    pub(crate) tasks: u32,
    /// Processes; more than one need a server
    #[arg(long, default_value_t = 1, value_name = "P", value_parser = value_parser!(u32).range(1..=1024))]
    pub(crate) processes: u32,
    /// Keys, to which the callers are dealt in turn
    #[arg(long, default_value_t = 1, value_name = "K", value_parser = value_parser!(u32).range(1..))]
    pub(crate) keys: u32,
    /// How long a compute takes
    #[arg(long, default_value = "100ms", value_name = "TIME", value_parser = duration)]
    pub(crate) compute: Duration,
    /// Herds in a row, each on fresh keys, over the same connections
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = value_parser!(u32).range(1..=1_000_000))]
    pub(crate) repeat: u32,
    /// How long a caller waits for somebody else's compute [default: 30s and the compute]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) wait: Option<Duration>,
    /// How long a lease lasts unless renewed
    #[arg(long, default_value = "5s", value_name = "TIME", value_parser = duration)]
    pub(crate) lease: Duration,
}

#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// How long the output is kept
    #[arg(long, default_value = "60s", value_name = "TIME", value_parser = duration)]
    pub(crate) ttl: Duration,
    /// How long after our sudden death somebody else may run it; renewed while we live
    #[arg(long, default_value = "5s", value_name = "TIME", value_parser = duration)]
    pub(crate) lease: Duration,
    /// How long the command may take; then it is asked to end, and the exit code is 124 [default: no limit]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) compute_timeout: Option<Duration>,
    /// How long the lock is kept at most; after that another run may start the command again [default: no limit]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) max_lease: Option<Duration>,
    /// How long to wait for somebody else's run
    #[arg(long, default_value = "30s", value_name = "TIME", value_parser = duration)]
    pub(crate) wait: Duration,
    /// Fail rather than run the command without the server
    #[arg(long)]
    pub(crate) strict: bool,
    #[command(flatten)]
    pub(crate) repeat: RepeatNotice,
    #[command(flatten)]
    pub(crate) id_parts: IdParts,
    /// The command and its arguments; without --id, they are the id
    #[arg(required = true, trailing_var_arg = true, value_name = "CMD")]
    pub(crate) command: Vec<OsString>,
}

#[derive(Debug, Args)]
#[command(after_help = "Example: memolock get --tag likes --id kristoff")]
pub(crate) struct GetArgs {}

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  memolock put --tag likes --id kristoff --ttl 5m 42\n  ./count-likes kristoff | memolock resolve --tag likes --id kristoff -"
)]
pub(crate) struct StoreArgs {
    /// The value; - reads it from stdin, byte for byte
    pub(crate) value: OsString,
    /// How long it is kept
    #[arg(long, default_value = "60s", value_name = "TIME", value_parser = duration)]
    pub(crate) ttl: Duration,
    #[command(flatten)]
    pub(crate) repeat: RepeatNotice,
}

#[derive(Debug, Args)]
#[command(after_help = "Example: memolock invalidate --tag likes --id kristoff")]
pub(crate) struct InvalidateArgs {}

#[derive(Debug, Args)]
#[command(after_help = "Example: memolock inspect --tag likes --id kristoff")]
pub(crate) struct InspectArgs {}

impl Common {
    /// The id, for commands that cannot do without one.
    pub(crate) fn needed_id(&self) -> Result<&str, Failure> {
        let missing = || Failure::usage("which id? Give --id, and --tag if it is not memolock");
        self.id.as_deref().ok_or_else(missing)
    }
}

pub(crate) fn duration(text: &str) -> Result<Duration, humantime::DurationError> {
    humantime::parse_duration(text)
}

/// As backends allow it, and with the name of the flag where they do not.
fn command_timeout(text: &str) -> Result<Duration, String> {
    let timeout = duration(text).map_err(|error| error.to_string())?;
    match (Duration::from_millis(1)..=Duration::from_secs(24 * 60 * 60)).contains(&timeout) {
        true => Ok(timeout),
        false => Err("at least 1ms and at most a day".to_owned()),
    }
}

/// Reads the command line. Help and the version are printed, and end the process.
pub(crate) fn parse() -> Result<Cli, Failure> {
    Cli::try_parse().map_err(|error| match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            // An error is a reader that has left.
            let _ = error.print();
            std::process::exit(0)
        }
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => error.exit(),
        _ => Failure::usage(one_line(&error)),
    })
}

/// clap's message without usage and hints, which fill half a screen.
fn one_line(error: &clap::Error) -> String {
    // Words with spaces or line feeds in them first: what is left of such a one is not known for a URL.
    let mut text = error.to_string();
    for (_, value) in error.context() {
        let words = match value {
            ContextValue::String(word) => std::slice::from_ref(word),
            ContextValue::Strings(words) => words.as_slice(),
            _ => continue,
        };
        for word in words.iter().filter(|word| word.contains("://")) {
            text = text.replace(word, &without_password(word));
        }
    }
    let text = without_passwords(&text);
    let message: Vec<&str> = text
        .trim_start_matches("error: ")
        .lines()
        .take_while(|line| !line.is_empty())
        .map(str::trim)
        .collect();
    let mut line = message.join(" ");
    if let Some(tip) = error.get(ContextKind::SuggestedArg) {
        line.push_str(&format!("; did you mean {tip}?"));
    }
    line + " (--help says more)"
}

/// Words of the command line are repeated in errors, and one may be a URL that stands where none
/// belongs. (Errors of backends hold no passwords in the first place.)
fn without_passwords(line: &str) -> String {
    let words = line.split(' ').map(without_password);
    words.collect::<Vec<_>>().join(" ")
}

fn without_password(word: &str) -> String {
    let Some((scheme, rest)) = word.split_once("://") else {
        return word.to_owned();
    };
    // The last @, for a password may hold one.
    let (who, rest) = match rest.rsplit_once('@') {
        // It may stand amid a password, in the query or before the host.
        Some((before, _)) if before.contains('?') => ("***", ""),
        Some((_, rest)) => ("***@", rest),
        None => ("", rest),
    };
    let (place, query) = rest
        .split_once('?')
        .map_or((rest, ""), |(place, _)| (place, "?***"));
    format!("{scheme}://{who}{place}{query}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn read(args: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(args.split(' '))
    }

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn common_options_stand_before_the_command_or_after_it() {
        for args in [
            "memolock --url u --tag t --id i --json get",
            "memolock get --url u --tag t --id i --json",
            "memolock --tag t --url u get --json --id i",
        ] {
            let Common {
                url, tag, id, json, ..
            } = read(args).unwrap().common;
            assert_eq!((url.as_deref(), &*tag), (Some("u"), "t"), "{args}");
            assert_eq!((id.as_deref(), json), (Some("i"), true), "{args}");
        }
    }

    #[test]
    fn a_command_keeps_its_own_options() {
        for args in [
            "memolock run --ttl 10s -- cmd --json -v",
            "memolock run --ttl 10s cmd --json -v",
        ] {
            let cli = read(args).unwrap();
            let Command::Run(run) = cli.command else {
                panic!("{args}")
            };
            assert_eq!(run.command, ["cmd", "--json", "-v"]);
            assert_eq!(run.ttl, Duration::from_secs(10));
            assert!(!cli.common.json);
        }
    }

    #[test]
    fn errors_are_one_line() {
        for (args, expected) in [
            ("memolock run", "not provided: <CMD>"),
            ("memolock herd --tasks 0", "'0'"),
            ("memolock herd --compute 5", "time unit needed"),
            ("memolock herd --taks 5", "did you mean --tasks?"),
            ("memolock put", "<VALUE>"),
            ("memolock redis://:p@ss@host:1/0", "'redis://***@host:1/0'"),
            ("memolock redis://h?pass=p@ss", "'redis://***"),
            (
                "memolock redis+unix:///s?db=1&pass=x",
                "'redis+unix:///s?***",
            ),
        ] {
            let line = one_line(&read(args).unwrap_err());
            assert!(line.contains(expected), "{line}");
            assert!(!line.contains('\n') && !line.contains("Usage"), "{line}");
        }
    }

    #[test]
    fn passwords_with_any_character_are_masked() {
        for word in [
            "redis://u:hunter2 hunter2@h",
            "redis://u:hunter2\n\nhunter2@h",
            "redis://h?pass=hunter2 hunter2",
            "redis://u:hunter2?hunter2@hunter2 h",
        ] {
            for args in [
                &["memolock", word][..],
                &["memolock", "herd", "--tasks", word],
            ] {
                let line = one_line(&Cli::try_parse_from(args).unwrap_err());
                assert!(
                    line.contains("redis://") && !line.contains("unter2"),
                    "{line}"
                );
            }
        }
    }
}
