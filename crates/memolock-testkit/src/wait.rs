//! Waiting for several servers to agree: asked again and again, up to a limit.

use std::time::{Duration, Instant};

use crate::ServerError;

/// How long servers may take to agree. Seconds are usual; a machine may be busy.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often they are asked.
const POLL: Duration = Duration::from_millis(40);

/// One wait, from when it is made.
#[derive(Debug)]
pub(crate) struct Wait {
    /// What is waited for: `cluster` or `sentinel`.
    what: &'static str,
    deadline: Instant,
}

impl Wait {
    pub(crate) fn new(what: &'static str) -> Self {
        Self {
            what,
            deadline: Instant::now() + PATIENCE,
        }
    }

    /// Returns when it is time to ask again, or with `why` as the error once the limit is reached.
    pub(crate) async fn again(&self, why: &str) -> Result<(), ServerError> {
        if Instant::now() > self.deadline {
            return Err(self.over(why));
        }
        tokio::time::sleep(POLL).await;
        Ok(())
    }

    /// The error that says so.
    pub(crate) fn over(&self, why: &str) -> ServerError {
        ServerError::Unsettled {
            what: self.what,
            why: why.to_owned(),
        }
    }
}
