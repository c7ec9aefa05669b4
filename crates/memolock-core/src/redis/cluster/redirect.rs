//! What a node says who does not serve a slot, or not now.

use super::{Place, SLOTS};

/// Where to turn instead, read off an error line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Redirect {
    /// The slot is another node's.
    Moved {
        /// The slot.
        slot: u16,
        /// Whose it is. Its host is empty if that is the host of the node that was asked.
        place: Place,
    },
    /// The slot is on its way to another node, and these keys may be there: ask once, with `ASKING`.
    Ask {
        /// The slot.
        slot: u16,
        /// Where it is going. Its host is empty if that is the host of the node that was asked.
        place: Place,
    },
    /// The slot is on its way, and some of these keys are here and others are not.
    TryAgain,
    /// The slot is nobody's for now, or the cluster does not serve at all.
    Down,
}

impl Redirect {
    /// Reads an error line without its leading `-`. None if it redirects nowhere, or makes no sense.
    #[must_use]
    pub fn read(line: &str) -> Option<Self> {
        let (code, rest) = line.split_once(' ').unwrap_or((line, ""));
        match code {
            "MOVED" => elsewhere(rest).map(|(slot, place)| Self::Moved { slot, place }),
            "ASK" => elsewhere(rest).map(|(slot, place)| Self::Ask { slot, place }),
            "TRYAGAIN" => Some(Self::TryAgain),
            "CLUSTERDOWN" => Some(Self::Down),
            _ => None,
        }
    }
}

/// `3999 127.0.0.1:6381`, and the host may be a name, an IP address of version 6 without brackets, or nothing.
fn elsewhere(rest: &str) -> Option<(u16, Place)> {
    let mut words = rest.split(' ');
    let slot: u16 = words.next()?.parse().ok()?;
    let (host, port) = words.next()?.rsplit_once(':')?;
    let place = Place::new(host, port.parse().ok()?)?;
    (slot < SLOTS).then_some((slot, place))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(host: &str, port: u16) -> Place {
        Place::new(host, port).unwrap()
    }

    #[test]
    fn each_redirection_is_read() {
        let moved = |slot, place| Some(Redirect::Moved { slot, place });
        for (line, expected) in [
            (
                "MOVED 3999 127.0.0.1:6381",
                moved(3999, place("127.0.0.1", 6381)),
            ),
            ("MOVED 0 ::1:6381", moved(0, place("::1", 6381))),
            (
                "MOVED 16383 node-3.example:1",
                moved(16383, place("node-3.example", 1)),
            ),
            ("MOVED 1 :6381", moved(1, place("", 6381))),
            ("MOVED 1 ?:6381", moved(1, place("", 6381))),
            (
                "ASK 7 h:1",
                Some(Redirect::Ask {
                    slot: 7,
                    place: place("h", 1),
                }),
            ),
            (
                "TRYAGAIN Multiple keys request during rehashing of slot",
                Some(Redirect::TryAgain),
            ),
            ("CLUSTERDOWN Hash slot not served", Some(Redirect::Down)),
        ] {
            assert_eq!(Redirect::read(line), expected, "{line}");
        }
    }

    #[test]
    fn what_makes_no_sense_leads_nowhere() {
        for line in [
            "",
            "MOVED",
            "MOVED 1",
            "MOVED 1 h",
            "MOVED 1 h:",
            "MOVED 1 h:0",
            "MOVED 1 h:65536",
            "MOVED 16384 h:1",
            "MOVED -1 h:1",
            "MOVED x h:1",
            "ASK 1 h :1",
            "ERR MOVED 1 h:1",
            "moved 1 h:1",
        ] {
            assert_eq!(Redirect::read(line), None, "{line}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_line_panics(line: String, code in "MOVED|ASK|TRYAGAIN|CLUSTERDOWN", rest: String) {
            let _ = Redirect::read(&line);
            let _ = Redirect::read(&format!("{code} {rest}"));
        }

        #[test]
        fn what_is_read_is_what_was_said(number in 0..SLOTS, host in "[a-z0-9.:-]{0,40}", port in 1..=u16::MAX) {
            let line = format!("MOVED {number} {host}:{port}");
            let expected = Redirect::Moved { slot: number, place: place(&host, port) };
            assert_eq!(Redirect::read(&line), Some(expected));
        }
    }
}
