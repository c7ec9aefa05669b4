//! A server in the same thread, which gives every GET the same value.

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

/// The value.
pub(crate) const VALUE: &[u8] = &[b'v'; 256];

/// A connection to a server of its own, which ends with it.
pub(crate) fn dial() -> DuplexStream {
    let (ours, theirs) = duplex(64 << 10);
    drop(tokio::spawn(serve(theirs)));
    ours
}

/// It answers commands one by one, and only looks at their first word.
async fn serve(mut stream: DuplexStream) {
    let value = [format!("${}\r\n", VALUE.len()).as_bytes(), VALUE, b"\r\n"].concat();
    let mut unread = Vec::with_capacity(4096);
    while stream.read_buf(&mut unread).await.is_ok_and(|n| n > 0) {
        let mut replies = Vec::with_capacity(4096);
        let mut read = 0;
        while let Some((verb, length)) = command(&unread[read..]) {
            replies.extend_from_slice(match verb {
                b"GET" => &value,
                b"HELLO" => b"%1\r\n$5\r\nproto\r\n:3\r\n",
                b"PING" => b"+PONG\r\n",
                _ => b"+OK\r\n",
            });
            read += length;
        }
        unread.drain(..read);
        if stream.write_all(&replies).await.is_err() {
            return;
        }
    }
}

/// The first word of the first command, and the command's length; nothing while it is not all there.
fn command(bytes: &[u8]) -> Option<(&[u8], usize)> {
    let (words, mut at) = number(bytes, 0)?;
    let mut verb = None;
    for _ in 0..words {
        let (length, begins) = number(bytes, at)?;
        let word = bytes.get(begins..begins + length)?;
        verb.get_or_insert(word);
        at = begins + length + 2;
    }
    (at <= bytes.len()).then_some((verb?, at))
}

/// The number in the line at `at`, after a sign, and where the next line begins.
fn number(bytes: &[u8], at: usize) -> Option<(usize, usize)> {
    let line = bytes.get(at + 1..)?;
    let end = line.iter().position(|&b| b == b'\r')?;
    let text = std::str::from_utf8(&line[..end]).ok()?;
    Some((text.parse().ok()?, at + 1 + end + 2))
}
