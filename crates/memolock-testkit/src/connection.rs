//! One connection to a server, speaking plain RESP2.

use std::fmt;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::ServerError;
use crate::resp::{Value, decode, encode};
use crate::server::Address;

/// How long a reply may take. Long enough for a busy machine, short enough for a test to fail well.
const PATIENCE: Duration = Duration::from_secs(10);

/// A connection of its own, for tests that need its state: `SUBSCRIBE`, `MULTI`, `CLIENT ID`.
///
/// ```no_run
/// # async fn example() -> Result<(), memolock_testkit::ServerError> {
/// let server = memolock_testkit::TestServer::start_local().await?;
/// let mut ear = server.connect().await?;
/// ear.command(&["SUBSCRIBE", "likes/notif:kristoff"]).await?;
/// server.command(&["PUBLISH", "likes/notif:kristoff", "42"]).await?;
/// assert_eq!(ear.read().await?.items()[2], "42");
/// # Ok(())
/// # }
/// ```
pub struct Connection {
    stream: TcpStream,
    /// Bytes that arrived and were not yet read as a value.
    pending: Vec<u8>,
    address: Address,
}

impl Connection {
    pub(crate) async fn open(address: &Address) -> Result<Self, ServerError> {
        let place = address.place();
        let stream = timeout(PATIENCE, TcpStream::connect(&place))
            .await
            .map_err(|_| address.timeout(PATIENCE))?
            .map_err(|error| address.lost(&error))?;
        // Tests measure latency, and a delayed small write would show in it.
        stream
            .set_nodelay(true)
            .map_err(|error| address.lost(&error))?;
        let mut connection = Self {
            stream,
            pending: Vec::new(),
            address: address.clone(),
        };
        for greeting in address.greetings() {
            connection.command(&greeting).await?;
        }
        Ok(connection)
    }

    /// Sends a command and reads one reply; an error reply is [`ServerError::Refused`].
    ///
    /// # Errors
    /// [`ServerError`] if the connection is lost, no reply comes in time, or the reply is an error.
    pub async fn command<A: AsRef<[u8]>>(&mut self, args: &[A]) -> Result<Value, ServerError> {
        self.send(args).await?;
        match self.read().await? {
            Value::Error(message) => Err(ServerError::Refused {
                command: args.first().map_or_else(String::new, |name| {
                    String::from_utf8_lossy(name.as_ref()).into_owned()
                }),
                message,
            }),
            reply => Ok(reply),
        }
    }

    /// Sends a command and reads nothing.
    ///
    /// # Errors
    /// [`ServerError`] if the connection is lost.
    pub async fn send<A: AsRef<[u8]>>(&mut self, args: &[A]) -> Result<(), ServerError> {
        timeout(PATIENCE, self.stream.write_all(&encode(args)))
            .await
            .map_err(|_| self.address.timeout(PATIENCE))?
            .map_err(|error| self.address.lost(&error))
    }

    /// The next reply or message. Cancel-safe.
    ///
    /// # Errors
    /// [`ServerError`] if the connection is lost or nothing comes in time.
    pub async fn read(&mut self) -> Result<Value, ServerError> {
        self.read_within(PATIENCE)
            .await?
            .ok_or_else(|| self.address.timeout(PATIENCE))
    }

    /// The next reply or message, or `None` if there is none within `patience`. Cancel-safe.
    ///
    /// # Errors
    /// [`ServerError`] if the connection is lost.
    pub async fn read_within(&mut self, patience: Duration) -> Result<Option<Value>, ServerError> {
        match timeout(patience, self.next_value()).await {
            Ok(value) => value.map(Some),
            Err(_) => Ok(None),
        }
    }

    /// The error for a peer that said nothing for so long.
    pub(crate) fn silent(&self, waited: Duration) -> ServerError {
        self.address.timeout(waited)
    }

    async fn next_value(&mut self) -> Result<Value, ServerError> {
        loop {
            if let Some((value, used)) = decode(&self.pending)? {
                self.pending.drain(..used);
                return Ok(value);
            }
            let read = self.stream.read_buf(&mut self.pending).await;
            match read.map_err(|error| self.address.lost(&error))? {
                0 => return Err(self.address.lost(&"closed by the server")),
                _ => continue,
            }
        }
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Connection({})", self.address.place())
    }
}
