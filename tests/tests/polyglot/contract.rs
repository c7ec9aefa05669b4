//! The peers themselves: they send what the ancestors sent, and nothing of ours.

use std::time::Duration;

use memolock_testkit::TestServer;
use memolock_tests::{Event, Language, Peer, SECOND, Style, eventually, own_server};

const MINUTE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn python() {
    follows_the_contract(Language::Python).await;
}

#[tokio::test]
async fn go() {
    follows_the_contract(Language::Go).await;
}

async fn follows_the_contract(language: Language) {
    let server = own_server().await;
    for style in Style::ALL {
        let tag = style.to_string();
        let start = Peer::start(language, style, &server, &tag, MINUTE, MINUTE);
        let Some(mut peer) = start.await else { return };
        // The server may still count that of the peer before, which has just ended.
        eventually("a subscription to the tag", || async {
            let patterns = server.command(&["PUBSUB", "NUMPAT"]).await;
            patterns.unwrap().as_int() == Some(1)
        })
        .await;

        let mut sent = Sent::of(&server).await;
        peer.hold("kristoff").await;
        assert_eq!(peer.renew(30.0).await, Event::Renewed);
        peer.fulfil("42").await;
        let token = server
            .command(&["GET", &format!("{tag}/lock:kristoff")])
            .await;
        let token = token.unwrap();
        // Go passes nanoseconds where the server takes seconds.
        let renewal = match style {
            Style::Go => "30000000000",
            Style::Csharp => "30",
        };
        let mut expected = vec![
            format!("GET {tag}:kristoff"),
            format!("SET {tag}/lock:kristoff TOKEN 60 NX"),
            format!("EVAL {tag}/lock:kristoff TOKEN {renewal}"),
            format!("SET {tag}:kristoff 42 60"),
        ];
        if !style.leaves_lock() {
            expected.push(format!("DEL {tag}/lock:kristoff"));
        }
        expected.push(format!("PUBLISH {tag}/notif:kristoff 42"));
        assert_eq!(sent.since(&tag).await, expected);
        assert_eq!(token.is_nil(), !style.leaves_lock());

        server
            .command(&["SET", &format!("{tag}/lock:elsa"), "x"])
            .await
            .unwrap();
        let mut sent = Sent::of(&server).await;
        peer.wait("elsa", SECOND / 10).await;
        match style {
            Style::Csharp => peer.says(&Event::Timeout).await,
            Style::Go => {
                peer.says(&Event::Panicked).await;
                let start = Peer::start(language, style, &server, &tag, MINUTE, MINUTE);
                peer = start.await.unwrap();
            }
        }
        peer.keep("elsa", "kept").await;
        let mut expected = vec![
            format!("GET {tag}:elsa"),
            format!("SET {tag}/lock:elsa TOKEN 60 NX"),
            format!("GET {tag}:elsa"),
        ];
        if style == Style::Go {
            // It is another process by now.
            expected.push(format!("PSUBSCRIBE {tag}/notif:*"));
        }
        expected.push(format!("SET {tag}:elsa kept 60"));
        expected.push(format!("PUBLISH {tag}/notif:elsa kept"));
        assert_eq!(sent.since(&tag).await, expected);
        let stored = server.command(&["GET", &format!("{tag}:elsa")]).await;
        assert_eq!(stored.unwrap(), "kept");
    }
}

/// What was sent from some moment on.
struct Sent(memolock_testkit::Monitor);

impl Sent {
    async fn of(server: &TestServer) -> Self {
        Self(server.monitor().await.unwrap())
    }

    /// Commands about `tag`, in one spelling: the order of options and their units are the client's affair.
    async fn since(&mut self, tag: &str) -> Vec<String> {
        let mut sent = Vec::new();
        for seen in self.0.drain().await.unwrap() {
            let mut args = seen.args();
            let about = args.iter().any(|arg| arg.starts_with(tag));
            // The test itself looks at the lock in the end.
            let test = args[0] == "GET" && args[1].contains("/lock:");
            if seen.from_script() || !about || test {
                continue;
            }
            args[0] = args[0].to_uppercase();
            match (args[0].as_str(), args[1].contains("/lock:")) {
                ("SET", locks) => {
                    let mut told = vec![args[0].clone(), args[1].clone(), args[2].clone()];
                    if locks {
                        told[2] = token(&args[2]);
                    }
                    told.push(seconds(&args[3..]));
                    told.extend(
                        args[3..]
                            .iter()
                            .filter(|a| a.eq_ignore_ascii_case("NX"))
                            .map(|a| a.to_uppercase()),
                    );
                    args = told;
                }
                ("EVAL", _) => {
                    args = vec![
                        args[0].clone(),
                        args[3].clone(),
                        token(&args[4]),
                        args[5].clone(),
                    ];
                }
                _ => {}
            }
            sent.push(args.join(" "));
        }
        sent
    }
}

/// A token is a secret of some length.
fn token(token: &str) -> String {
    assert!(token.len() >= 32, "{token} can be guessed");
    "TOKEN".to_owned()
}

/// What an expiry comes to, however it is written.
fn seconds(options: &[String]) -> String {
    let at = options
        .iter()
        .position(|o| ["EX", "PX"].contains(&o.to_uppercase().as_str()));
    let at = at.expect("an expiry");
    let number: u64 = options[at + 1].parse().unwrap();
    let unit = if options[at].eq_ignore_ascii_case("PX") {
        1000
    } else {
        1
    };
    (number / unit).to_string()
}
