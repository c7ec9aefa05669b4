//! The suite over other ways to a server than a plain connection to its port.

use memolock_core::redis::TlsOptions;
use memolock_core::{Backend, Key, async_trait};
use memolock_testkit::suite::{Breakable, Damage, Harness, HarnessError, Suite};
use memolock_testkit::{Provider, TestSentinel, TestServer, TlsServer};

use crate::run::{PATIENT, breakable, damaging, led_by};
use crate::subject::{Adapter, AdapterBuilder};

/// One of them, for a run.
pub(crate) enum Way {
    Tls(Box<TlsServer>),
    Sentinel(TestSentinel),
    Socket(TestServer, String),
}

impl Way {
    fn url(&self) -> &str {
        match self {
            Self::Tls(server) => server.url(),
            Self::Sentinel(sentinel) => sentinel.url(),
            Self::Socket(_, url) => url,
        }
    }

    fn options(&self, builder: AdapterBuilder) -> AdapterBuilder {
        match self {
            Self::Tls(server) => builder.tls(TlsOptions::new().authority(server.ca_pem())),
            Self::Sentinel(_) | Self::Socket(..) => builder,
        }
    }

    /// Whether there is something before it by which lines can be broken: nothing before containers, whose sentinels
    /// reach none, nor before a socket.
    fn is_fronted(&self) -> bool {
        match self {
            Self::Tls(_) => true,
            Self::Sentinel(sentinel) => matches!(sentinel.provider(), Provider::Local { .. }),
            Self::Socket(..) => false,
        }
    }

    pub(crate) async fn conforms(self) {
        let fronted = self.is_fronted();
        let report = Suite::new(self).without("bulk::").run().await;
        report.assert_ok();
        let missing = |case: &&str| fronted || !case.starts_with("gaps::");
        assert_eq!(
            report.skipped().filter(missing).collect::<Vec<_>>(),
            [""; 0]
        );
    }
}

#[async_trait]
impl Harness for Way {
    async fn client(&self) -> Result<Box<dyn Backend>, HarnessError> {
        let builder = Adapter::builder(self.url())
            .connect_timeout(PATIENT)
            .command_timeout(PATIENT);
        Ok(Box::new(self.options(builder).connect().await?))
    }

    async fn breakable(&self) -> Result<Option<Breakable>, HarnessError> {
        match self {
            Self::Tls(server) => {
                let options = |builder| self.options(builder);
                breakable(server.url(), options).await.map(Some)
            }
            Self::Sentinel(sentinel) if self.is_fronted() => {
                let front = sentinel.front().await?;
                let url = front.url().to_owned();
                led_by(front, &url, |builder| builder).await.map(Some)
            }
            Self::Sentinel(_) | Self::Socket(..) => Ok(None),
        }
    }

    async fn damage(&self, key: &Key, damage: Damage) -> Result<bool, HarnessError> {
        let command = damaging(key, damage);
        if let Some(command) = &command {
            match self {
                Self::Tls(server) => server.server().command(command).await?,
                Self::Sentinel(sentinel) => sentinel.command(command).await?,
                Self::Socket(server, _) => server.command(command).await?,
            };
        }
        Ok(command.is_some())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_tls() {
    Way::Tls(Box::new(TlsServer::start().await.unwrap()))
        .conforms()
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn by_way_of_sentinels() {
    let sentinel = TestSentinel::start_local().await.unwrap();
    Way::Sentinel(sentinel).conforms().await;
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_a_socket() {
    let server = TestServer::start_unix().await.unwrap();
    let url = server.unix_url().unwrap();
    Way::Socket(server, url).conforms().await;
}
