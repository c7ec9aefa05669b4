//! Making one connection: opened, checked, prepared, and listening to itself.

use std::fmt;
use std::pin::Pin;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{Stream, StreamExt, poll_fn};
use memolock_core::ErrorKind;
use memolock_core::connection::{Fault, Options};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres::{AsyncMessage, Client, Config, Connection, Error, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::error::fault;
use crate::paused::RealTime;
use crate::statements::Statements;
use crate::table::{Table, channels};

/// Makes connections.
pub(crate) struct Dialer {
    config: Config,
    table: Table,
    connect_timeout: Duration,
    command_timeout: Duration,
}

/// What commands are sent over.
#[derive(Clone)]
pub(crate) struct Wire {
    pub(crate) client: Arc<Client>,
    pub(crate) statements: Arc<Statements>,
    /// The server's name for this connection.
    pub(crate) pid: i32,
}

/// One connection. Nothing moves on it unless `messages` are read.
pub(crate) struct Line {
    pub(crate) wire: Wire,
    pub(crate) messages: Messages,
    /// The prefix of the table's channels.
    pub(crate) channels: String,
}

/// What the server says unasked. Reading it drives the whole connection; its end is the connection's.
pub(crate) type Messages = Pin<Box<dyn Stream<Item = Result<AsyncMessage, Error>> + Send>>;

impl Dialer {
    /// Reads the URL. What is wrong with it is told without it: it may hold a password.
    pub(crate) fn new(url: &str, table: Table, options: &Options) -> Result<Self, Fault> {
        let mut config = Config::from_str(url).map_err(|_| {
            let detail = "not a PostgreSQL URL: postgres://user:pass@host:port/database, with special characters of the password percent-encoded";
            Fault::new(ErrorKind::Config, detail)
        })?;
        if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
            return Err(Fault::new(ErrorKind::Config, "the URL names no host"));
        }
        if let (None, Some(name)) = (config.get_application_name(), &options.client_name) {
            config.application_name(name);
        }
        Ok(Self {
            config,
            table,
            connect_timeout: options.connect_timeout,
            command_timeout: options.command_timeout,
        })
    }

    /// Connects and sets up, all within the bound.
    pub(crate) async fn dial(&self) -> Result<Line, Fault> {
        self.bounded(self.connect()).await
    }

    /// Makes the table, over a connection of its own.
    pub(crate) async fn create_table(&self) -> Result<(), Fault> {
        self.bounded(async {
            let (client, mut messages) = self.open().await?;
            let schema = self.table.schema();
            // One at a time: IF NOT EXISTS does not keep two from creating it at once.
            let sql = format!(
                "BEGIN; SELECT pg_advisory_xact_lock(hashtext('memolock create table')); {schema} COMMIT"
            );
            driven(&mut messages, client.batch_execute(&sql)).await
        })
        .await
    }

    async fn bounded<T>(&self, work: impl Future<Output = Result<T, Fault>>) -> Result<T, Fault> {
        let _real = RealTime::hold(self.connect_timeout);
        let outcome = match tokio::time::timeout(self.connect_timeout, work).await {
            Ok(outcome) => outcome,
            Err(_) => {
                let detail = format!("not connected after {:?}", self.connect_timeout);
                Err(Fault::new(ErrorKind::Timeout, detail))
            }
        };
        outcome.map_err(|fault| self.here(fault))
    }

    /// Says where it was, and takes out the password, should the server have echoed it.
    fn here(&self, fault: Fault) -> Fault {
        let secret = self.config.get_password().map(String::from_utf8_lossy);
        fault.at_place(&self.to_string(), secret.as_deref())
    }

    async fn open(&self) -> Result<(Client, Messages), Fault> {
        match self.config.get_ssl_mode() {
            SslMode::Require => {
                let tls = MakeRustlsConnect::new(authorities()?);
                let (client, connection) = self.config.connect(tls).await.map_err(|e| fault(&e))?;
                Ok((client, messages(connection)))
            }
            _ => {
                let (client, connection) =
                    self.config.connect(NoTls).await.map_err(|e| fault(&e))?;
                Ok((client, messages(connection)))
            }
        }
    }

    async fn connect(&self) -> Result<Line, Fault> {
        let (client, mut messages) = self.open().await?;
        // A role's own defaults must not change what the statements mean. A bound on the server keeps
        // what was given up here from taking effect much later.
        let set = format!(
            "SET statement_timeout = {}; SET default_transaction_isolation = 'read committed'; \
             SET synchronous_commit = off; SET client_min_messages = warning",
            self.command_timeout.as_millis().max(1)
        );
        driven(&mut messages, client.batch_execute(&set)).await?;
        let (pid, channels) = self.look_around(&client, &mut messages).await?;
        let prepare = Statements::prepare(&client, &self.table, &channels);
        let statements = driven(&mut messages, prepare).await?;
        let own = format!("LISTEN \"{}\"", own_channel(&channels, pid));
        driven(&mut messages, client.batch_execute(&own)).await?;
        let wire = Wire {
            client: Arc::new(client),
            statements: Arc::new(statements),
            pid,
        };
        Ok(Line {
            wire,
            messages,
            channels,
        })
    }

    /// Who we are to the server, and whether the table is there.
    async fn look_around(
        &self,
        client: &Client,
        messages: &mut Messages,
    ) -> Result<(i32, String), Fault> {
        const LOOK: &str = "SELECT pg_backend_pid(), pg_is_in_recovery(), n.nspname::text, c.relname::text \
             FROM (SELECT to_regclass($1::text) AS oid) t \
             LEFT JOIN pg_class c ON c.oid = t.oid LEFT JOIN pg_namespace n ON n.oid = c.relnamespace";
        let table = self.table.quoted();
        let row = driven(messages, client.query_one(LOOK, &[&table])).await?;
        let read = |error: Error| fault(&error);
        if row.try_get::<_, bool>(1).map_err(read)? {
            let detail = "the server is a standby and read-only";
            return Err(Fault::new(ErrorKind::Refused, detail));
        }
        let pid = row.try_get(0).map_err(read)?;
        let schema: Option<String> = row.try_get(2).map_err(read)?;
        let name: Option<String> = row.try_get(3).map_err(read)?;
        match (schema, name) {
            (Some(schema), Some(name)) => Ok((pid, channels(&schema, &name))),
            _ => {
                let detail = format!(
                    "there is no table {table}: call PgBackendBuilder::create_table, or run the SQL of PgBackendBuilder::schema"
                );
                // An outage until somebody makes it: callers compute meanwhile.
                Err(Fault::new(ErrorKind::Refused, detail))
            }
        }
    }
}

/// The channel on which a session hears nobody but itself.
pub(crate) fn own_channel(channels: &str, pid: i32) -> String {
    format!("{channels}p{pid}")
}

/// Where it leads: hosts and database, never user or password.
impl fmt::Display for Dialer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ports = self.config.get_ports();
        for (nth, host) in self.config.get_hosts().iter().enumerate() {
            let comma = if nth > 0 { "," } else { "" };
            // One port may stand for all hosts.
            let port = ports.get(nth).or(ports.first()).copied().unwrap_or(5432);
            match host {
                Host::Tcp(name) => write!(f, "{comma}{name}:{port}")?,
                #[cfg(unix)]
                Host::Unix(path) => write!(f, "{comma}{}:{port}", path.display())?,
            }
        }
        let database = self.config.get_dbname().or(self.config.get_user());
        write!(f, "/{}", database.unwrap_or_default())
    }
}

/// Waits for an answer while driving the connection.
async fn driven<T>(
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

/// TLS with the public certificate authorities, as the other adapters trust them.
fn authorities() -> Result<rustls::ClientConfig, Fault> {
    let mut roots = rustls::RootCertStore::empty();
    roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| Fault::new(ErrorKind::Config, error.to_string()))?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dialer(url: &str) -> Result<Dialer, Fault> {
        Dialer::new(url, Table::parse("memolock").unwrap(), &Options::default())
    }

    #[test]
    fn a_url_is_read_or_refused_without_telling_the_password() {
        let dialer = dialer("postgres://u:hunter2@h:1,g:2/d?sslmode=require").unwrap();
        assert_eq!(dialer.to_string(), "h:1,g:2/d");
        let echoed = Fault::new(ErrorKind::Denied, "no hunter2 here");
        assert_eq!(dialer.here(echoed).detail(), "h:1,g:2/d: no *** here");
        for bad in [
            "",
            "hunter2",
            "redis://:hunter2@h",
            "postgres://u:hunter2@h:port/d",
            "postgres://u@h?hunter2=1",
            "postgres:///d?user=u",
        ] {
            let fault = self::dialer(bad).map(|_| ()).unwrap_err();
            assert_eq!(fault.kind(), ErrorKind::Config, "{bad}");
            assert!(!fault.detail().contains("hunter2"), "{fault:?}");
        }
    }

    #[test]
    fn tls_can_be_set_up() {
        authorities().unwrap();
    }
}
