//! Which error lines of Redis, Valkey and what stands before them are known, and of what kind they are: the one list.
//!
//! A line begins with a code in capitals, or with `ERR` and words. What is in no table here is
//! [`Unrecognized`](ErrorKind::Unrecognized): it is not known to be about this key or this command, so it is an outage.
//! `ERR max requests limit exceeded` of a provider's quota and `upstream failure` of Envoy are two of them.
//!
//! | kind | about | examples |
//! |---|---|---|
//! | `Refused` | the server, for now | `BUSY`, `READONLY`, `LOADING`, `MISCONF`, `NOREPLICAS`, `CLUSTERDOWN`, `MASTERDOWN`, `TRYAGAIN`, `max number of clients` |
//! | `OutOfMemory` | the server, until it has room | `OOM` |
//! | `Denied` | the user | `NOAUTH`, `WRONGPASS`, `NOPERM`, `DENIED` |
//! | `WrongType` | the key | `WRONGTYPE` |
//! | `Unsupported` | the command, or the layout of its keys | `unknown command`, `unsupported command`, `invalid bulk length`, `CROSSSLOT`, `MOVED`, `ASK`, `NOPROTO` |
//! | `Config` | the connection's settings | `DB index is out of range` |
//! | `Protocol` | the command or the script | `wrong number of arguments`, `value is not an integer`, `syntax error`, `NOSCRIPT`, an error of a script |

use crate::ErrorKind;

/// The code of a line. None if it is not known.
pub(super) fn of_code(code: &str) -> Option<ErrorKind> {
    Some(match code {
        "READONLY" | "LOADING" | "MISCONF" | "BUSY" | "NOREPLICAS" | "CLUSTERDOWN"
        | "MASTERDOWN" | "TRYAGAIN" => ErrorKind::Refused,
        "OOM" => ErrorKind::OutOfMemory,
        "NOAUTH" | "WRONGPASS" | "NOPERM" | "DENIED" => ErrorKind::Denied,
        "WRONGTYPE" => ErrorKind::WrongType,
        "MOVED" | "ASK" | "CROSSSLOT" | "NOPROTO" => ErrorKind::Unsupported,
        "NOSCRIPT" | "EXECABORT" | "BUSYKEY" => ErrorKind::Protocol,
        _ => return None,
    })
}

/// The words behind `ERR`, or a whole line without a code. None if none of them is known. Servers and proxies do not
/// agree on capitals.
pub(super) fn of_words(words: &str) -> Option<ErrorKind> {
    let words = words.to_ascii_lowercase();
    let known = WORDS.iter().find(|(known, _)| words.contains(known));
    known.map(|(_, kind)| *kind)
}

/// In lower case; the first that is found counts.
const WORDS: &[(&str, ErrorKind)] = &[
    ("max number of clients", ErrorKind::Refused),
    ("invalid password", ErrorKind::Denied),
    ("invalid username-password", ErrorKind::Denied),
    ("no password is set", ErrorKind::Denied),
    ("without any password configured", ErrorKind::Denied),
    ("operation not permitted", ErrorKind::Denied),
    ("the user executing the script", ErrorKind::Denied),
    // What Redis 8 and Valkey say of a channel; of a command or a key they say NOPERM.
    ("acl failure in script", ErrorKind::Denied),
    ("db index", ErrorKind::Config),
    ("unknown command", ErrorKind::Unsupported),
    ("unsupported command", ErrorKind::Unsupported),
    ("unknown subcommand", ErrorKind::Protocol),
    ("wrong number of arguments", ErrorKind::Protocol),
    ("not an integer", ErrorKind::Protocol),
    ("not a valid float", ErrorKind::Protocol),
    ("value is out of range", ErrorKind::Protocol),
    ("invalid expire time", ErrorKind::Protocol),
    ("string exceeds maximum", ErrorKind::Protocol),
    ("syntax error", ErrorKind::Protocol),
    // A value with more bytes than the server takes.
    ("invalid bulk length", ErrorKind::Unsupported),
    ("protocol error", ErrorKind::Protocol),
    ("no such key", ErrorKind::Protocol),
    // Of `CLIENT`, `CLUSTER` and the like.
    ("unknown option", ErrorKind::Protocol),
    ("cluster support disabled", ErrorKind::Protocol),
    // A connection that subscribes, over RESP2.
    ("can't execute", ErrorKind::Protocol),
    // Of a script, by the name that servers give it or by what went wrong.
    ("user_script", ErrorKind::Protocol),
    ("running script", ErrorKind::Protocol),
    ("compiling script", ErrorKind::Protocol),
    ("script attempted to access", ErrorKind::Protocol),
    ("not allowed from script", ErrorKind::Protocol),
    ("called from lua script", ErrorKind::Protocol),
    ("number of keys can't be", ErrorKind::Protocol),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_about_the_key_or_the_command_is_known_and_the_rest_is_not() {
        for words in [
            "wrong number of arguments for 'get' command",
            "value is not an integer or out of range",
            "invalid expire time in 'set' command",
            "Protocol error: invalid multibulk length",
            "user_script:3: attempt to index a nil value script: ab, on @user_script:3.",
            "Error compiling script (new function): user_script:1: '=' expected near 'x'",
            "unknown subcommand 'SHARDNUMSUB'. Try PUBSUB HELP.",
            "This instance has cluster support disabled",
        ] {
            assert_eq!(of_words(words), Some(ErrorKind::Protocol), "{words}");
        }
        for words in [
            "max requests limit exceeded. Limit: 500000, Usage: 500000.",
            "max daily request limit exceeded",
            "upstream failure",
            "no upstream host",
            "server connection pool is exhausted",
            "Connection timed out",
            "",
        ] {
            assert_eq!(of_words(words), None, "{words}");
        }
        assert_eq!(of_code("IOERR"), None);
        assert_eq!(of_code("ERR"), None);
    }

    #[test]
    fn the_table_is_in_lower_case() {
        for (words, _) in WORDS {
            assert_eq!(*words, words.to_ascii_lowercase());
        }
    }
}
