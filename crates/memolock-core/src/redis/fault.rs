//! What a Redis or Valkey server's error line means.

use super::cluster::Redirect;
use super::{Address, error_lines};
use crate::ErrorKind;
use crate::connection::Fault;

const CLUSTER_NODE: &str = "the server is a node of a cluster: say so with a redis-cluster:// URL";

const NOT_SHARDED: &str =
    "sharded notifications need Redis 7.0 or Valkey; use Notifications::Classic";

const RESP3_NEEDED: &str =
    "the server does not speak RESP3: Redis 6.0 or later, or Valkey, is needed";

const NO_SCRIPTS: &str = "the server has no EVALSHA or EVAL, and memolock cannot do without: enable scripts, or use \
                          another server";

/// What to grant a user who may run no scripts.
const GRANT_SCRIPTS: &str = ": grant +eval +evalsha";

impl Fault {
    /// The server runs no scripts, by which everything is done but reading.
    #[must_use]
    pub fn no_scripts() -> Self {
        Self::new(ErrorKind::Unsupported, NO_SCRIPTS)
    }

    /// The server does not speak the protocol that pushes need; what it said of it.
    #[must_use]
    pub fn no_resp3(said: &str) -> Self {
        Self::new(
            ErrorKind::Unsupported,
            format!("{RESP3_NEEDED}; it said: {said}"),
        )
    }

    /// The server knows no sharded Pub/Sub.
    #[must_use]
    pub fn not_sharded() -> Self {
        Self::new(ErrorKind::Unsupported, NOT_SHARDED)
    }

    /// A server's error reply: its line without the leading `-`.
    #[must_use]
    pub fn answered(line: &str) -> Self {
        match Redirect::read(line) {
            Some(redirect) => Self::of_line(line).redirecting(redirect),
            None => Self::of_line(line),
        }
    }

    fn of_line(line: &str) -> Self {
        let (code, rest) = line.split_once(' ').unwrap_or((line, ""));
        let kind = match code {
            "ERR" => return worded(rest, line),
            "NOPROTO" => return Self::no_resp3(line),
            "MOVED" | "ASK" | "CROSSSLOT" => {
                return Self::new(ErrorKind::Unsupported, CLUSTER_NODE);
            }
            code if is_code(code) => error_lines::of_code(code).unwrap_or(ErrorKind::Unrecognized),
            // A proxy's, mostly.
            _ => return worded(line, line),
        };
        let advice = match code {
            "NOPERM" if rest.contains("'eval") => GRANT_SCRIPTS,
            _ => "",
        };
        Self::new(kind, format!("{code} {rest}{advice}"))
    }

    /// Whether the server has forgotten a script, and so did nothing.
    #[must_use]
    pub fn is_noscript(&self) -> bool {
        self.detail().starts_with("NOSCRIPT")
    }

    /// Whether a command met a server that takes no writes: a master that has been demoted.
    #[must_use]
    pub fn is_readonly(&self) -> bool {
        self.kind() == ErrorKind::Refused && self.detail().contains("READONLY")
    }

    /// Says where it was, and takes the secret out of what a server may have echoed.
    #[must_use]
    pub fn at(self, address: &Address) -> Self {
        self.at_place(&address.to_string(), address.password())
    }
}

/// Whether a line begins with a code, as those of servers do.
fn is_code(word: &str) -> bool {
    let capital = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
    word.len() > 1 && word.bytes().all(capital)
}

/// A line whose kind is in its words.
fn worded(words: &str, line: &str) -> Fault {
    let says = |known: &str| words.contains(known);
    if says("unknown command") && says("HELLO") {
        return Fault::no_resp3(line);
    }
    if is_script_command(words) {
        return Fault::no_scripts();
    }
    // The one command of a script that an old server may not know is SPUBLISH.
    if says("Unknown Redis command called from") || is_sharded_command(words) {
        return Fault::not_sharded();
    }
    let kind = error_lines::of_words(words).unwrap_or(ErrorKind::Unrecognized);
    // Before 7.0 a script's error wraps the code of the command that failed in it.
    let wrapped = match says("running script") {
        true => wrapped(words),
        false => None,
    };
    let advice = match says("invalid bulk length") {
        true => ": it takes no value of so many bytes, see proto-max-bulk-len",
        false => "",
    };
    Fault::new(wrapped.unwrap_or(kind), format!("{line}{advice}"))
}

fn wrapped(words: &str) -> Option<ErrorKind> {
    let mut words = words.split_whitespace();
    words.find_map(|word| error_lines::of_code(word.trim_start_matches('-')))
}

/// Whether it is one of those that run scripts that the server does not know.
fn is_script_command(rest: &str) -> bool {
    let named = rest.strip_prefix("unknown command").unwrap_or_default();
    let named = named.split(['\'', '`', '"']).nth(1).unwrap_or_default();
    named.eq_ignore_ascii_case("EVALSHA") || named.eq_ignore_ascii_case("EVAL")
}

/// Whether it is a command, or a subcommand, of sharded Pub/Sub that the server does not know.
fn is_sharded_command(rest: &str) -> bool {
    let rest = rest.to_ascii_uppercase();
    let of = ["SSUBSCRIBE", "SUNSUBSCRIBE", "SPUBLISH", "SHARDNUMSUB"];
    rest.starts_with("UNKNOWN") && of.iter().any(|command| rest.contains(command))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sharded_notifications_are_refused_by_those_who_lack_them() {
        for line in [
            "ERR unknown command `SSUBSCRIBE`, with args beginning with: `a`, ",
            "ERR unknown command 'spublish', with args beginning with: 'a' 'b' ",
            "ERR Unknown subcommand or wrong number of arguments for 'SHARDNUMSUB'. Try PUBSUB HELP.",
            "ERR Error running script (call to f_ab): @user_script:12: @user_script: 12: Unknown Redis command called from Lua script",
        ] {
            assert_eq!(Fault::answered(line), Fault::not_sharded(), "{line}");
        }
    }

    #[test]
    fn who_runs_no_scripts_says_so_and_who_may_run_none_hears_what_to_grant() {
        for line in [
            "ERR unknown command 'EVALSHA', with args beginning with: ",
            "ERR unknown command `eval`, with args beginning with: `return 1`, ",
        ] {
            assert_eq!(Fault::answered(line), Fault::no_scripts(), "{line}");
        }
        let other = "ERR unknown command 'SUBSCRIBE', with args beginning with: 'EVAL' ";
        assert_ne!(Fault::answered(other), Fault::no_scripts());
        for line in [
            "NOPERM this user has no permissions to run the 'evalsha' command or its subcommand",
            "NOPERM User ann has no permissions to run the 'eval' command",
        ] {
            let fault = Fault::answered(line);
            assert_eq!(fault.kind(), ErrorKind::Denied);
            assert_eq!(fault.detail(), format!("{line}{GRANT_SCRIPTS}"));
        }
        let other = "NOPERM User ann has no permissions to run the 'get' command";
        assert_eq!(Fault::answered(other).detail(), other);
    }

    #[test]
    fn a_node_says_where_to_turn() {
        let moved = Fault::answered("MOVED 3999 127.0.0.1:6381");
        assert!(matches!(
            moved.redirect(),
            Some(Redirect::Moved { slot: 3999, .. })
        ));
        assert!(moved.detail().contains("redis-cluster://"));
        assert_eq!(
            Fault::answered("TRYAGAIN x").redirect(),
            Some(&Redirect::TryAgain)
        );
        assert!(Fault::answered("CROSSSLOT x").redirect().is_none());
    }

    #[test]
    fn each_error_line_of_a_server_has_its_kind() {
        use ErrorKind::{
            Config, Denied, OutOfMemory, Protocol, Refused, Unrecognized, Unsupported, WrongType,
        };
        for (line, kind) in [
            (
                "OOM command not allowed when used memory > 'maxmemory'.",
                OutOfMemory,
            ),
            ("NOREPLICAS Not enough good replicas to write.", Refused),
            (
                "READONLY You can't write against a read only replica.",
                Refused,
            ),
            ("LOADING Redis is loading the dataset in memory", Refused),
            ("MISCONF Redis is configured to save RDB snapshots", Refused),
            ("BUSY Redis is busy running a script.", Refused),
            ("CLUSTERDOWN The cluster is down", Refused),
            ("MASTERDOWN Link with MASTER is down", Refused),
            (
                "TRYAGAIN Multiple keys request during rehashing of slot",
                Refused,
            ),
            ("ERR max number of clients reached", Refused),
            ("ERR Protocol error: invalid bulk length", Unsupported),
            ("NOAUTH Authentication required.", Denied),
            (
                "WRONGPASS invalid username-password pair or user is disabled.",
                Denied,
            ),
            ("ERR invalid password", Denied),
            ("DENIED Redis is running in protected mode", Denied),
            ("NOPERM this user has no permissions", Denied),
            (
                "ERR The user executing the script can't run this command or subcommand",
                Denied,
            ),
            (
                "ERR ACL failure in script: No permissions to access a channel script: bc52, on @user_script:7.",
                Denied,
            ),
            (
                "WRONGTYPE Operation against a key holding the wrong kind of value",
                WrongType,
            ),
            (
                "ERR Error running script (call to f_ab): @user_script:3: WRONGTYPE Operation against",
                WrongType,
            ),
            (
                "ERR Error running script (call to f_ab): @user_script:7: -OOM command not allowed",
                OutOfMemory,
            ),
            (
                "ERR Error running script (call to f_ab): @user_script:7: whatever",
                Protocol,
            ),
            ("NOPROTO unsupported protocol version", Unsupported),
            (
                "ERR unknown command 'HELLO', with args beginning with: '3'",
                Unsupported,
            ),
            ("ERR unknown command 'EVALSHA'", Unsupported),
            ("MOVED 3999 127.0.0.1:6381", Unsupported),
            ("ERR DB index is out of range", Config),
            ("ERR wrong number of arguments for 'get' command", Protocol),
            ("ERR value is not an integer or out of range", Protocol),
            ("NOSCRIPT No matching script. Please use EVAL.", Protocol),
            (
                "CROSSSLOT Keys in request don't hash to the same slot",
                Unsupported,
            ),
            ("unsupported command 'EVALSHA'", Unsupported),
            (
                "ERR max requests limit exceeded. Limit: 500000",
                Unrecognized,
            ),
            ("upstream failure", Unrecognized),
            ("no upstream host", Unrecognized),
            ("ERR something new", Unrecognized),
            ("NEWCODE something new", Unrecognized),
            ("ERR", Unrecognized),
            ("", Unrecognized),
        ] {
            assert_eq!(Fault::answered(line).kind(), kind, "{line}");
        }
    }

    #[test]
    fn details_are_short_and_hold_no_password() {
        let echo =
            Fault::answered("ERR unknown command `AUTH`, with args beginning with: `hunter2`, ");
        assert_eq!(echo.detail(), "ERR unknown command `AUTH`");
        let address = Address::parse("redis://:hunter2@h:1").unwrap();
        let scrubbed = Fault::new(ErrorKind::Denied, "no hunter2").at(&address);
        assert_eq!(scrubbed.detail(), "h:1: no ***");
        assert!(
            Fault::new(ErrorKind::Protocol, "ü".repeat(999))
                .detail()
                .len()
                <= 300
        );
    }

    #[test]
    fn a_fault_of_which_nothing_was_said_names_the_place_alone() {
        let address = Address::parse("redis://localhost:1").unwrap();
        let fault = Fault::new(ErrorKind::Timeout, "").at(&address);
        assert_eq!(fault.detail(), address.to_string());
    }
}
