//! What a server was asked: for tests that count commands.

use crate::connection::Connection;
use crate::server::Address;
use crate::{ServerError, Value, unique_tag};

/// The commands that a server processes, from [`TestServer::monitor`](crate::TestServer::monitor).
#[derive(Debug)]
pub struct Monitor {
    connection: Connection,
    address: Address,
}

impl Monitor {
    pub(crate) async fn open(address: &Address) -> Result<Self, ServerError> {
        let mut connection = Connection::open(address).await?;
        connection.command(&["MONITOR"]).await?;
        Ok(Self {
            connection,
            address: address.clone(),
        })
    }

    /// The next command. Cancel-safe.
    ///
    /// # Errors
    /// [`ServerError`] if the connection is lost or nothing comes in time.
    pub async fn next(&mut self) -> Result<Observed, ServerError> {
        match self.connection.read().await? {
            Value::Status(line) => Ok(Observed { line }),
            other => Err(ServerError::Malformed(format!(
                "{other} is no line of MONITOR"
            ))),
        }
    }

    /// Everything that was processed before this call, and not yet returned. No sleep is needed: a
    /// marker is sent behind it.
    ///
    /// # Errors
    /// [`ServerError`] if the connection is lost.
    pub async fn drain(&mut self) -> Result<Vec<Observed>, ServerError> {
        let marker = unique_tag("drain");
        let mut other = Connection::open(&self.address).await?;
        other.command(&["ECHO", &marker]).await?;
        let mut seen = Vec::new();
        loop {
            let next = self.next().await?;
            if next.line.contains(&marker) {
                // `other` may have sent a SELECT of its own.
                seen.retain(|o: &Observed| o.peer() != next.peer());
                return Ok(seen);
            }
            seen.push(next);
        }
    }
}

/// One command, as `MONITOR` tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observed {
    line: String,
}

impl Observed {
    /// The whole line: time, client, command.
    #[must_use]
    pub fn line(&self) -> &str {
        &self.line
    }

    /// Whether a script ran it inside the server, rather than a client sent it.
    #[must_use]
    pub fn from_script(&self) -> bool {
        self.client().ends_with(" lua")
    }

    /// The database and the client's address, such as `0 127.0.0.1:50000`.
    #[must_use]
    pub fn client(&self) -> &str {
        let inside = self.line.split_once('[').map_or("", |(_, rest)| rest);
        // The address of an IPv6 client holds brackets itself; the command begins after `] `.
        inside.split_once("] ").map_or("", |(client, _)| client)
    }

    /// The client's address alone, the same whichever database it uses.
    fn peer(&self) -> &str {
        self.client().split_once(' ').map_or("", |(_, peer)| peer)
    }

    /// The command's name in upper case.
    #[must_use]
    pub fn name(&self) -> String {
        self.args()
            .first()
            .map_or_else(String::new, |name| name.to_uppercase())
    }

    /// Name and arguments; bytes that are not printable ASCII stay escaped, as `\xff`.
    #[must_use]
    pub fn args(&self) -> Vec<String> {
        let quoted = self.line.split_once("] ").map_or("", |(_, rest)| rest);
        let (mut args, mut current) = (Vec::new(), None::<String>);
        let mut chars = quoted.chars();
        while let Some(c) = chars.next() {
            match (c, &mut current) {
                ('"', None) => current = Some(String::new()),
                ('"', Some(_)) => args.extend(current.take()),
                ('\\', Some(arg)) => match chars.next() {
                    Some(plain @ ('"' | '\\')) => arg.push(plain),
                    Some(escaped) => arg.extend(['\\', escaped]),
                    None => arg.push('\\'),
                },
                (c, Some(arg)) => arg.push(c),
                (_, None) => {}
            }
        }
        args
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn observed(line: &str) -> Observed {
        Observed { line: line.into() }
    }

    #[test]
    fn lines_are_taken_apart() {
        let seen =
            observed(r#"1339518083.107412 [0 127.0.0.1:60866] "set" "a \"b\" \\ ] " "\xff""#);
        assert_eq!(seen.name(), "SET");
        assert_eq!(seen.args(), ["set", r#"a "b" \ ] "#, r"\xff"]);
        assert_eq!(seen.client(), "0 127.0.0.1:60866");
        assert!(!seen.from_script());
        assert!(observed(r#"1.2 [0 lua] "GET" "k""#).from_script());
        assert_eq!(
            observed(r#"1.2 [3 [::1]:6379] "PING""#).client(),
            "3 [::1]:6379"
        );
    }

    #[test]
    fn nonsense_is_harmless() {
        for line in ["", "OK", "[", r#"1 [0 lua] "\"#] {
            let seen = observed(line);
            assert!(seen.name().is_empty() && !seen.line().contains("PING"));
        }
    }
}
