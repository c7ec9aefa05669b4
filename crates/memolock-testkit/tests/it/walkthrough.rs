//! The walk-through of the protocol's document, as it stands there.

use std::fs;
use std::path::Path;

use memolock_testkit::{TestServer, Value};

use crate::Outcome;

/// Numbers above this are remaining milliseconds, which differ from run to run.
const VOLATILE: i64 = 1000;

struct Step {
    words: Vec<String>,
    reply: Vec<String>,
}

/// The commands of all `console` blocks, and what is shown below each.
fn steps(document: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for block in document.split("```console\n").skip(1) {
        for line in block.split("```").next().unwrap_or_default().lines() {
            match (line.strip_prefix("$ redis-cli "), steps.last_mut()) {
                (Some(command), _) => steps.push(Step {
                    words: words(command),
                    reply: Vec::new(),
                }),
                (None, Some(step)) => step.reply.push(line.to_owned()),
                (None, None) => panic!("a reply before any command: {line}"),
            }
        }
    }
    steps
}

/// As a shell splits them, double quotes included.
fn words(command: &str) -> Vec<String> {
    let (mut words, mut quoted) = (vec![String::new()], false);
    for c in command.chars() {
        match c {
            '"' => quoted = !quoted,
            ' ' if !quoted => words.push(String::new()),
            // There is always a last word.
            _ => words.last_mut().expect("never empty").push(c),
        }
    }
    words
}

/// What `redis-cli --eval` sends, or the command as it is.
fn command(words: &[String], scripts: &Path) -> Vec<String> {
    let [flag, file, rest @ ..] = words else {
        panic!("a short command: {words:?}");
    };
    if flag != "--eval" {
        return words.to_vec();
    }
    let script = fs::read_to_string(scripts.join(file)).expect("a script of the core");
    // Without arguments there is no comma.
    let keys = rest.iter().take_while(|word| *word != ",").count();
    let mut command = vec!["EVAL".to_owned(), script, keys.to_string()];
    command.extend(rest.iter().filter(|word| *word != ",").cloned());
    command
}

/// As `redis-cli` shows it on a terminal.
fn shown(reply: &Value) -> Vec<String> {
    match reply {
        Value::Integer(number) => vec![format!("(integer) {number}")],
        Value::Bytes(_) => vec![format!("\"{reply}\"")],
        Value::Array(items) => items
            .iter()
            .zip(1..)
            .flat_map(|(item, n)| {
                shown(item)
                    .into_iter()
                    .map(move |line| format!("{n}) {line}"))
            })
            .collect(),
        other => vec![other.to_string()],
    }
}

fn same(shown: &str, written: &str) -> bool {
    let volatile = |line: &str| {
        let number = line.rsplit_once("(integer) ")?.1.parse::<i64>().ok()?;
        (number > VOLATILE).then(|| line.rsplit_once(' ').map(|(rest, _)| rest.to_owned()))
    };
    shown == written || volatile(shown).is_some_and(|rest| Some(rest) == volatile(written))
}

#[tokio::test]
async fn the_document_shows_what_happens() -> Outcome {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let document = fs::read_to_string(root.join("docs/protocol.md")).expect("the document");
    let scripts = root.join("crates/memolock-core/src/lua");
    let server = TestServer::start_local().await?;
    let mut ear = server.connect().await?;
    for channel in ["likes/notif:kristoff", "likes/fail:kristoff"] {
        ear.command(&["SUBSCRIBE", channel]).await?;
    }
    let steps = steps(&document);
    assert!(steps.len() > 10, "only {} steps", steps.len());
    for step in &steps {
        let reply = shown(&server.command(&command(&step.words, &scripts)).await?);
        let alike = reply.len() == step.reply.len()
            && reply
                .iter()
                .zip(&step.reply)
                .all(|(shown, written)| same(shown, written));
        assert!(alike, "{:?}: {reply:?} is not {:?}", step.words, step.reply);
    }
    for (channel, payload) in [
        ("likes/notif:kristoff", "42"),
        ("likes/fail:kristoff", "invalidated"),
        ("likes/fail:kristoff", "failed:no such user"),
        ("likes/notif:kristoff", "42"),
        ("likes/fail:kristoff", "released"),
        ("likes/notif:kristoff", "43"),
    ] {
        let message = ear.read().await?;
        assert_eq!(
            (&message.items()[1], &message.items()[2]),
            (&Value::Bytes(channel.into()), &Value::Bytes(payload.into()))
        );
    }
    Ok(())
}
