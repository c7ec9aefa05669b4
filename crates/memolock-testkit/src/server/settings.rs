//! What the environment asks for, and in which order providers are tried.

use std::path::PathBuf;

use crate::ServerError;

/// The image that `cargo xtask image` makes, and that Docker is asked for by default.
pub const DEFAULT_IMAGE: &str = "memolock-test-redis:local";

/// The image that is pulled where there is neither [`DEFAULT_IMAGE`] nor a server on the `PATH`.
pub const PUBLIC_IMAGE: &str = "redis:7-alpine";

/// The programs that are looked for on the `PATH`.
const PROGRAMS: [&str; 2] = ["redis-server", "valkey-server"];

/// The environment, read once a start.
#[derive(Debug, Default)]
pub(crate) struct Settings {
    pub(crate) url: Option<String>,
    image: Option<String>,
    forced: Option<Forced>,
    pub(crate) path: Vec<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Forced {
    Url,
    Docker,
    Local,
}

/// One way to a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Way {
    Url,
    Docker { image: String, pull: bool },
    Local,
}

impl Settings {
    pub(crate) fn from_env() -> Result<Self, ServerError> {
        let get = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        let forced = match get("MEMOLOCK_TEST_PROVIDER") {
            Some(word) => Some(Forced::parse(&word)?),
            None => None,
        };
        let path = std::env::var_os("PATH").unwrap_or_default();
        Ok(Self {
            url: get("MEMOLOCK_TEST_URL"),
            image: get("MEMOLOCK_TEST_IMAGE"),
            forced,
            path: std::env::split_paths(&path).collect(),
        })
    }

    /// The same environment, insisting on Docker.
    pub(crate) fn docker_only(mut self) -> Self {
        self.forced = Some(Forced::Docker);
        self
    }

    /// The same, insisting on one image.
    pub(crate) fn image_only(mut self, image: &str) -> Self {
        self.image = Some(image.to_owned());
        self.docker_only()
    }

    /// The ways to a server, best first. `private` asks for one that can be stopped.
    pub(crate) fn ways(&self, private: bool) -> Result<Vec<Way>, ServerError> {
        match (self.forced, private) {
            (Some(Forced::Url), true) => Err(ServerError::Shared {
                verb: "stopped or paused",
            }),
            (Some(Forced::Url), false) => Ok(vec![Way::Url]),
            (Some(Forced::Docker), _) => Ok(self.docker().chain([self.pull()]).collect()),
            (Some(Forced::Local), _) => Ok(vec![Way::Local]),
            // Whoever names a server wants that one and no other.
            (None, false) if self.url.is_some() => Ok(vec![Way::Url]),
            (None, false) => Ok(self.docker().chain([Way::Local, self.pull()]).collect()),
            // Stopping and pausing a child process is quick and exact; a container is neither.
            (None, true) => Ok([Way::Local]
                .into_iter()
                .chain(self.docker())
                .chain([self.pull()])
                .collect()),
        }
    }

    /// Images that cost nothing to try. One that was asked for by name is worth a pull at once.
    fn docker(&self) -> impl Iterator<Item = Way> + use<> {
        let ways = match &self.image {
            Some(image) => vec![Way::Docker {
                image: image.clone(),
                pull: true,
            }],
            None => [DEFAULT_IMAGE, PUBLIC_IMAGE]
                .map(|image| Way::Docker {
                    image: image.into(),
                    pull: false,
                })
                .into(),
        };
        ways.into_iter()
    }

    /// The last resort.
    fn pull(&self) -> Way {
        Way::Docker {
            image: self.image.clone().unwrap_or_else(|| PUBLIC_IMAGE.into()),
            pull: true,
        }
    }

    /// The first server program on the `PATH`.
    pub(crate) fn program(&self) -> Option<PathBuf> {
        let places = PROGRAMS
            .iter()
            .flat_map(|name| self.path.iter().map(move |dir| dir.join(name)));
        places.into_iter().find(|place| place.is_file())
    }
}

impl Forced {
    fn parse(word: &str) -> Result<Self, ServerError> {
        match word {
            "url" => Ok(Self::Url),
            "docker" => Ok(Self::Docker),
            "local" => Ok(Self::Local),
            other => Err(ServerError::Setting {
                name: "MEMOLOCK_TEST_PROVIDER",
                why: format!("{other:?} is none of url, docker, local"),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn docker(image: &str, pull: bool) -> Way {
        Way::Docker {
            image: image.into(),
            pull,
        }
    }

    #[test]
    fn the_order_is_url_docker_path_and_a_pull_comes_last() {
        let mut settings = Settings::default();
        let local = docker(DEFAULT_IMAGE, false);
        let public = docker(PUBLIC_IMAGE, false);
        let pull = docker(PUBLIC_IMAGE, true);
        assert_eq!(
            settings.ways(false).unwrap(),
            [local.clone(), public.clone(), Way::Local, pull.clone()]
        );
        assert_eq!(
            settings.ways(true).unwrap(),
            [Way::Local, local, public, pull]
        );
        settings.url = Some("redis://h".into());
        assert_eq!(settings.ways(false).unwrap(), [Way::Url]);
        assert_eq!(settings.ways(true).unwrap()[0], Way::Local);
    }

    #[test]
    fn an_image_that_was_named_is_pulled_at_once() {
        let settings = Settings {
            image: Some("valkey/valkey:8".into()),
            ..Settings::default()
        };
        assert_eq!(
            settings.ways(false).unwrap()[0],
            docker("valkey/valkey:8", true)
        );
    }

    #[test]
    fn a_forced_provider_is_the_only_one() {
        let forced = |word| Settings {
            url: Some("redis://h".into()),
            forced: Some(Forced::parse(word).unwrap()),
            ..Settings::default()
        };
        assert_eq!(forced("local").ways(false).unwrap(), [Way::Local]);
        assert_eq!(forced("url").ways(false).unwrap(), [Way::Url]);
        assert!(matches!(
            forced("url").ways(true),
            Err(ServerError::Shared { .. })
        ));
        let ways = forced("docker").ways(true).unwrap();
        assert!(ways.iter().all(|way| matches!(way, Way::Docker { .. })));
        let refused = Forced::parse("podman").unwrap_err().to_string();
        assert!(refused.contains("url, docker, local"), "{refused}");
    }

    #[test]
    fn redis_is_found_before_valkey_wherever_it_is() {
        let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let path = dirs.iter().map(|dir| dir.path().to_owned()).collect();
        let settings = Settings {
            path,
            ..Settings::default()
        };
        assert_eq!(settings.program(), None);
        std::fs::write(dirs[0].path().join("valkey-server"), "").unwrap();
        assert!(settings.program().unwrap().ends_with("valkey-server"));
        std::fs::write(dirs[1].path().join("redis-server"), "").unwrap();
        assert!(settings.program().unwrap().ends_with("redis-server"));
    }
}
