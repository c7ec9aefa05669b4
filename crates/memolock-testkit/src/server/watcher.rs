//! Ends what a test process started, should it be killed before it can do so itself.

use std::ffi::OsStr;
use std::process::{Child, Command, Stdio};

/// A shell that waits for our end of a pipe to close. The kernel closes it however we end: SIGKILL
/// by a test runner's time-out, Ctrl-C, an abort.
#[derive(Debug)]
pub(crate) struct Watcher(Child);

impl Watcher {
    /// Runs `script` with the arguments as `$1` and so on when this process is gone. `None` where there
    /// is no shell, which costs no more than the safety net.
    pub(crate) fn spawn(script: &str, arguments: &[&OsStr]) -> Option<Self> {
        let mut command = Command::new("sh");
        command
            .arg("-c")
            // Nothing is ever written, so that `read` returns at end of file.
            .arg(format!("read -r _; {script}"))
            .arg("sh")
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        // A group of its own: Ctrl-C goes to the foreground group and must not end it first.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        command.spawn().ok().map(Self)
    }
}

impl Watcher {
    /// Runs the script now.
    #[cfg(feature = "docker")]
    pub(super) fn fire(mut self) {
        drop(self.0.stdin.take());
        // It ends by itself; dropping it afterwards finds nothing to kill.
        let _ = self.0.wait();
    }
}

/// The watched thing was ended in good order.
impl Drop for Watcher {
    fn drop(&mut self) {
        // Both fail only if it is gone already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
