//! Which scripts the server has run over the connection that there is.
//!
//! A script that a server does not know is answered by `NOSCRIPT` and sent again, behind what was sent after it: two
//! commands on one key would take effect in the wrong order. So the first use of a script on a connection goes by its
//! text, and so do those behind it until a reply has come. A server that restarts ends the connection. Only one that
//! forgets its scripts meanwhile (`SCRIPT FLUSH`) has one sent again.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use memolock_core::redis::Script;

/// For each script, the number of the last connection over which it has run; 0 for none.
#[derive(Debug, Default)]
pub struct KnownScripts(Box<[AtomicU64; Script::ALL.len()]>);

impl KnownScripts {
    /// Whether it has run over the connection of this number. Connections count from 1; without one there is none.
    #[must_use]
    pub fn has(&self, script: Script, nth: Option<u64>) -> bool {
        nth.is_some_and(|nth| self.0[script as usize].load(Relaxed) == nth)
    }

    /// It has run there.
    pub fn ran(&self, script: Script, nth: Option<u64>) {
        if let Some(nth) = nth {
            self.0[script as usize].store(nth, Relaxed);
        }
    }

    /// The server does not know it any more.
    pub fn forgotten(&self, script: Script) {
        self.0[script as usize].store(0, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_is_known_on_the_connection_over_which_it_has_run() {
        let known = KnownScripts::default();
        assert!(!known.has(Script::Put, None) && !known.has(Script::Put, Some(1)));
        known.ran(Script::Put, None);
        assert!(!known.has(Script::Put, None));
        known.ran(Script::Put, Some(1));
        assert!(known.has(Script::Put, Some(1)) && !known.has(Script::Fulfil, Some(1)));
        assert!(!known.has(Script::Put, Some(2)), "another server, perhaps");
        known.forgotten(Script::Put);
        assert!(!known.has(Script::Put, Some(1)));
    }
}
