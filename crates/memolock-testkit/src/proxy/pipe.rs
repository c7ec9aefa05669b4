//! One connection through a proxy: two ways, each read at one end and written at the other.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, sleep_until};

use super::faults::{End, Faults, Flow, Limit, Way};
use super::tally::{Counts, add};
use super::{Settings, Shared};

/// Bytes read at a time where no pace is set.
const PIECE: usize = 64 * 1024;

/// Pieces that may be under way in one direction. When they are, the sender is read no further.
const PIECES: usize = 64;

/// Which way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Direction {
    Up,
    Down,
}

impl Direction {
    fn of(self, faults: &Faults) -> Way {
        match self {
            Self::Up => faults.up,
            Self::Down => faults.down,
        }
    }
}

/// What is under way.
enum Cargo {
    Bytes(Vec<u8>),
    /// The sender closed its side.
    Fin,
    /// The sender is gone.
    Rst,
}

/// One connection, until both of its ways have ended, one of them breaks, or the fuse blows.
pub(super) async fn pass(
    mut near: TcpStream,
    target: SocketAddr,
    shared: &Shared,
    mut fuse: watch::Receiver<Option<End>>,
    seed: u64,
) {
    let _open = shared.counts.opened();
    let far = tokio::select! {
        end = blown(&mut fuse) => return finish(end, [near]).await,
        far = TcpStream::connect(target) => far,
    };
    let Ok(mut far) = far else {
        return finish(End::Close, [near]).await;
    };
    // Clients flush small writes on purpose.
    let _ = (near.set_nodelay(true), far.set_nodelay(true));
    let end = {
        let (near_in, near_out) = near.split();
        let (far_in, far_out) = far.split();
        let up = carry(near_in, far_out, Direction::Up, shared, seed);
        let down = carry(far_in, near_out, Direction::Down, shared, !seed);
        tokio::select! {
            biased;
            end = blown(&mut fuse) => end,
            ends = async { tokio::try_join!(up, down) } => ends.err().unwrap_or(End::Close),
        }
    };
    finish(end, [near, far]).await;
}

/// A connection that is accepted, and nothing more, until the client goes away.
pub(super) async fn ignore(
    near: TcpStream,
    shared: &Shared,
    mut fuse: watch::Receiver<Option<End>>,
) {
    let _open = shared.counts.opened();
    let mut buffer = [0; 1024];
    let gone = async {
        while near.readable().await.is_ok() {
            match near.try_read(&mut buffer) {
                Ok(0) => return,
                Ok(read) => add(&shared.counts.vanished, read),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(_) => return,
            }
        }
    };
    let end = tokio::select! {
        end = blown(&mut fuse) => end,
        () = gone => End::Close,
    };
    finish(end, [near]).await;
}

async fn blown(fuse: &mut watch::Receiver<Option<End>>) -> End {
    match fuse.wait_for(Option::is_some).await.as_deref() {
        Ok(Some(end)) => *end,
        // The proxy is gone.
        _ => End::Close,
    }
}

async fn finish<const N: usize>(end: End, streams: [TcpStream; N]) {
    for mut stream in streams {
        match end {
            // Dropping it then sends an RST, whatever is still unread or unsent.
            End::Reset => drop(stream.set_zero_linger()),
            // Said outright: dropping a stream with something unread in it would reset it.
            End::Close => drop(stream.shutdown().await),
        }
    }
}

/// One way, until its sender has closed its side (`Ok`), or the connection ends (`Err`).
async fn carry(
    from: ReadHalf<'_>,
    to: WriteHalf<'_>,
    direction: Direction,
    shared: &Shared,
    seed: u64,
) -> Result<(), End> {
    let (sender, receiver) = mpsc::channel(PIECES);
    let reading = read(from, sender, direction, shared.settings.subscribe(), seed);
    let writer = Writer {
        to,
        direction,
        counts: &shared.counts,
        settings: shared.settings.subscribe(),
        lost: false,
        limit: None,
        set: 0,
    };
    let writing = writer.run(receiver);
    tokio::pin!(reading, writing);
    tokio::select! {
        biased;
        end = &mut writing => return end,
        () = &mut reading => {}
    }
    writing.await
}

/// Reads at the pace that is set, and marks each piece with when it is due at the other end.
async fn read(
    from: ReadHalf<'_>,
    sender: mpsc::Sender<(Instant, Cargo)>,
    direction: Direction,
    settings: watch::Receiver<Settings>,
    seed: u64,
) {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut buffer = vec![0; PIECE];
    let mut due = Instant::now();
    loop {
        let ready = from.readable().await;
        let way = direction.of(&settings.borrow().faults);
        let pace = way.pace;
        let piece = pace.map_or(PIECE, |pace| pace.bytes.clamp(1, PIECE));
        let cargo = match ready.and_then(|()| from.try_read(&mut buffer[..piece])) {
            Ok(0) => Cargo::Fin,
            Ok(read) => Cargo::Bytes(buffer[..read].to_vec()),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => continue,
            Err(_) => Cargo::Rst,
        };
        // Never before what was sent before it.
        due = due.max(Instant::now() + way.latency + drawn(&mut random, way.jitter));
        let last = !matches!(cargo, Cargo::Bytes(_));
        if sender.send((due, cargo)).await.is_err() || last {
            return;
        }
        if let Some(pace) = pace {
            sleep(pace.pause).await;
        }
    }
}

fn drawn(random: &mut fastrand::Rng, jitter: Duration) -> Duration {
    let nanos = u64::try_from(jitter.as_nanos()).unwrap_or(u64::MAX);
    Duration::from_nanos(random.u64(..=nanos))
}

/// The end that writes.
struct Writer<'a> {
    to: WriteHalf<'a>,
    direction: Direction,
    counts: &'a Counts,
    settings: watch::Receiver<Settings>,
    /// Bytes have vanished here: whatever follows does too.
    lost: bool,
    /// What is left of the limit of the settings that were [`set`](Self::set) how many-th.
    limit: Option<Limit>,
    set: u64,
}

impl Writer<'_> {
    async fn run(mut self, mut cargoes: mpsc::Receiver<(Instant, Cargo)>) -> Result<(), End> {
        while let Some((due, cargo)) = cargoes.recv().await {
            if due > Instant::now() {
                sleep_until(due).await;
            }
            match cargo {
                Cargo::Bytes(bytes) => self.write(&bytes).await?,
                Cargo::Fin => {
                    self.when(|flow| flow == Flow::Pass).await?;
                    return self.to.shutdown().await.map_err(|_| End::Close);
                }
                Cargo::Rst => {
                    self.when(|flow| flow == Flow::Pass).await?;
                    return Err(End::Reset);
                }
            }
        }
        Ok(())
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<(), End> {
        let flow = self.when(|flow| flow != Flow::Stall).await?;
        self.lost |= flow == Flow::Vanish;
        if self.lost {
            add(&self.counts.vanished, bytes.len());
            return Ok(());
        }
        let passed = match self.limit {
            Some(limit) => {
                &bytes[..bytes
                    .len()
                    .min(usize::try_from(limit.bytes).unwrap_or(PIECE))]
            }
            None => bytes,
        };
        self.to.write_all(passed).await.map_err(|_| End::Close)?;
        let count = match self.direction {
            Direction::Up => &self.counts.up,
            Direction::Down => &self.counts.down,
        };
        add(count, passed.len());
        if let Some(limit) = &mut self.limit {
            limit.bytes -= passed.len() as u64;
            if limit.bytes == 0 {
                add(&self.counts.broken, 1);
                return Err(limit.end);
            }
        }
        Ok(())
    }

    /// Waits until the flow is such, and takes over the settings as they are then.
    async fn when(&mut self, is_it: impl Fn(Flow) -> bool) -> Result<Flow, End> {
        let direction = self.direction;
        let settings = self
            .settings
            .wait_for(|s| is_it(direction.of(&s.faults).flow));
        // An error: the proxy is gone.
        let settings = *settings.await.map_err(|_| End::Close)?;
        let way = direction.of(&settings.faults);
        if settings.nth != self.set {
            (self.set, self.limit) = (settings.nth, way.limit);
        }
        Ok(way.flow)
    }
}
