//! Notices: what holders say on the `fail` channel, which is memolock's alone.

use bytes::Bytes;

/// The longest failure message that travels, in bytes. It is for people who read logs; the error
/// itself stays with the process that computed.
pub const MAX_MESSAGE_BYTES: usize = 256;

/// A payload of the `fail` channel.
///
/// On the wire it is text: `released`, `invalidated`, `failed`, or `failed:` and a message.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Notice {
    /// The holder gave up its lease without a value (its caller went away, or chose not to store).
    Released,
    /// The holder's compute failed, with a short message.
    Failed(String),
    /// The value was deleted and whatever compute was under way is fenced off.
    Invalidated,
}

impl Notice {
    /// A failure notice, its message cut to [`MAX_MESSAGE_BYTES`] at a character's boundary and made one line
    /// without control characters: whoever may publish writes in somebody's log.
    #[must_use]
    pub fn failed(message: &str) -> Self {
        let mut cut = message.len().min(MAX_MESSAGE_BYTES);
        while !message.is_char_boundary(cut) {
            cut -= 1;
        }
        Self::Failed(message[..cut].replace(char::is_control, " "))
    }

    /// The payload as it is published.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        match self {
            Self::Released => Bytes::from_static(b"released"),
            Self::Invalidated => Bytes::from_static(b"invalidated"),
            Self::Failed(message) if message.is_empty() => Bytes::from_static(b"failed"),
            Self::Failed(message) => Bytes::from(format!("failed:{message}")),
        }
    }

    /// Reads a payload. Anything can arrive on a channel, so anything is understood: what is not a
    /// notice means that *something* happened, and a listener should look again, as after a release.
    #[must_use]
    pub fn decode(payload: &[u8]) -> Self {
        match payload {
            b"invalidated" => Self::Invalidated,
            b"failed" => Self::Failed(String::new()),
            _ => match payload.strip_prefix(b"failed:") {
                Some(message) => {
                    let cut = &message[..message.len().min(MAX_MESSAGE_BYTES)];
                    Self::failed(&String::from_utf8_lossy(cut))
                }
                None => Self::Released,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notices_survive_the_wire() {
        for notice in [
            Notice::Released,
            Notice::Invalidated,
            Notice::failed(""),
            Notice::failed("the database is down"),
            Notice::failed("a:b"),
        ] {
            assert_eq!(Notice::decode(&notice.encode()), notice);
        }
    }

    #[test]
    fn garbage_means_look_again() {
        for payload in [&b""[..], b"\xff\xfe", b"RELEASED", b"invalidated!"] {
            assert_eq!(Notice::decode(payload), Notice::Released);
        }
    }

    #[test]
    fn messages_are_short_and_one_line() {
        let Notice::Failed(message) = Notice::failed(&"ü\n".repeat(1000)) else {
            panic!("not a failure");
        };
        assert!(message.len() <= MAX_MESSAGE_BYTES && !message.contains('\n'));
        let Notice::Failed(foreign) =
            Notice::decode(&[b"failed:".as_slice(), &[0xff; 9000]].concat())
        else {
            panic!("not a failure");
        };
        assert!(foreign.len() <= MAX_MESSAGE_BYTES);
        let coloured = b"failed:\x1b[2J\x07a\xc2\x9bb\x00";
        assert_eq!(
            Notice::decode(coloured),
            Notice::Failed(" [2J a b ".to_owned())
        );
    }
}
