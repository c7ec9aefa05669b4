//! What a proxy does to what passes through it: the settings.

use std::time::Duration;

/// What happens on a [`Proxy`](crate::Proxy)'s line from now on. The default: nothing, it is a clear line.
///
/// ```
/// use std::time::Duration;
/// use memolock_testkit::{End, Faults, Way};
///
/// let millis = Duration::from_millis;
/// // Far away, both ways.
/// let _far = Faults::both(Way::CLEAR.late(millis(20), millis(10)));
/// // Replies that break off after three bytes.
/// let _torn = Faults::down(Way::CLEAR.broken_after(3, End::Reset));
/// // Requests that vanish, while the connection stays up.
/// let _half_open = Faults::up(Way::CLEAR.vanishing());
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Faults {
    /// What happens to new connections.
    pub arrivals: Arrivals,
    /// The way of requests, from client to server.
    pub up: Way,
    /// The way of replies, from server to client.
    pub down: Way,
}

/// What happens to new connections.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Arrivals {
    /// They are made.
    #[default]
    Serve,
    /// They are accepted and closed at once, as by a balancer that has no server.
    Close,
    /// Nobody listens: connection refused. The port stays the proxy's own all the same. (Where the system
    /// cannot do that, which is everywhere but on Unix, as [`Close`](Self::Close).)
    Refuse,
    /// They are accepted, and nothing is ever said on them, not even after the fault.
    Silence,
}

/// One direction of a line.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Way {
    /// How long every byte is under way at least.
    pub latency: Duration,
    /// By how much longer it may be, evenly spread and drawn for each piece that is read. Order is kept:
    /// it is TCP.
    pub jitter: Duration,
    /// How slowly it is read. The sender feels it too: its buffers fill up.
    pub pace: Option<Pace>,
    /// Whether bytes arrive.
    pub flow: Flow,
    /// When it breaks.
    pub limit: Option<Limit>,
}

/// A slow reader: so many bytes, then a pause, and again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// Bytes at a time; at least one.
    pub bytes: usize,
    /// The pause after them.
    pub pause: Duration,
}

/// Whether bytes arrive.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Flow {
    /// They do.
    #[default]
    Pass,
    /// They wait until the fault is over. Nothing is lost.
    Stall,
    /// They are lost, and so are the ends of connections: both sides think that the other lives. A
    /// connection that has lost bytes never carries any again in that direction, for what came after them
    /// would make no sense.
    Vanish,
}

/// After how many bytes every connection breaks, counted from when the fault was set or the connection made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// Bytes that still pass.
    pub bytes: u64,
    /// What comes after them.
    pub end: End,
}

/// How a connection ends, on both sides of the proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It is closed: FIN.
    Close,
    /// It is reset: RST.
    Reset,
}

impl Faults {
    /// A line with this on both ways.
    #[must_use]
    pub fn both(way: Way) -> Self {
        Self::up(way).and_down(way)
    }

    /// A line with this on the way of requests.
    #[must_use]
    pub fn up(up: Way) -> Self {
        Self {
            up,
            ..Self::default()
        }
    }

    /// A line with this on the way of replies.
    #[must_use]
    pub fn down(down: Way) -> Self {
        Self::default().and_down(down)
    }

    /// A line where this happens to new connections; those that are there go on.
    #[must_use]
    pub fn arrivals(arrivals: Arrivals) -> Self {
        Self {
            arrivals,
            ..Self::default()
        }
    }

    /// The same with this on the way of replies.
    #[must_use]
    pub fn and_down(self, down: Way) -> Self {
        Self { down, ..self }
    }
}

impl Way {
    /// Nothing happens here.
    pub const CLEAR: Self = Self {
        latency: Duration::ZERO,
        jitter: Duration::ZERO,
        pace: None,
        flow: Flow::Pass,
        limit: None,
    };

    /// Bytes are late by `latency` and up to `jitter` more.
    #[must_use]
    pub const fn late(mut self, latency: Duration, jitter: Duration) -> Self {
        (self.latency, self.jitter) = (latency, jitter);
        self
    }

    /// Bytes are read `bytes` at a time, with a pause after them.
    #[must_use]
    pub const fn slow(mut self, bytes: usize, pause: Duration) -> Self {
        self.pace = Some(Pace { bytes, pause });
        self
    }

    /// Bytes wait until the fault is over.
    #[must_use]
    pub const fn stalled(mut self) -> Self {
        self.flow = Flow::Stall;
        self
    }

    /// Bytes are lost.
    #[must_use]
    pub const fn vanishing(mut self) -> Self {
        self.flow = Flow::Vanish;
        self
    }

    /// Every connection breaks after so many bytes.
    #[must_use]
    pub const fn broken_after(mut self, bytes: u64, end: End) -> Self {
        self.limit = Some(Limit { bytes, end });
        self
    }
}
