//! The id of a `run`: another command's output is never served, nor that of another input.

#![cfg(unix)]
#![allow(clippy::unwrap_used)]

mod common;

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, SystemTime};

use common::{Ended, on, run, run_with_input, server};
use memolock_testkit::TestServer;
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::Command;

/// The output of a command that was run once more, or taken from the store.
async fn output(server: &TestServer, options: &[&str], command: &[&OsStr]) -> Vec<u8> {
    let mut started = on(server, &[&["run"], options, &["--"]].concat());
    started.args(command);
    run(started).await.succeeds().stdout.clone()
}

/// Where the output of `run OPTIONS -- COMMAND` came from.
async fn outcome(server: &TestServer, options: &[&str], command: &[&str]) -> String {
    let mut started = on(server, &[&["run", "--json"], options, &["--"]].concat());
    started.args(command);
    run(started).await.succeeds().json()["outcome"]
        .as_str()
        .unwrap()
        .to_owned()
}

/// The pairs of the report, and others of the kind: two commands, each of which has an output of its own.
#[tokio::test]
async fn another_commands_output_is_never_served() {
    let server = server().await;
    let pairs: [[&[&[u8]]; 2]; 10] = [
        [&[b"[%s]", b"a b"], &[b"[%s]", b"a", b"b"]],
        [&[b"[%s]", b"a", b""], &[b"[%s]", b"a"]],
        [&[b"[%s]", b"", b"a"], &[b"[%s]", b"a", b""]],
        [&[b"[%s]", b"a\nb"], &[b"[%s]", b"a", b"b"]],
        [&[b"[%s]", b"'a b'"], &[b"[%s]", b"a b"]],
        [&[b"[%s]", b"a'", b"'b"], &[b"[%s]", b"a' 'b"]],
        [&[b"[%s]", b"\xff"], &[b"[%s]", b"\xfe"]],
        [&[b"[%s]", b"\xff"], &[b"[%s]", b"$'\\xff'"]],
        [&[b"[%s]", b"\xff"], &[b"[%s]", "\u{fffd}".as_bytes()]],
        [&[b"[%s]", b"\\n"], &[b"[%s]", b"\n"]],
    ];
    for pair in pairs {
        for words in pair {
            let mut command = vec![OsStr::new("printf")];
            command.extend(words.iter().map(|word| OsStr::from_bytes(word)));
            let expected: Vec<u8> = words[1..]
                .iter()
                .flat_map(|word| [b"[", *word, b"]"].concat())
                .collect();
            assert_eq!(
                output(&server, &[], &command).await,
                expected,
                "{command:?}"
            );
        }
    }
    let shells = [
        (&["sh", "-c", "echo one", "two"], "one\n"),
        (&["sh", "-c", "echo one two", ""], "one two\n"),
    ];
    for (command, expected) in shells {
        let command: Vec<_> = command.iter().map(OsStr::new).collect();
        assert_eq!(output(&server, &[], &command).await, expected.as_bytes());
    }
    let command: Vec<_> = ["sh", "-c", "echo one two"]
        .iter()
        .map(OsStr::new)
        .collect();
    assert_eq!(output(&server, &[], &command).await, b"one two\n");
}

/// Of 100 KB, where an id has 64 KiB at most.
#[tokio::test]
async fn long_commands_that_differ_at_their_end_are_two() {
    let server = server().await;
    for end in ["x", "y"] {
        let word = "a".repeat(100_000) + end;
        let command = [OsStr::new("printf"), OsStr::new("%s"), OsStr::new(&word)];
        for _ in 0..2 {
            assert_eq!(output(&server, &[], &command).await, word.as_bytes());
        }
    }
    let keys = server
        .command(&["KEYS", "memolock:printf %s aaaaa*"])
        .await
        .unwrap();
    assert_eq!(keys.items().len(), 2, "{keys:?}");
}

#[tokio::test]
async fn without_stdin_the_command_gets_none_and_it_is_no_part_of_the_id() {
    let server = server().await;
    for (input, expected) in [("one", "computed"), ("two", "hit")] {
        let command = on(&server, &["run", "--json", "--", "cat"]);
        let report = run_with_input(command, input.as_bytes())
            .await
            .succeeds()
            .json();
        assert_eq!(
            (&report["outcome"], &report["value"]),
            (&expected.into(), &"".into())
        );
    }
}

#[tokio::test]
async fn with_stdin_each_input_has_its_own_output() {
    let server = server().await;
    let large = vec![b'l'; 3 << 20];
    let inputs: [&[u8]; 6] = [b"one", b"two", b"", b"a\0b\xff\n", b"one\n", &large];
    // Without it there is a value, which is none of theirs.
    assert_eq!(
        outcome(&server, &[], &["sh", "-c", "cat; echo end"]).await,
        "computed"
    );
    let args = ["run", "--stdin", "--", "sh", "-c", "cat; echo end"];
    let json = [&["--json"], &args[..]].concat();
    for expected in ["computed", "hit"] {
        for input in inputs {
            let report = run_with_input(on(&server, &json), input).await.json();
            assert_eq!(report["outcome"], expected);
            let ended = run_with_input(on(&server, &args), input).await;
            assert!(ended.succeeds().stdout == [input, b"end\n"].concat());
        }
    }
    assert_eq!(
        outcome(&server, &[], &["sh", "-c", "cat; echo end"]).await,
        "hit"
    );
}

#[tokio::test]
async fn a_command_that_does_not_read_its_input_is_no_failure() {
    let server = server().await;
    let input = vec![b'x'; 4 << 20];
    for (command, expected) in [
        (&["true"][..], ""),
        (&["head", "-c", "3"], "xxx"),
        (&["sh", "-c", "exec <&-; echo hi"], "hi\n"),
    ] {
        let started = on(&server, &[&["run", "--stdin", "--"], command].concat());
        let ended = run_with_input(started, &input).await;
        assert_eq!(ended.succeeds().text(), expected);
    }
    // Its own failure is.
    let started = on(&server, &["run", "--stdin", "--", "sh", "-c", "exit 9"]);
    assert_eq!(run_with_input(started, &input).await.code, Some(9));
}

/// What it leaves in the background has its input, and does not read it.
#[tokio::test]
async fn an_input_that_is_never_read_does_not_keep_the_run() {
    let server = server().await;
    let script = "sleep 600 <&0 >/dev/null 2>&1 & echo $!";
    let started = on(&server, &["run", "--stdin", "--", "sh", "-c", script]);
    let ended = run_with_input(started, &vec![b'x'; 4 << 20]).await;
    let sleeper: i32 = ended.succeeds().text().trim().parse().unwrap();
    kill_process(Pid::from_raw(sleeper).unwrap(), Signal::KILL).unwrap();
}

#[tokio::test]
async fn an_input_above_512_mib_is_refused_in_one_line() {
    let server = server().await;
    let file = tempfile::tempfile().unwrap();
    file.set_len((512 << 20) + 1).unwrap();
    let mut command = on(&server, &["run", "--stdin", "--", "echo", "hi"]);
    command.stdin(Stdio::from(file));
    let ended = run(command).await;
    assert!(
        ended.fails(1).contains("stdin holds more than 512 MiB"),
        "{ended:?}"
    );
    assert!(ended.stdout.is_empty());
    assert_eq!(server.command(&["DBSIZE"]).await.unwrap().as_int(), Some(0));
}

#[tokio::test]
async fn the_working_directory_is_part_of_the_id_where_it_is_asked_for() {
    let server = server().await;
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let link = two.path().join("link");
    std::os::unix::fs::symlink(one.path(), &link).unwrap();
    let within = |path: &Path, args: &[&str]| {
        let mut command = on(
            &server,
            &[&["run", "--json"], args, &["--", "pwd", "-P"]].concat(),
        );
        command.current_dir(path);
        run(command)
    };
    let said = |path: &Path| path.canonicalize().unwrap().to_str().unwrap().to_owned() + "\n";
    for (path, outcome) in [
        (one.path(), "computed"),
        (two.path(), "computed"),
        (link.as_path(), "hit"),
    ] {
        let report = within(path, &["--cwd"]).await.succeeds().json();
        assert_eq!(report["value"].as_str(), Some(&*said(path)));
        assert_eq!(report["outcome"], outcome, "{path:?}");
    }
    // Not asked for, it is none: the README says so.
    within(one.path(), &[]).await.succeeds();
    assert_eq!(
        within(two.path(), &[]).await.json()["value"].as_str(),
        Some(&*said(one.path()))
    );
}

#[tokio::test]
async fn variables_are_part_of_the_id_where_they_are_asked_for() {
    let server = server().await;
    let with = async |names: &[&str], one: Option<&[u8]>| -> (String, String) {
        let mut command = on(&server, &["run", "--json"]);
        for name in names {
            command.args(["--env", name]);
        }
        command.args(["--", "sh", "-c", "echo ${ONE-unset}"]);
        command.env_remove("ONE").env("TWO", "2");
        if let Some(one) = one {
            command.env("ONE", OsStr::from_bytes(one));
        }
        let report = run(command).await.succeeds().json();
        (
            report["outcome"].as_str().unwrap().to_owned(),
            report["id"].as_str().unwrap().to_owned(),
        )
    };
    let values: [Option<&[u8]>; 5] = [None, Some(b""), Some(b"a"), Some(b"a b"), Some(b"\xff")];
    let mut ids = BTreeSet::new();
    for value in values {
        let (outcome, id) = with(&["ONE"], value).await;
        assert_eq!(outcome, "computed", "{value:?}");
        ids.insert(id);
        assert_eq!(with(&["ONE"], value).await.0, "hit", "{value:?}");
    }
    assert_eq!(ids.len(), values.len());
    // The value itself is nowhere: it may be a secret.
    assert!(ids.iter().all(|id| !id.contains("a b")), "{ids:?}");
    assert_eq!(with(&["ONE", "TWO"], None).await.0, "computed");
    assert_eq!(with(&["TWO", "ONE", "TWO"], None).await.0, "hit");
    for wrong in ["", "ONE=1"] {
        let args = ["run", "--env", wrong, "--", "true"];
        assert!(run(on(&server, &args)).await.fails(2).contains("--env"));
    }
}

#[tokio::test]
async fn modification_times_are_part_of_the_id_where_they_are_asked_for() {
    let server = server().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a file");
    let name = file.to_str().unwrap();
    let ran = async || outcome(&server, &["--modtime", name], &["cat", "/dev/null"]).await;
    assert_eq!(ran().await, "computed", "there is none");
    assert_eq!(ran().await, "hit", "nor now");
    let opened = File::create(&file).unwrap();
    let epoch = SystemTime::UNIX_EPOCH;
    let times = [
        epoch,
        epoch + Duration::new(1, 0),
        epoch + Duration::new(1, 1000),
        epoch - Duration::new(1, 0),
    ];
    for expected in ["computed", "hit"] {
        for time in times {
            opened.set_modified(time).unwrap();
            assert_eq!(ran().await, expected, "{time:?}");
        }
    }
    std::fs::remove_file(&file).unwrap();
    assert_eq!(ran().await, "hit", "there is none again");
    // A folder has one, and what is below a file is not there.
    let folder = folder.path().to_str().unwrap();
    for path in [folder, "/dev/null/x"] {
        let options = ["--modtime", path];
        assert_eq!(
            outcome(&server, &options, &["cat", "/dev/null"]).await,
            "computed"
        );
    }
    std::os::unix::fs::symlink(&file, &file).unwrap();
    let args = ["run", "--modtime", name, "--", "cat", "/dev/null"];
    let ended = run(on(&server, &args)).await;
    assert!(ended.fails(1).contains("--modtime"), "{ended:?}");
}

/// `--id` stands for the command line, and the others add to it.
#[tokio::test]
async fn parts_add_to_an_id_that_is_given() {
    let server = server().await;
    let id = async |options: &[&str], command: &str| -> (String, String) {
        let args = [
            &["run", "--json", "--id", "x"],
            options,
            &["--", "echo", command],
        ]
        .concat();
        let report = run(on(&server, &args)).await.succeeds().json();
        (
            report["id"].as_str().unwrap().to_owned(),
            report["value"].as_str().unwrap().to_owned(),
        )
    };
    let (plain, _) = id(&[], "one").await;
    assert_eq!(plain, "x");
    let (more, value) = id(&["--env", "NO_SUCH"], "two").await;
    assert!(more.starts_with("x #") && value == "two\n", "{more}");
    assert_eq!(
        id(&["--env", "NO_SUCH"], "three").await,
        (more.clone(), value)
    );
    // What the report says is what other commands take.
    let get = run(on(&server, &["get", "--id", &more])).await;
    assert_eq!(get.succeeds().text(), "two\n");
}

/// The form that the upgrade table gives for those who want the ids of before.
#[tokio::test]
async fn the_old_id_and_the_old_stdin_can_be_had() {
    let server = server().await;
    let script = "\"$MEMOLOCK\" run --id \"$*\" -- sh -c 'exec \"$@\" <&3' sh \"$@\" 3<&0";
    let mut command = Command::new("sh");
    command
        .args(["-c", script, "sh", "grep", "-c", "a b"])
        .env("MEMOLOCK", env!("CARGO_BIN_EXE_memolock"))
        .env("MEMOLOCK_URL", server.url())
        .env_remove("RUST_LOG")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    let ended: Ended = run_with_input(command, b"a b\na b\n").await;
    assert_eq!(ended.succeeds().text(), "2\n");
    let stored = server
        .command(&["GET", "memolock:grep -c a b"])
        .await
        .unwrap();
    assert_eq!(stored, "2\n");
}

#[tokio::test]
async fn the_help_says_what_the_id_is_made_of() {
    let server = server().await;
    let help = run(on(&server, &["run", "--help"])).await;
    let text = help.succeeds().text().to_owned();
    let paragraphs: Vec<_> = text
        .split("\n\n")
        .filter(|p| p.contains("The id is the command line"))
        .collect();
    assert_eq!(paragraphs.len(), 1, "{text}");
    for option in ["--stdin", "--cwd", "--env", "--modtime", "--id", "--json"] {
        assert!(
            paragraphs[0].contains(option),
            "{option} in {}",
            paragraphs[0]
        );
    }
}
