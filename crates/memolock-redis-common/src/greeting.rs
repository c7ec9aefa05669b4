//! What a server said, when a connection to it failed and the client does not tell.
//!
//! A server with too many clients, or a proxy that does not know RESP3, may say why in one line and close the
//! connection. Clients send their greeting at once, so the line is often lost with the connection. This asks again,
//! over a stream of its own and without credentials: it listens first, then sends `HELLO 3`, and reads one line.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use memolock_core::ErrorKind;
use memolock_core::redis::{Address, Endpoint, Fault};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// How long all of it may take: a part of the bound of one attempt to connect.
pub(crate) const LONGEST: Duration = Duration::from_millis(400);

/// How long it listens before it speaks: a server that refuses connections says so at once.
const LISTENING: Duration = Duration::from_millis(100);

/// The most that is read of the line.
const LINE_BYTES: usize = 512;

/// What clients say first.
const HELLO: &[u8] = b"*2\r\n$5\r\nHELLO\r\n$1\r\n3\r\n";

/// Two bytes with which a TLS alert begins.
const ALERT: &[u8] = &[0x15, 0x03];

/// A stream to a server, whatever it is made of.
pub type RawStream = Box<dyn Duplex>;

/// What a stream can do.
pub trait Duplex: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Duplex for S {}

/// Whom to trust and whom to be, over such a stream. Cheap to clone.
#[derive(Clone)]
pub struct RawTls(Arc<ClientConfig>);

impl From<ClientConfig> for RawTls {
    fn from(config: ClientConfig) -> Self {
        Self(Arc::new(config))
    }
}

impl From<Arc<ClientConfig>> for RawTls {
    fn from(config: Arc<ClientConfig>) -> Self {
        Self(config)
    }
}

/// A stream to where the address says, over TLS if it says so and there is a configuration.
///
/// # Errors
/// There is none.
pub async fn raw_stream(address: &Address, tls: Option<&RawTls>) -> io::Result<RawStream> {
    match (address.endpoint(), tls) {
        (Endpoint::Tcp { host, port }, _) => {
            Ok(Box::new(TcpStream::connect((host.as_str(), *port)).await?))
        }
        (Endpoint::Tls { host, port }, Some(tls)) => {
            let name = ServerName::try_from(host.clone());
            let name = name.map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
            let stream = TcpStream::connect((host.as_str(), *port)).await?;
            let connector = tokio_rustls::TlsConnector::from(Arc::clone(&tls.0));
            Ok(Box::new(connector.connect(name, stream).await?))
        }
        #[cfg(unix)]
        (Endpoint::Unix(path), _) => Ok(Box::new(tokio::net::UnixStream::connect(path).await?)),
        _ => Err(io::ErrorKind::Unsupported.into()),
    }
}

/// What was heard.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Heard {
    /// Empty if the connection was closed without a word.
    line: Vec<u8>,
    /// Whether we had spoken.
    asked: bool,
}

/// Whether a connection failed for a reason that the server may have told.
pub(crate) fn is_wanting(fault: &Fault) -> bool {
    *fault == Fault::lost() || fault.kind() == ErrorKind::Protocol
}

/// Listens, asks and listens. None if nothing was said, and the connection is open.
pub(crate) async fn heard(mut stream: RawStream) -> Option<Heard> {
    let mut line = Vec::new();
    // An error ends the connection too, and what came before it was read.
    if timeout(LISTENING, read_line(&mut stream, &mut line))
        .await
        .is_ok()
    {
        return Some(Heard { line, asked: false });
    }
    let asked = line.is_empty();
    if asked {
        // One that is closed by now may have said something, which is read next.
        let _ = stream.write_all(HELLO).await;
    }
    // Less than the bound of all this, so that a line without an end is told too.
    let read = timeout(LONGEST / 2, read_line(&mut stream, &mut line)).await;
    (read.is_ok() || !line.is_empty()).then_some(Heard { line, asked })
}

/// Reads until the end of the line, of the connection, or of what is worth reading. Cancel-safe: what was read stays.
async fn read_line(stream: &mut RawStream, line: &mut Vec<u8>) -> io::Result<()> {
    while line.len() < LINE_BYTES && !line.contains(&b'\n') {
        let mut part = [0; LINE_BYTES];
        let read = stream.read(&mut part).await?;
        if read == 0 {
            break;
        }
        line.extend_from_slice(&part[..read]);
    }
    Ok(())
}

/// The fault with what was heard, unless that says nothing of it.
pub(crate) fn explained(fault: Fault, heard: &Heard) -> Fault {
    let end = heard
        .line
        .iter()
        .position(|byte| matches!(byte, b'\r' | b'\n'));
    let line = &heard.line[..end.unwrap_or(heard.line.len()).min(LINE_BYTES)];
    let said = String::from_utf8_lossy(line).replace(char::is_control, " ");
    match line.first() {
        None if heard.line.is_empty() => {
            let when = match heard.asked {
                false => "the server closes a new connection at once, without a word",
                true => {
                    "the server closes it at HELLO 3 without a word, as a proxy may that does not speak RESP3"
                }
            };
            Fault::new(fault.kind(), format!("{}: {when}", fault.detail()))
        }
        // It was asked without a password.
        Some(b'-') if heard.asked && line.starts_with(b"-NOAUTH") => fault,
        Some(b'-') => Fault::answered(&said[1..]),
        // A greeting: whatever failed, it was not this.
        Some(b'+' | b'%' | b'*' | b'$' | b':' | b'>' | b'_' | b'#' | b',' | b'(' | b'|') => fault,
        _ if heard.line.starts_with(ALERT) => {
            let detail = "the server answered with a TLS alert: for TLS use rediss://";
            Fault::new(fault.kind(), detail)
        }
        _ => {
            let detail = format!("the server does not speak as a Redis does, it said {said:?}");
            Fault::new(fault.kind(), detail)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(line: &[u8], asked: bool) -> Fault {
        let line = line.to_vec();
        explained(Fault::lost(), &Heard { line, asked })
    }

    #[test]
    fn what_the_server_said_is_told() {
        let full = of(b"-ERR max number of clients reached\r\n", false);
        assert_eq!(full.kind(), ErrorKind::Refused);
        assert!(full.detail().contains("max number of clients"), "{full:?}");
        let old = of(b"-ERR unknown command 'HELLO'\r\n", true);
        assert_eq!(old.kind(), ErrorKind::Unsupported);
        assert!(old.detail().contains("unknown command 'HELLO'"), "{old:?}");
        let closed = of(b"-DENIED Redis is running in protected mode\r\n", false);
        assert_eq!(closed.kind(), ErrorKind::Denied);
        let web = of(b"HTTP/1.1 400 Bad Request\r\nServer: x\r\n", true);
        assert!(
            web.detail().ends_with("\"HTTP/1.1 400 Bad Request\""),
            "{web:?}"
        );
        assert_eq!(web.kind(), ErrorKind::Unavailable);
        let tls = of(&[0x15, 3, 1, 0, 2, 2, 70], true);
        assert!(tls.detail().contains("rediss://"), "{tls:?}");
        for asked in [false, true] {
            let silent = of(b"", asked);
            assert_eq!(silent.kind(), ErrorKind::Unavailable);
            assert!(silent.detail().contains("without a word"), "{silent:?}");
        }
        let odd = of(b"\x01\x1b[31m\xff", false);
        assert!(!odd.detail().contains('\u{1b}'), "{odd:?}");
    }

    #[test]
    fn a_greeting_explains_nothing() {
        for line in [&b"%7\r\n"[..], b"*14\r\n", b"+PONG\r\n"] {
            assert_eq!(of(line, true), Fault::lost());
        }
        let line = b"-NOAUTH HELLO must be called with the client already authenticated\r\n";
        assert_eq!(of(line, true), Fault::lost());
        assert_eq!(of(line, false).kind(), ErrorKind::Denied);
    }

    #[test]
    fn what_is_explained_already_is_not_asked_again() {
        assert!(is_wanting(&Fault::lost()));
        assert!(is_wanting(&Fault::new(ErrorKind::Protocol, "x")));
        assert!(!is_wanting(&Fault::new(
            ErrorKind::Unavailable,
            "Connection refused"
        )));
        assert!(!is_wanting(&Fault::new(ErrorKind::Denied, "x")));
    }
}
