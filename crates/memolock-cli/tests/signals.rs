//! Signals: which of them end a run, which do not, and what is left then.

#![cfg(unix)]

mod common;

use std::process::Stdio;

use common::{Holder, finish, in_shell, memolock, on, server, with_descriptor_3};
use memolock_testkit::TestServer;
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::AsyncWriteExt;
use tokio::process::{Child, Command};

fn signal(child: &Child, signal: Signal) {
    let id = child.id().and_then(|id| i32::try_from(id).ok());
    let process = id.and_then(Pid::from_raw).expect("a child that lives");
    kill_process(process, signal).expect("it lives");
}

async fn locks(server: &TestServer) -> Option<i64> {
    let reply = server.command(&["EXISTS", "likes/lock:x"]).await;
    reply.expect("a reply").as_int()
}

/// The same command under a shell that ignores these signals, as `nohup` does, and shells do for what they run in the
/// background.
fn ignoring(signals: &str, command: &Command) -> Command {
    in_shell(&format!("trap '' {signals}; exec \"$0\" \"$@\""), command)
}

/// The command survives its own SIGHUP: what we ignore, it ignores.
#[tokio::test]
async fn a_signal_that_is_ignored_at_the_start_stays_ignored() {
    let server = server().await;
    let script = "echo begun >&2; kill -HUP $$; exec cat <&3";
    let run = ["run", "--url", server.url(), "--tag", "likes", "--id", "x"];
    let command = memolock(&[&run[..], &["--", "sh", "-c", script]].concat());
    let command = with_descriptor_3(&command);
    let holder = Holder::spawn(&mut ignoring("HUP INT", &command)).await;
    for sent in [Signal::HUP, Signal::INT, Signal::HUP] {
        signal(&holder.child, sent);
    }
    #[cfg(target_os = "linux")]
    {
        // Bit 0 is SIGHUP, bit 1 is SIGINT: both are still ignored, and memolock has no handler for them.
        let id = holder.child.id().expect("it lives");
        let status = std::fs::read_to_string(format!("/proc/{id}/status")).expect("Linux");
        let bits = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            u64::from_str_radix(line.expect("a mask").trim(), 16).expect("hexadecimal") & 0b11
        };
        assert_eq!((bits("SigIgn:"), bits("SigCgt:")), (0b11, 0));
    }
    let ended = holder.end("done").await;
    assert_eq!(
        (ended.code, ended.text(), &*ended.stderr),
        (Some(0), "done", "")
    );
    let stored = server.command(&["GET", "likes:x"]).await.expect("a reply");
    assert_eq!(stored, "done");
}

/// The others are caught all the same.
#[tokio::test]
async fn beside_an_ignored_signal_the_others_end_the_run() {
    let server = server().await;
    let script = "echo begun >&2; exec cat <&3";
    let run = ["run", "--url", server.url(), "--tag", "likes", "--id", "x"];
    let command = memolock(&[&run[..], &["--", "sh", "-c", script]].concat());
    let command = with_descriptor_3(&command);
    let mut holder = Holder::spawn(&mut ignoring("HUP", &command)).await;
    let _stdin = holder.child.stdin.take();
    signal(&holder.child, Signal::TERM);
    holder.finish().await.fails(143);
    assert_eq!(locks(&server).await, Some(0));
}

/// The second and third signal change neither the exit code nor what is cleaned up.
#[tokio::test]
async fn a_command_that_does_not_end_is_killed_and_more_signals_change_nothing() {
    let server = server().await;
    for (sent, code) in [(Signal::TERM, 143), (Signal::HUP, 129)] {
        let script = "trap '' TERM; echo begun >&2; exec cat <&3";
        let mut holder = Holder::running(server.url(), &["--lease", "10m"], script).await;
        let _stdin = holder.child.stdin.take();
        for sent in [sent, Signal::TERM, Signal::INT, Signal::HUP] {
            signal(&holder.child, sent);
            // One is told from the next: signals that are pending together have no order.
            tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        }
        let ended = holder.finish().await;
        assert_eq!(ended.code, Some(code), "{ended:?}");
        assert!(ended.stderr.contains("interrupted"), "{ended:?}");
        assert_eq!(locks(&server).await, Some(0));
    }
}

#[tokio::test]
async fn a_run_that_reads_its_input_can_be_interrupted() {
    let server = server().await;
    for (sent, code) in [(Signal::TERM, 143), (Signal::HUP, 129)] {
        let mut command = on(&server, &["run", "--stdin", "--", "cat"]);
        let mut child = command.stdin(Stdio::piped()).spawn().expect("the binary");
        let mut stdin = child.stdin.take().expect("a pipe");
        // More than a pipe holds: when it is written, it is being read.
        stdin
            .write_all(&vec![b'x'; 1 << 20])
            .await
            .expect("it reads");
        signal(&child, sent);
        finish(child).await.fails(code);
        drop(stdin);
    }
    assert_eq!(
        server.command(&["DBSIZE"]).await.expect("a reply").as_int(),
        Some(0)
    );
}
