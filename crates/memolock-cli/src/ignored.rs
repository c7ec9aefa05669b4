//! Signals that were ignored when the process began, as by `nohup`: they stay ignored, here and in the command.

#![cfg(unix)]

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};

/// Whether the signal of this number is ignored. To be asked before anything listens for it.
pub(crate) fn is_ignored(signal: u8) -> bool {
    // A handler can be read only by unsafe code. What the system tells of a process can be read by anybody.
    match fs::read_to_string("/proc/self/status") {
        Ok(status) => listed(&status, signal).unwrap_or_else(|| survives(signal)),
        Err(_) => survives(signal),
    }
}

/// Whether Linux lists the signal as ignored; `None` where there is no such list.
fn listed(status: &str, signal: u8) -> Option<bool> {
    let mask = status
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:"))?;
    let mask = u64::from_str_radix(mask.trim(), 16).ok()?;
    Some(mask >> (signal - 1) & 1 == 1)
}

/// Whether a child survives the signal. It ignores what we ignore, and a shell cannot change that.
fn survives(signal: u8) -> bool {
    let child = Command::new("sh")
        .args(["-c", &format!("kill -{signal} $$")])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    child.is_ok_and(|status| status.signal() != Some(i32::from(signal)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_of_linux_is_read() {
        let status = "Name:\tx\nSigIgn:\t0000000000001001\nSigCgt:\t0000000000004002\n";
        assert_eq!(listed(status, 1), Some(true));
        assert_eq!(listed(status, 13), Some(true));
        assert_eq!(listed(status, 2), Some(false));
        assert_eq!(listed(status, 15), Some(false));
        assert_eq!(listed("Name:\tx\n", 1), None);
        assert_eq!(listed("SigIgn:\tno mask\n", 1), None);
    }

    /// Both ways of asking, about a signal that is ignored in every Rust program and reset in its children, and one
    /// that is not. (What is inherited is shown by `tests/signals.rs`.)
    #[test]
    fn a_signal_that_ends_processes_is_not_ignored() {
        const USR1: u8 = 10;
        assert!(!is_ignored(USR1));
        assert!(!survives(USR1));
    }
}
