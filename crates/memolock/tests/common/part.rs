//! A part of a store that fails by itself: that of ids that begin with `far`.

use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use memolock::core::{BackendError, ErrorKind, Key, Operation};

/// Whether that part answers.
#[derive(Debug, Default)]
pub struct Part {
    silent: AtomicBool,
    /// Another has its place.
    replaced: AtomicBool,
}

impl Part {
    /// The failure domain of a key.
    pub fn of(&self, key: &Key) -> u64 {
        match (key.id().starts_with("far"), self.replaced.load(SeqCst)) {
            (false, _) => 0,
            (true, false) => 1,
            (true, true) => 2,
        }
    }

    /// Its keys are another part's from now on, which answers.
    pub fn replace(&self) {
        self.replaced.store(true, SeqCst);
    }

    /// From now on it does not answer, or does so again.
    pub fn silence(&self, silent: bool) {
        self.silent.store(silent, SeqCst);
    }

    /// What a call for this key gets, if its part does not answer.
    pub fn refuses(&self, operation: Operation, key: &Key) -> Option<BackendError> {
        let silent = self.silent.load(SeqCst) && self.of(key) == 1;
        let error = || BackendError::new(ErrorKind::Timeout, operation, "a silent part").on(key);
        silent.then(error)
    }
}
