//! How a call ended.

use std::time::Duration;

use memolock_core::{Key, KeyError, Phase};

use crate::settled::Settled;
use crate::{Error, Memo};

/// How a call ended, before the caller's type of error is put in.
pub(crate) enum Called<T> {
    Settled(Settled<T>, Key),
    TimedOut(Key, Phase, Duration),
    Refused(KeyError),
    Closed,
}

impl<T> Called<T> {
    pub(crate) fn into_result<E: Send + Sync + 'static>(self) -> Result<Option<Memo<T>>, Error<E>> {
        match self {
            Self::Settled(settled, key) => settled.into_result(|| key),
            Self::TimedOut(key, phase, after) => Err(Error::Timeout { key, phase, after }),
            Self::Refused(error) => Err(error.into()),
            Self::Closed => Err(Error::Closed),
        }
    }
}
