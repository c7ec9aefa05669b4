//! The ways to a server, tried one after another, and what became of each.

use std::path::PathBuf;

use super::settings::{Settings, Way};
use crate::ServerError;

/// Where servers may come from.
#[derive(Debug)]
pub(crate) enum Source {
    /// One that runs already, and that others use too.
    Url,
    Docker {
        image: String,
        pull: bool,
    },
    /// A program on the `PATH`.
    Local(PathBuf),
}

/// What is left to try, and what was tried.
#[derive(Debug)]
pub(crate) struct Search {
    ways: std::vec::IntoIter<Way>,
    program: Option<PathBuf>,
    /// Where the last source is from, for the report.
    from: &'static str,
    tried: Vec<String>,
}

impl Search {
    pub(crate) fn new(settings: &Settings, private: bool) -> Result<Self, ServerError> {
        let tried = match private {
            true => Vec::new(),
            false => vec!["MEMOLOCK_TEST_URL is not set".to_owned()],
        };
        Ok(Self {
            ways: settings.ways(private)?.into_iter(),
            program: settings.program(),
            from: "",
            tried,
        })
    }

    /// The next source worth a try.
    pub(crate) fn next(&mut self) -> Option<Source> {
        loop {
            match self.ways.next()? {
                Way::Url => return Some(Source::Url),
                Way::Docker { image, pull } => {
                    self.from = "Docker";
                    return Some(Source::Docker { image, pull });
                }
                Way::Local => {
                    self.from = "PATH";
                    match &self.program {
                        Some(program) => return Some(Source::Local(program.clone())),
                        None => self.failed("neither redis-server nor valkey-server"),
                    }
                }
            }
        }
    }

    /// The last source was of no use.
    pub(crate) fn failed(&mut self, why: &str) {
        let failure = format!("{}: {why}", self.from);
        if !self.tried.contains(&failure) {
            self.tried.push(failure);
        }
    }

    /// There is none.
    pub(crate) fn nothing(self) -> ServerError {
        ServerError::NoServer {
            tried: self.tried.join("; ").replace('\n', " "),
        }
    }
}
