//! Values of all sizes told to their waiters, with the raw client: the value within the notification, or a short notice
//! upon which each waiter gets it.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use futures_util::StreamExt;
use memolock_testkit::unique_tag;
use redis::aio::MultiplexedConnection;
use redis::{Script, cmd};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::Stage;
use super::figure::{Curve, Figure};
use crate::raw;
use crate::rounds::median;

/// The largest values take a while to so many.
const PATIENCE: Duration = Duration::from_secs(60);

/// As a fulfil does: store, then tell; here with another payload if it is to be short.
const STORE: &str = "redis.call('set', KEYS[1], ARGV[1], 'PX', 60000) \
    redis.call('publish', KEYS[2], #ARGV[2] > 0 and ARGV[2] or ARGV[1]) return 1";

/// What a short notice says. No value of this measurement is so short.
const NOTICE: &str = "!";

/// Waiters with connections of their own, as so many processes have them.
struct Waiters {
    channel: String,
    name: String,
    arrivals: mpsc::UnboundedReceiver<Result<(usize, Instant)>>,
    tasks: Vec<JoinHandle<()>>,
}

pub(super) async fn by_bytes(stage: &Stage<'_>) -> Result<Vec<Figure>> {
    let (sizes, fans): (&[usize], &[usize]) = match stage.quick {
        true => (&[100, 65_536], &[2]),
        false => (
            &[
                100, 1_024, 4_096, 16_384, 65_536, 262_144, 1_048_576, 4_194_304, 16_777_216,
            ],
            &[1, 8, 32],
        ),
    };
    let mut curves = Vec::new();
    for &fan in fans {
        let of = if fan == 1 {
            "1 waiter"
        } else {
            &format!("{fan} waiters")
        };
        let mut within = Curve::new(format!("value in the notification, {of}"));
        let mut apart = Curve::new(format!("short notice and GET, {of}"));
        let mut publisher = raw::redis_rs_within(stage.server.url(), PATIENCE).await?;
        let mut waiters = Waiters::open(stage.server.url(), fan).await?;
        for &bytes in sizes {
            let value = "v".repeat(bytes);
            let rounds = match (stage.quick, bytes) {
                (true, _) => 1,
                (false, 0..=1_048_576) => 15,
                (false, _) => 5,
            };
            let (mut first, mut second) = (Vec::new(), Vec::new());
            // By turns, so that noise hits both; the first of each only warms up.
            for round in 0..=rounds {
                let pair = (
                    waiters.tell(&mut publisher, &value, "").await?,
                    waiters.tell(&mut publisher, &value, NOTICE).await?,
                );
                if round > 0 {
                    first.push(pair.0.as_secs_f64() * 1e3);
                    second.push(pair.1.as_secs_f64() * 1e3);
                }
            }
            within.points.push((bytes as f64, median(&first)));
            apart.points.push((bytes as f64, median(&second)));
        }
        curves.extend([within, apart]);
    }
    Ok(vec![Figure {
        name: "sizes",
        title: "Telling waiters a value, by its size".into(),
        about: "From the sending of the script that stores the value and publishes, to the last waiter's having the \
                value. Each waiter has a connection that listens and one for commands, with the redis crate; all of them and \
                the server share one machine. Medians of 15 (above 1 MiB: 5), both ways by turns."
            .into(),
        x: "bytes",
        y: "ms",
        curves,
    }])
}

/// How much less a time must be to count as less: runs differ by as much.
const MARGIN: f64 = 0.1;

/// From which size on the second of two curves is the lower one by a tenth at least, and stays it.
pub(super) fn crossing(within: &Curve, apart: &Curve) -> Option<f64> {
    let lower = |x: &f64| {
        let both = within.at(*x).zip(apart.at(*x));
        both.is_some_and(|(within, apart)| apart < within * (1.0 - MARGIN))
    };
    let steps = within.points.iter().rev().map(|(x, _)| *x);
    steps.take_while(lower).last()
}

impl Waiters {
    async fn open(url: &str, count: usize) -> Result<Self> {
        let tag = unique_tag("size");
        let (channel, name) = (format!("{tag}/notif"), tag);
        let (sender, arrivals) = mpsc::unbounded_channel();
        let mut tasks = Vec::new();
        for _ in 0..count {
            let client = redis::Client::open(url)?;
            let mut ear = client.get_async_pubsub().await?;
            ear.subscribe(&channel).await?;
            let commands = raw::redis_rs_within(url, PATIENCE).await?;
            let (sender, name) = (sender.clone(), name.clone());
            tasks.push(tokio::spawn(async move {
                let mut messages = ear.into_on_message();
                while let Some(message) = messages.next().await {
                    let got = receive(message.get_payload_bytes(), &commands, &name).await;
                    let arrival = got.map(|bytes| (bytes, Instant::now()));
                    if sender.send(arrival).is_err() {
                        return;
                    }
                }
            }));
        }
        Ok(Self {
            channel,
            name,
            arrivals,
            tasks,
        })
    }

    /// How long it takes until every waiter has it.
    async fn tell(
        &mut self,
        publisher: &mut MultiplexedConnection,
        value: &str,
        notice: &str,
    ) -> Result<Duration> {
        let script = Script::new(STORE);
        let mut script = script.key(&self.name);
        let script = script.key(&self.channel).arg(value).arg(notice);
        let began = Instant::now();
        let stored: u32 = script.invoke_async(publisher).await?;
        ensure!(stored == 1, "it was not stored");
        let mut last = began;
        for _ in 0..self.tasks.len() {
            let arrival = tokio::time::timeout(PATIENCE, self.arrivals.recv()).await;
            let arrival = arrival.context("a waiter was told nothing")?;
            let (bytes, at) = arrival.context("a waiter has ended")??;
            ensure!(bytes == value.len(), "a waiter got {bytes} bytes");
            last = last.max(at);
        }
        Ok(last - began)
    }
}

impl Drop for Waiters {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

/// The length of the value, which is in the message or has to be got.
async fn receive(payload: &[u8], commands: &MultiplexedConnection, name: &str) -> Result<usize> {
    if payload != NOTICE.as_bytes() {
        return Ok(payload.len());
    }
    let mut commands = commands.clone();
    let value: Vec<u8> = cmd("GET").arg(name).query_async(&mut commands).await?;
    Ok(value.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_crossing_is_where_it_stays_lower() {
        let curve = |ys: [f64; 4]| Curve {
            name: String::new(),
            points: (1..).map(f64::from).zip(ys).collect(),
        };
        let within = curve([1.0, 1.0, 2.0, 4.0]);
        assert_eq!(crossing(&within, &curve([0.5, 2.0, 1.0, 3.0])), Some(3.0));
        assert_eq!(crossing(&within, &curve([0.5, 0.5, 0.5, 5.0])), None);
        assert_eq!(crossing(&within, &curve([0.5, 0.5, 0.5, 3.7])), None);
    }
}
