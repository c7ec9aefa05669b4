//! Acts on processes, and on containers: killed, stopped, taken off the network.

use rustix::process::Signal;

use crate::faults::act::act;

act!(
    /// SIGKILL, as a power cut.
    kill_server, |stage| done(stage.server().kill().await)
);

act!(
    /// It comes up on the same port, and empty.
    start_server, |stage| done(stage.server().restart().await)
);

act!(
    /// SIGSTOP, or `docker pause`: connections stay open, and nothing is answered.
    stop_server, |stage| done(stage.server().pause().await)
);

act!(
    /// SIGCONT, or `docker unpause`.
    continue_server, |stage| done(stage.server().resume().await)
);

act!(
    /// `docker network disconnect`.
    unplug_server, |stage| done(stage.server().disconnect().await)
);

act!(
    /// `docker network connect`.
    plug_server, |stage| done(stage.server().reconnect().await)
);

act!(
    /// SIGKILL: it has no time to release anything.
    kill_holder, |stage| stage.signal_holder(Signal::KILL)
);

act!(
    /// SIGSTOP: it renews nothing.
    stop_holder, |stage| stage.signal_holder(Signal::STOP)
);

act!(
    /// SIGCONT: it does not know how long it was away.
    continue_holder, |stage| stage.signal_holder(Signal::CONT)
);

fn done(result: Result<(), memolock_testkit::ServerError>) {
    result.unwrap_or_else(|e| panic!("{e}"));
}
