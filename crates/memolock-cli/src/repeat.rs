//! `--repeat-notice`: the process stays until its value has been published once more.

use std::time::Duration;

use clap::Args;
#[cfg(feature = "fred")]
use memolock::fred::FredBackend;
use memolock::redis_rs::RedisBackend;

use crate::exit::Failure;

/// The option of the commands that store a value.
#[derive(Debug, Clone, Copy, Default, Args)]
pub(crate) struct RepeatNotice {
    /// Publish the stored value once more after this time, for C# clients of 2019; memolock stays alive that long
    #[arg(long, value_name = "TIME", value_parser = crate::cli::duration)]
    repeat_notice: Option<Duration>,
}

impl RepeatNotice {
    /// The time, for a backend that repeats notices.
    pub(crate) fn after(self) -> Option<Duration> {
        self.repeat_notice
    }

    /// Refuses the option where it would be ignored.
    pub(crate) fn refuse(self) -> Result<(), Failure> {
        match self.repeat_notice {
            None => Ok(()),
            Some(_) => Err(Failure::usage(
                "--repeat-notice is for the backends redis-rs, redis-rs-pooled and fred",
            )),
        }
    }
}

/// A backend of which it can be told when its notices have been repeated.
pub(crate) enum Repeating {
    /// It repeats none.
    Nothing,
    RedisRs(RedisBackend),
    #[cfg(feature = "fred")]
    Fred(FredBackend),
}

impl Repeating {
    /// Waits until no notice is pending. It is bounded: notices are sent in time or dropped.
    pub(crate) async fn done(&self) {
        match self {
            Self::Nothing => {}
            Self::RedisRs(backend) => backend.notices_repeated().await,
            #[cfg(feature = "fred")]
            Self::Fred(backend) => backend.notices_repeated().await,
        }
    }
}
