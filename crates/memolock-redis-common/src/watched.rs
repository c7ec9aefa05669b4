//! A stream that sees large values pass: their bytes count as a server's sign of life.
//!
//! Both directions are read as far as it takes to find long strings in them: lines, and strings with their lengths.
//! Whatever else is said passes unseen, and bytes that are no such protocol do no harm.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use memolock_core::redis::LARGE_BYTES;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use crate::transfers::{Direction, Transfers};

/// A stream, and what is told of it.
#[derive(Debug)]
pub struct Watched<S> {
    inner: S,
    transfers: Arc<Transfers>,
    to_server: Scanner,
    from_server: Scanner,
}

impl<S> Watched<S> {
    /// Nothing has passed yet.
    pub fn new(inner: S, transfers: &Arc<Transfers>) -> Self {
        Self {
            inner,
            transfers: Arc::clone(transfers),
            to_server: Scanner::default(),
            from_server: Scanner::default(),
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.inner).poll_read(cx, buffer))?;
        let this = &mut *self;
        if let Some((began, bytes)) = this.from_server.scan(&buffer.filled()[before..]) {
            this.transfers.moved(Direction::FromServer, began, bytes);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.inner).poll_write(cx, bytes))?;
        let this = &mut *self;
        if let Some((began, bytes)) = this.to_server.scan(&bytes[..written]) {
            this.transfers.moved(Direction::ToServer, began, bytes);
        }
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

/// Where in the protocol a direction is.
#[derive(Debug, Default, Clone, Copy)]
enum State {
    /// At the first byte of a line.
    #[default]
    Start,
    /// In the length of a string.
    Length(usize),
    /// In a line that says nothing of a length.
    Line,
    /// In a string: so many bytes are left, and two for its end.
    Text(usize),
}

/// Finds large strings in one direction.
#[derive(Debug, Default)]
struct Scanner {
    state: State,
    /// The large string that passes: when it began, and how much of it has passed.
    large: Option<(Instant, usize)>,
}

impl Scanner {
    /// These bytes have passed. Since when the last large string among them passes, and how much of it has.
    fn scan(&mut self, mut bytes: &[u8]) -> Option<(Instant, usize)> {
        let mut seen = None;
        while let [first, rest @ ..] = bytes {
            match self.state {
                State::Text(left) => {
                    let taken = left.min(bytes.len());
                    if let Some((_, passed)) = &mut self.large {
                        *passed += taken;
                        seen = self.large;
                    }
                    self.state = match left - taken {
                        0 => {
                            self.large = None;
                            State::Start
                        }
                        left => State::Text(left),
                    };
                    bytes = &bytes[taken..];
                    continue;
                }
                State::Start => {
                    self.state = match first {
                        b'$' | b'=' | b'!' => State::Length(0),
                        b'\n' => State::Start,
                        _ => State::Line,
                    };
                }
                State::Length(length) => {
                    self.state = match first {
                        b'0'..=b'9' => {
                            let digit = usize::from(first - b'0');
                            State::Length(length.saturating_mul(10).saturating_add(digit))
                        }
                        b'\r' => State::Length(length),
                        b'\n' => {
                            self.large = (length > LARGE_BYTES).then(|| (Instant::now(), 0));
                            State::Text(length.saturating_add(2))
                        }
                        // None, or of unknown length.
                        _ => State::Line,
                    };
                }
                State::Line => {
                    let end = bytes.iter().position(|byte| *byte == b'\n');
                    let Some(end) = end else {
                        return seen;
                    };
                    self.state = State::Start;
                    bytes = &bytes[end + 1..];
                    continue;
                }
            }
            bytes = rest;
        }
        seen
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What was seen of it, cut in pieces of this size.
    fn largest(text: &[u8], size: usize) -> usize {
        let mut scanner = Scanner::default();
        let seen = text.chunks(size).filter_map(|some| scanner.scan(some));
        let largest = seen.map(|(_, passed)| passed).max();
        assert!(matches!(scanner.state, State::Start), "{scanner:?}");
        largest.unwrap_or(0)
    }

    #[test]
    fn large_strings_are_found_however_the_stream_is_cut() {
        let long = vec![b'$'; LARGE_BYTES + 1];
        let head = format!(
            "*3\r\n$3\r\nSET\r\n$-1\r\n:5\r\n$0\r\n\r\n${}\r\n",
            long.len()
        );
        let mut text = head.into_bytes();
        text.extend(&long);
        text.extend(b"\r\n_\r\n+OK\r\n-ERR $99999999\r\n");
        for size in [1, 2, 3, 7, 1000, 65_536, text.len()] {
            assert_eq!(largest(&text, size), long.len() + 2, "{size}");
        }
    }

    #[test]
    fn small_ones_are_not_told_of() {
        let exact = vec![b'\n'; LARGE_BYTES];
        let mut text = format!("${}\r\n", exact.len()).into_bytes();
        text.extend(&exact);
        text.extend(b"\r\n");
        for size in [1, 4096, text.len()] {
            assert_eq!(largest(&text, size), 0);
        }
        for odd in ["$?\r\n;4\r\n", "+$\r\n", "\r\n\n", "HTTP/1.1 400\r\n"] {
            assert_eq!(largest(odd.as_bytes(), 2), 0, "{odd}");
        }
    }

    #[test]
    fn a_length_that_no_number_holds_does_no_harm() {
        let mut scanner = Scanner::default();
        assert!(scanner.scan(&[b'$'; 10]).is_none());
        let mut scanner = Scanner::default();
        let text = format!("${}\r\nabc", "9".repeat(400));
        let seen = scanner.scan(text.as_bytes());
        assert_eq!(seen.map(|(_, passed)| passed), Some(3));
    }
}
