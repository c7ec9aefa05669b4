//! Opening a connection as libpq does: host by host, address by address, with TLS and without.
//!
//! | `sslmode` | first | then, if the server refuses that |
//! |---|---|---|
//! | `disable` | without | |
//! | `allow` | without | with TLS |
//! | `prefer` | with TLS, or without if the server has none | without |
//! | `require` and stricter | with TLS | |
//!
//! Refuses means: of `prefer`, that the handshake fails or that `pg_hba.conf` has no line for such a
//! connection; of `allow`, any refusal to let us in. One difference to libpq is on purpose: a password that
//! was refused over TLS is not sent again without.

use std::convert::Infallible;
use std::future::{Future, Ready, ready};
use std::pin::Pin;

use futures_util::stream::{Stream, StreamExt, poll_fn};
use memolock_core::ErrorKind;
use memolock_core::connection::Fault;
use rustls::ClientConfig;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio_postgres::config::{SslMode as ClientMode, SslNegotiation};
use tokio_postgres::tls::{MakeTlsConnect, TlsConnect, TlsStream};
use tokio_postgres::{AsyncMessage, Client, Connection, Error, NoTls, SimpleQueryMessage};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::error::{Refusal, fault, handshake, refusal};
use crate::link::random;
use crate::socket::{Address, Number, Observed, Socket};
use crate::target::{Host, Place, Session, Target};
use crate::tls::SslMode;

/// Asks whether the server has TLS: a length, and a number that is no version of the protocol.
const TLS_REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];

/// What the server says unasked. Reading it drives the whole connection; its end is the connection's.
pub(crate) type Messages = Pin<Box<dyn Stream<Item = Result<AsyncMessage, Error>> + Send>>;

/// A connection that was let in. Nothing moves on it unless `messages` are read.
pub(crate) struct Opened {
    pub(crate) client: Client,
    pub(crate) messages: Messages,
    /// What it was called at the start. None: it was told no number.
    pub(crate) number: Option<i32>,
    /// Where it leads, for another one to the same place.
    pub(crate) place: Spot,
}

/// One address of one host.
#[derive(Debug, Clone)]
pub(crate) struct Spot {
    host: Host,
    address: Address,
}

/// Why an attempt failed.
struct Failure {
    fault: Fault,
    /// What the server said to it, if it was the server that would not.
    refusal: Option<Refusal>,
    was_encrypted: bool,
}

impl Target {
    /// Opens a connection to the first host that will do.
    pub(crate) async fn open(&self) -> Result<Opened, Fault> {
        let tls = self.tls()?;
        let mut last = None;
        for host in self.in_order(&self.hosts) {
            let addresses = match host.addresses().await {
                Ok(addresses) => addresses,
                Err(error) => {
                    let why = format!("{host}: {error}");
                    last = Some(Fault::new(ErrorKind::Unavailable, why));
                    continue;
                }
            };
            for address in self.in_order(&addresses) {
                let (host, address) = (host.clone(), address.clone());
                match self
                    .open_fitting(Spot { host, address }, tls.as_ref())
                    .await
                {
                    Ok(opened) => return Ok(opened),
                    // Who is not let in is not let in elsewhere.
                    Err(fault) if fault.kind() == ErrorKind::Denied => return Err(fault),
                    Err(fault) => last = Some(fault),
                }
            }
        }
        Err(last.unwrap_or_else(Fault::lost))
    }

    /// Opens another one to the same place.
    pub(crate) async fn open_again(&self, spot: &Spot) -> Result<Opened, Fault> {
        let tls = self.tls()?;
        self.open_at(spot.clone(), tls.as_ref()).await
    }

    fn tls(&self) -> Result<Option<ClientConfig>, Fault> {
        match self.tls.mode {
            SslMode::Disable => Ok(None),
            _ => self.tls.client_config().map(Some),
        }
    }

    fn in_order<T: Clone>(&self, all: &[T]) -> Vec<T> {
        let mut all = all.to_vec();
        if self.shuffles {
            for last in (1..all.len()).rev() {
                let most = u64::try_from(last).unwrap_or(u64::MAX);
                let nth = usize::try_from(random() % (most + 1)).unwrap_or(0);
                all.swap(last, nth);
            }
        }
        all
    }

    /// Opens one, and checks that it allows what it must.
    async fn open_fitting(&self, spot: Spot, tls: Option<&ClientConfig>) -> Result<Opened, Fault> {
        let mut opened = self.open_at(spot, tls).await?;
        let unfit = match (self.session, self.session == Session::Any) {
            (_, true) => return Ok(opened),
            (Session::ReadOnly, _) => ("off", "the server is not read-only"),
            _ => ("on", "the server is read-only"),
        };
        match opened.word("SHOW transaction_read_only").await? {
            said if said == unfit.0 => Err(Fault::new(ErrorKind::Refused, unfit.1)),
            _ => Ok(opened),
        }
    }

    async fn open_at(&self, spot: Spot, tls: Option<&ClientConfig>) -> Result<Opened, Fault> {
        let attempts = self.attempts(&spot, tls);
        let Some(bound) = self.connect_timeout else {
            return attempts.await;
        };
        let late = |_| {
            Fault::new(
                ErrorKind::Timeout,
                format!("{}: not connected after {bound:?}", spot.host),
            )
        };
        tokio::time::timeout(bound, attempts).await.map_err(late)?
    }

    /// With TLS and without, in the order of the table above.
    async fn attempts(&self, spot: &Spot, tls: Option<&ClientConfig>) -> Result<Opened, Fault> {
        let tls = tls.filter(|_| spot.address.takes_tls());
        let mode = self.tls.mode;
        let Some(tls) = tls else {
            return self.plain(spot).await.map_err(|failure| failure.fault);
        };
        match mode {
            SslMode::Allow => match self.plain(spot).await {
                Err(first) if first.refusal.is_some() => {
                    let second = self.encrypted(spot, tls).await;
                    second.map_err(|second| both(&first, &second))
                }
                outcome => outcome.map_err(|failure| failure.fault),
            },
            SslMode::Prefer => match self.encrypted(spot, tls).await {
                Err(first) if first.calls_for_plain() => {
                    let second = self.plain(spot).await;
                    second.map_err(|second| both(&first, &second))
                }
                outcome => outcome.map_err(|failure| failure.fault),
            },
            _ => self
                .encrypted(spot, tls)
                .await
                .map_err(|failure| failure.fault),
        }
    }

    async fn plain(&self, spot: &Spot) -> Result<Opened, Failure> {
        let socket = spot.address.open(self).await.map_err(unreachable)?;
        self.greet_plain(socket, spot).await
    }

    async fn encrypted(&self, spot: &Spot, tls: &ClientConfig) -> Result<Opened, Failure> {
        let mut socket = spot.address.open(self).await.map_err(unreachable)?;
        if !self.tls.is_direct {
            socket.write_all(&TLS_REQUEST).await.map_err(unreachable)?;
            // No byte more: what follows in the clear is nothing that a server said.
            match socket.read_u8().await.map_err(unreachable)? {
                b'S' => {}
                b'N' if self.tls.mode == SslMode::Prefer => {
                    return self.greet_plain(socket, spot).await;
                }
                b'N' => {
                    let why = format!(
                        "the server has no TLS, and sslmode is {}",
                        self.tls.mode.name()
                    );
                    return Err(Failure::of(Fault::new(ErrorKind::Config, why)));
                }
                // An error of a server that is short of something, or no PostgreSQL.
                _ => {
                    let why = "the server does not answer the question for TLS by yes or no";
                    return Err(Failure::of(Fault::new(ErrorKind::Unavailable, why)));
                }
            }
        }
        let name = spot.host.tls_name(self.tls.mode).map_err(Failure::of)?;
        let mut maker = MakeRustlsConnect::new(tls.clone());
        let connector = MakeTlsConnect::<Socket>::make_tls_connect(&mut maker, &name);
        let connector = connector.unwrap_or_else(|never: Infallible| match never {});
        let stream = connector.connect(socket).await.map_err(|error| Failure {
            was_encrypted: true,
            ..Failure::of(handshake(&error))
        })?;
        let mut config = self.config.clone();
        // The handshake is over.
        config
            .ssl_mode(ClientMode::Require)
            .ssl_negotiation(SslNegotiation::Direct);
        let (stream, number) = Observed::new(stream, &self.progress);
        let greeted = config.connect_raw(stream, Done).await;
        let (client, connection) = greeted.map_err(|error| Failure::said(&error, true))?;
        Ok(opened(client, messages(connection), &number, spot))
    }

    async fn greet_plain(&self, socket: Socket, spot: &Spot) -> Result<Opened, Failure> {
        let mut config = self.config.clone();
        config.ssl_mode(ClientMode::Disable);
        let (socket, number) = Observed::new(socket, &self.progress);
        let greeted = config.connect_raw(socket, NoTls).await;
        let (client, connection) = greeted.map_err(|error| Failure::said(&error, false))?;
        Ok(opened(client, messages(connection), &number, spot))
    }
}

impl Host {
    /// Whom the certificate must name.
    fn tls_name(&self, mode: SslMode) -> Result<String, Fault> {
        match &self.place {
            Place::Named(name) | Place::Address(_, Some(name)) => Ok(name.clone()),
            Place::Address(address, None) if mode < SslMode::VerifyFull => Ok(address.to_string()),
            Place::Address(..) | Place::Unix(_) => {
                let why = "sslmode is verify-full, and the URL has no host name to check";
                Err(Fault::new(ErrorKind::Config, why))
            }
        }
    }
}

impl Opened {
    /// Sends statements, and returns the first column of the last row. It leaves nothing behind that the
    /// statements do not.
    pub(crate) async fn word(&mut self, sql: &str) -> Result<String, Fault> {
        let Self {
            client, messages, ..
        } = self;
        let said = driven(messages, client.simple_query(sql)).await?;
        let rows = said.iter().rev().find_map(|message| match message {
            SimpleQueryMessage::Row(row) => row.get(0),
            _ => None,
        });
        let word = rows.map(str::to_owned);
        word.ok_or_else(|| Fault::new(ErrorKind::Protocol, "the server gave no answer"))
    }
}

fn opened(client: Client, messages: Messages, number: &Number, spot: &Spot) -> Opened {
    Opened {
        client,
        messages,
        number: number.get(),
        place: spot.clone(),
    }
}

impl Failure {
    fn of(fault: Fault) -> Self {
        Self {
            fault,
            refusal: None,
            was_encrypted: false,
        }
    }

    /// The server, or the client library, would not at the start.
    fn said(error: &Error, was_encrypted: bool) -> Self {
        let refusal = refusal(error);
        let mut fault = fault(error);
        if (refusal, was_encrypted) == (Some(Refusal::NoLine), false) {
            // Nobody looked at the password.
            let why = format!(
                "{}; if the server wants TLS, use sslmode=require",
                fault.detail()
            );
            fault = Fault::new(ErrorKind::Config, why);
        }
        Self {
            fault,
            refusal,
            was_encrypted,
        }
    }

    /// Whether the same may go well without TLS.
    fn calls_for_plain(&self) -> bool {
        match self.refusal {
            // The handshake failed, or the server did not like us amid it.
            None => self.was_encrypted,
            Some(refusal) => refusal == Refusal::NoLine,
        }
    }
}

/// Both ways were refused: what was tried last stands last, and says what kind it is.
fn both(first: &Failure, second: &Failure) -> Fault {
    let way = |failure: &Failure| match failure.was_encrypted {
        true => "with TLS",
        false => "without TLS",
    };
    let kind = match (first.fault.kind(), second.fault.kind()) {
        // A hint about TLS is of no use to one who has tried it.
        (kind, ErrorKind::Config) => kind,
        (_, kind) => kind,
    };
    let part = |failure: &Failure| {
        let detail = failure.fault.detail();
        let detail = detail
            .split("; if the server wants TLS")
            .next()
            .unwrap_or(detail);
        format!("{}: {detail}", way(failure))
    };
    Fault::new(kind, format!("{}; {}", part(first), part(second)))
}

#[allow(clippy::needless_pass_by_value)] // As `map_err` wants it.
fn unreachable(error: std::io::Error) -> Failure {
    Failure::of(Fault::new(ErrorKind::Unavailable, error.to_string()))
}

/// Hands over a stream whose handshake is over.
struct Done;

impl<S: TlsStream + Unpin> TlsConnect<S> for Done {
    type Stream = S;
    type Error = Error;
    type Future = Ready<Result<S, Error>>;

    fn connect(self, stream: S) -> Self::Future {
        ready(Ok(stream))
    }
}

/// Waits for an answer while driving a connection.
pub(crate) async fn driven<T>(
    messages: &mut Messages,
    work: impl Future<Output = Result<T, Error>>,
) -> Result<T, Fault> {
    tokio::pin!(work);
    loop {
        tokio::select! {
            biased;
            outcome = &mut work => return outcome.map_err(|error| fault(&error)),
            message = messages.next() => match message {
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(fault(&error)),
                None => return Err(Fault::lost()),
            },
        }
    }
}

fn messages<S, T>(mut connection: Connection<S, T>) -> Messages
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    Box::pin(poll_fn(move |cx| connection.poll_message(cx)))
}
