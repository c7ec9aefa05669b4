//! Making one connection: opened, checked, prepared, and listening to itself.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::StreamExt;
use memolock_core::ErrorKind;
use memolock_core::connection::{Fault, Options};
use tokio_postgres::{AsyncMessage, Client, Error};

use crate::error::fault;
use crate::opening::{Messages, Opened, driven};
use crate::paused::RealTime;
use crate::pooler::{refuse_pooler, shared};
use crate::queue::{Jobs, Queue, queue};
use crate::rows::column;
use crate::socket::Progress;
use crate::statements::{Statements, Verb};
use crate::table::{Table, channels};
use crate::target::Target;

/// Makes connections.
pub(crate) struct Dialer {
    target: Target,
    table: Table,
    connect_timeout: Duration,
    command_timeout: Duration,
}

/// What commands are sent over.
#[derive(Clone)]
pub(crate) struct Wire {
    pub(crate) client: Arc<Client>,
    pub(crate) statements: Arc<Statements>,
    /// Where callers put statements.
    pub(crate) queue: Queue,
    /// The server's name for this connection.
    pub(crate) pid: i32,
}

/// One connection. Nothing moves on it unless `messages` are read.
pub(crate) struct Line {
    pub(crate) wire: Wire,
    pub(crate) messages: Messages,
    pub(crate) jobs: Jobs,
    /// The prefix of the table's channels.
    pub(crate) channels: String,
}

impl Wire {
    /// Sends a nonce to ourselves. It comes back behind all that was notified before.
    pub(crate) async fn fence(&self, channel: &str, nonce: &str) -> Result<(), Fault> {
        let statement = self.statements.of(Verb::Fence);
        let rows = self.client.query(statement, &[&channel, &nonce]).await;
        let rows = rows.map_err(|error| fault(&error))?;
        let pid: Option<i32> = rows.first().map(|row| column(row, 1)).transpose()?;
        match pid == Some(self.pid) {
            true => Ok(()),
            false => Err(shared()),
        }
    }
}

impl Dialer {
    /// Reads the URL. What is wrong with it is told without it: it may hold a password.
    pub(crate) fn new(url: &str, table: Table, options: &Options) -> Result<Self, Fault> {
        let mut target = Target::parse(url)?;
        if let (None, Some(name)) = (target.config.get_application_name(), &options.client_name) {
            target.config.application_name(name);
        }
        Ok(Self {
            target,
            table,
            connect_timeout: options.connect_timeout,
            command_timeout: options.command_timeout,
        })
    }

    /// What the server has done so far.
    pub(crate) fn progress(&self) -> &Arc<Progress> {
        &self.target.progress
    }

    /// Connects and sets up, all within the bound.
    pub(crate) async fn dial(&self) -> Result<Line, Fault> {
        self.bounded(self.connect()).await
    }

    /// Makes the table, over a connection of its own. Nothing is set for the session, so a pooler is welcome.
    pub(crate) async fn create_table(&self) -> Result<(), Fault> {
        self.bounded(async {
            let mut opened = self.target.open().await?;
            let schema = self.table.schema();
            // One at a time: IF NOT EXISTS does not keep two from creating it at once.
            let sql = format!(
                "BEGIN; SELECT pg_advisory_xact_lock(hashtext('memolock create table')); {schema} COMMIT"
            );
            let Opened { client, messages, .. } = &mut opened;
            driven(messages, client.batch_execute(&sql)).await
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
        fault.at_place(&self.to_string(), self.target.secret().as_deref())
    }

    async fn connect(&self) -> Result<Line, Fault> {
        let mut opened = self.target.open().await?;
        let place = opened.place.clone();
        // Before anything is set: a pooler would keep it for others.
        refuse_pooler(&mut opened, self.target.open_again(&place)).await?;
        let Opened {
            client,
            mut messages,
            ..
        } = opened;
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
        let own = own_channel(&channels, pid);
        let listen = format!("LISTEN \"{own}\"");
        driven(&mut messages, client.batch_execute(&listen)).await?;
        let (queue, jobs) = queue();
        let wire = Wire {
            client: Arc::new(client),
            statements: Arc::new(statements),
            queue,
            pid,
        };
        let heard = hear_itself(&wire, &mut messages, &own);
        let heard = tokio::time::timeout(self.command_timeout, heard).await;
        heard.unwrap_or_else(|_| {
            let why = "LISTEN does not hear its own NOTIFY: connect to the server itself";
            Err(Fault::new(ErrorKind::Unsupported, why))
        })?;
        Ok(Line {
            wire,
            messages,
            jobs,
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

/// Waits until a notification that we send to ourselves has come back.
async fn hear_itself(wire: &Wire, messages: &mut Messages, own: &str) -> Result<(), Fault> {
    const HELLO: &str = "hello";
    let fence = wire.fence(own, HELLO);
    tokio::pin!(fence);
    let (mut is_sent, mut is_heard) = (false, false);
    while !is_sent || !is_heard {
        tokio::select! {
            biased;
            sent = &mut fence, if !is_sent => {
                sent?;
                is_sent = true;
            }
            message = messages.next() => match message {
                Some(Ok(AsyncMessage::Notification(heard))) => {
                    is_heard |= heard.channel() == own && heard.payload() == HELLO;
                }
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(fault(&error)),
                None => return Err(Fault::lost()),
            },
        }
    }
    Ok(())
}

/// Where it leads: hosts and database, never user or password.
impl fmt::Display for Dialer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.target.fmt(f)
    }
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
            "postgres://u@h?sslmode=hunter2",
            "postgres:///d?user=u",
        ] {
            let fault = self::dialer(bad).map(|_| ()).unwrap_err();
            assert_eq!(fault.kind(), ErrorKind::Config, "{bad}");
            assert!(!fault.detail().contains("hunter2"), "{fault:?}");
        }
    }

    #[test]
    fn a_name_in_the_url_comes_before_that_of_the_builder() {
        let name = |url: &str| {
            let dialer = dialer(url).unwrap();
            dialer
                .target
                .config
                .get_application_name()
                .map(str::to_owned)
        };
        assert_eq!(name("postgres://h").as_deref(), Some("memolock"));
        assert_eq!(
            name("postgres://h?application_name=x").as_deref(),
            Some("x")
        );
    }
}
