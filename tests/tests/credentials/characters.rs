//! Every character in passwords and names of users, from a URL and from a provider, over every adapter.
//!
//! fred writes `HELLO` as an inline command: a password with a space or a quote in it was refused, and what stood behind a
//! line feed was run as a command of its own.

use futures_util::{StreamExt, stream};
use memolock::core::ErrorKind;
use memolock_testkit::{Connection, Value};
use memolock_tests::{Adapter, own_server};

use crate::{connect, encoded, provided};

/// Connections that are made at once.
const AT_ONCE: usize = 8;

/// U+0000 to U+00FF.
fn characters() -> impl Iterator<Item = char> {
    (0..=0xff_u8).map(char::from)
}

/// With the character amid others, and alone.
fn passwords() -> Vec<String> {
    let amid = characters().map(|c| format!("a{c}b"));
    amid.chain(characters().map(String::from)).collect()
}

async fn give(admin: &mut Connection, user: &str, rules: &[String]) -> bool {
    let mut words = vec!["ACL", "SETUSER", user, "reset", "on", "~*", "&*", "+@all"];
    words.extend(rules.iter().map(String::as_str));
    admin.command(&words).await.is_ok()
}

/// How each adapter fared, as far as it may not differ.
async fn outcomes(port: u16, user: &str, password: &str) -> Vec<Option<ErrorKind>> {
    let [user_shown, password_shown] = [user, password].map(encoded);
    let url = format!("redis://{user_shown}:{password_shown}@127.0.0.1:{port}");
    let bare = format!("redis://127.0.0.1:{port}");
    let mut outcomes = Vec::new();
    for adapter in Adapter::ALL {
        let both = [
            connect(adapter, &url).await,
            provided(adapter, &bare, (user, password)).await,
        ];
        for outcome in both {
            outcomes.push(match outcome {
                Ok(backend) => {
                    backend.close().await;
                    None
                }
                Err(error) => {
                    let line = error.to_string();
                    assert!(!line.contains(['\n', '\r']), "{line:?}");
                    // A shorter one is in many a word.
                    let told = password.len() > 2 && line.contains(password);
                    assert!(!told, "{line:?} tells {password:?}");
                    Some(error.kind())
                }
            });
        }
    }
    outcomes
}

#[tokio::test]
async fn of_a_password() {
    let server = own_server().await;
    let mut admin = server.connect().await.unwrap();
    let rules: Vec<String> = passwords().iter().map(|p| format!(">{p}")).collect();
    for user in ["ann", "default"] {
        assert!(give(&mut admin, user, &rules).await);
    }
    let port = server.port();
    // In turns: a user, or the default one, which the URL does not name.
    let users = ["ann", ""].into_iter().cycle();
    let tries: Vec<_> = passwords().into_iter().zip(users).collect();
    let mut tries = stream::iter(tries)
        .map(|(password, user)| async move {
            let outcomes = outcomes(port, user, &password).await;
            (password, user, outcomes)
        })
        .buffer_unordered(AT_ONCE);
    while let Some((password, user, outcomes)) = tries.next().await {
        let in_all = outcomes.iter().all(Option::is_none);
        assert!(in_all, "{user:?} with {password:?}: {outcomes:?}");
    }
}

/// What is near to a right one is a wrong one: nothing is cut off, and nothing is read otherwise than it is written.
#[tokio::test]
async fn of_a_password_that_is_wrong() {
    let server = own_server().await;
    let mut admin = server.connect().await.unwrap();
    assert!(give(&mut admin, "ann", &[">secret".to_owned()]).await);
    for c in [' ', '"', '\'', '\\', '\r', '\n', '\0', '\t', '%', '\u{e9}'] {
        for password in [
            format!("secret{c}"),
            format!("{c}secret"),
            format!("secret{c}x"),
        ] {
            let outcomes = outcomes(server.port(), "ann", &password).await;
            let denied = outcomes
                .iter()
                .all(|outcome| *outcome == Some(ErrorKind::Denied));
            assert!(denied, "{password:?}: {outcomes:?}");
        }
    }
}

/// Servers take no name with a space or a null in it: with such a one nobody is in.
#[tokio::test]
async fn of_a_name() {
    let server = own_server().await;
    let mut admin = server.connect().await.unwrap();
    let mut refused = String::new();
    for c in characters() {
        let name = format!("n{c}m");
        let known = give(&mut admin, &name, &[">pw".to_owned()]).await;
        let expected = match known {
            true => None,
            false => Some(ErrorKind::Denied),
        };
        let outcomes = outcomes(server.port(), &name, "pw").await;
        let fit = outcomes.iter().all(|outcome| *outcome == expected);
        assert!(fit, "{name:?}: {outcomes:?}");
        if !known {
            refused.push(c);
        }
    }
    assert_eq!(refused, "\0\t\n\u{b}\u{c}\r ");
}

/// The default user may do everything here, and what comes before a log-in is the default user's.
#[tokio::test]
async fn behind_a_line_feed_run_no_command() {
    let server = own_server().await;
    let mut admin = server.connect().await.unwrap();
    admin.command(&["SET", "canary", "alive"]).await.unwrap();
    for end in ["\r\n", "\n", "\r"] {
        let commands = format!("x{end}SET planted 1{end}DEL canary{end}");
        for (user, password) in [
            ("ann", commands.as_str()),
            (commands.as_str(), "pw"),
            (commands.as_str(), ""),
            (commands.as_str(), commands.as_str()),
        ] {
            let outcomes = outcomes(server.port(), user, password).await;
            let denied = outcomes
                .iter()
                .all(|outcome| *outcome == Some(ErrorKind::Denied));
            assert!(denied, "{user:?}, {password:?}: {outcomes:?}");
        }
    }
    let planted = admin.command(&["EXISTS", "planted"]).await.unwrap();
    assert_eq!(planted, Value::Integer(0));
    let canary = admin.command(&["GET", "canary"]).await.unwrap();
    assert_eq!(canary.as_str(), Some("alive"));
}
