//! Ids that begin with `bad`: while they are poison, each command that names one fails as a whole.

use std::sync::Mutex;

use memolock::core::{BackendError, ErrorKind, Key, Operation};

/// What such a command is answered.
#[derive(Debug, Default)]
pub struct Poison(Mutex<Option<ErrorKind>>);

impl Poison {
    /// From now on such commands fail, or (with none) work again.
    pub fn set(&self, kind: Option<ErrorKind>) {
        *self.0.lock().unwrap() = kind;
    }

    /// What a command for these keys gets, if one of them is poison.
    pub fn among<'a>(
        &self,
        operation: Operation,
        mut keys: impl Iterator<Item = &'a Key>,
    ) -> Option<BackendError> {
        let kind = (*self.0.lock().unwrap())?;
        let bad = keys.any(|key| key.id().starts_with("bad"));
        bad.then(|| BackendError::new(kind, operation, "poison"))
    }
}
