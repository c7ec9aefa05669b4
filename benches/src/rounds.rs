//! Two sides by turns, so that the noise of a shared machine hits both, and what is made of the rounds.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;

/// How long and how often things are measured.
#[derive(Debug, Clone, Copy)]
pub struct Effort {
    /// Rounds of a comparison; odd, so that there is a middle one.
    pub rounds: usize,
    /// How long one side of a round takes.
    pub window: Duration,
    /// Herds, crashes and the like, each of which is one figure.
    pub repeats: usize,
}

impl Effort {
    /// For figures that one quotes.
    pub const FULL: Self = Self {
        rounds: 27,
        window: Duration::from_millis(150),
        repeats: 5,
    };

    /// To see that everything works.
    pub const QUICK: Self = Self {
        rounds: 3,
        window: Duration::from_millis(100),
        repeats: 1,
    };
}

/// What came of the rounds of two sides.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Comparison {
    /// Ours to theirs: the median of the rounds' ratios.
    pub ratio: f64,
    /// The least of them.
    pub least: f64,
    /// The most of them.
    pub most: f64,
    /// Our median, operations a second.
    pub ours: f64,
    /// Their median, operations a second.
    pub theirs: f64,
}

/// Measures both sides by turns; every other round the other one begins.
///
/// # Errors
/// If a side fails.
pub async fn compare(
    rounds: usize,
    ours: impl AsyncFn() -> Result<f64>,
    theirs: impl AsyncFn() -> Result<f64>,
) -> Result<Comparison> {
    // What is only slow at first is nobody's speed.
    let (_, _) = (ours().await?, theirs().await?);
    let mut pairs = Vec::new();
    for round in 0..rounds.max(1) {
        pairs.push(match round % 2 {
            0 => (ours().await?, theirs().await?),
            _ => {
                let theirs = theirs().await?;
                (ours().await?, theirs)
            }
        });
    }
    Ok(Comparison::of(&pairs))
}

impl Comparison {
    fn of(pairs: &[(f64, f64)]) -> Self {
        let ratios: Vec<_> = pairs.iter().map(|(ours, theirs)| ours / theirs).collect();
        Self {
            ratio: median(&ratios),
            least: ratios.iter().copied().fold(f64::INFINITY, f64::min),
            most: ratios.iter().copied().fold(0.0, f64::max),
            ours: median(&pairs.iter().map(|(ours, _)| *ours).collect::<Vec<_>>()),
            theirs: median(&pairs.iter().map(|(_, theirs)| *theirs).collect::<Vec<_>>()),
        }
    }
}

/// The middle one, or the mean of the two in the middle; not a number if there is none.
#[must_use]
pub fn median(figures: &[f64]) -> f64 {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match (sorted.len(), sorted.len() % 2) {
        (0, _) => f64::NAN,
        (_, 1) => sorted[middle],
        _ => f64::midpoint(sorted[middle - 1], sorted[middle]),
    }
}

/// Something that tasks do again and again.
pub trait Work: Clone + Send + Sync + 'static {
    /// How many keys there are.
    fn keys(&self) -> usize;

    /// Does it once, with this key.
    fn once(&mut self, key: usize) -> impl Future<Output = Result<()>> + Send;
}

/// Which keys tasks take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Draw {
    /// Any task any key, evenly and in no order, as requests come to a service. What several ask for at the same
    /// moment coalesces, here as there.
    Any,
    /// As long as there are enough, no two tasks ever the same one: nothing coalesces.
    Own,
}

impl Draw {
    /// The key of a task at a turn; the same in every run.
    fn key(self, task: usize, tasks: usize, turn: usize, keys: usize) -> usize {
        match self {
            Self::Any => scattered((task as u64) << 32 | turn as u64) as usize % keys,
            Self::Own => {
                let own = (keys / tasks).max(1);
                (task + tasks * (turn % own)) % keys
            }
        }
    }
}

/// The output function of `SplitMix64`: numbers in a row come out in no order that one could see.
fn scattered(number: u64) -> u64 {
    let mut z = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Operations a second of so many tasks within the window.
///
/// # Errors
/// If one of them fails.
pub async fn throughput<W: Work>(
    work: &W,
    tasks: usize,
    draw: Draw,
    window: Duration,
) -> Result<f64> {
    let began = Instant::now();
    let until = began + window;
    let keys = work.keys();
    let run = |task: usize| {
        let mut work = work.clone();
        tokio::spawn(async move {
            let mut done = 0;
            while Instant::now() < until {
                work.once(draw.key(task, tasks, done, keys)).await?;
                done += 1;
            }
            anyhow::Ok(done)
        })
    };
    let running: Vec<_> = (0..tasks).map(run).collect();
    let mut done = 0;
    for task in running {
        done += task.await??;
    }
    Ok(done as f64 / began.elapsed().as_secs_f64())
}

/// How long so many tasks need for so many turns in all.
///
/// # Errors
/// If one of them fails.
pub async fn timed<W: Work>(work: &W, tasks: usize, draw: Draw, turns: u64) -> Result<Duration> {
    let keys = work.keys();
    let run = |task: usize| {
        let mut work = work.clone();
        let (even, over) = (turns / tasks as u64, turns % tasks as u64);
        let share = even + u64::from((task as u64) < over);
        tokio::spawn(async move {
            for turn in 0..share as usize {
                work.once(draw.key(task, tasks, turn, keys)).await?;
            }
            anyhow::Ok(())
        })
    };
    let began = Instant::now();
    let running: Vec<_> = (0..tasks).map(run).collect();
    for task in running {
        task.await??;
    }
    Ok(began.elapsed())
}

/// Ids that tasks go through in turn.
#[must_use]
pub fn ids(keys: usize) -> Arc<[String]> {
    (0..keys).map(|key| format!("user-{key}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_are_in_the_middle() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
        assert!(median(&[]).is_nan());
    }

    #[test]
    fn a_ratio_is_that_of_rounds_and_not_of_medians() {
        let found = Comparison::of(&[(1.0, 1.0), (20.0, 10.0), (9.0, 3.0)]);
        assert_eq!((found.ratio, found.least, found.most), (2.0, 1.0, 3.0));
        assert_eq!((found.ours, found.theirs), (9.0, 3.0));
    }

    #[test]
    fn tasks_keep_to_their_own_keys_while_there_are_enough() {
        for tasks in [1, 64, 512, 1_000] {
            let mut owners = vec![None; 1_000];
            for task in 0..tasks {
                for turn in 0..100 {
                    let owner = &mut owners[Draw::Own.key(task, tasks, turn, 1_000)];
                    assert_eq!(*owner.get_or_insert(task), task, "{tasks} tasks");
                }
            }
        }
        assert_eq!(Draw::Own.key(511, 512, 3, 1), 0);
    }

    #[test]
    fn any_key_is_drawn_as_often_as_another() {
        let mut drawn = vec![0; 1_000];
        for task in 0..100 {
            for turn in 0..1_000 {
                drawn[Draw::Any.key(task, 100, turn, 1_000)] += 1;
            }
        }
        // A hundred each; by chance ten more or fewer.
        let (least, most) = (drawn.iter().min(), drawn.iter().max());
        assert!(least > Some(&50) && most < Some(&150), "{least:?} {most:?}");
        assert_eq!(Draw::Any.key(511, 512, 3, 1), 0);
    }

    #[tokio::test]
    async fn sides_take_turns_and_are_warmed_up() {
        let said = std::sync::Mutex::new(String::new());
        let side = async |name: char, figure: f64| {
            said.lock().unwrap().push(name);
            Ok(figure)
        };
        let found = compare(3, || side('a', 2.0), || side('b', 4.0)).await;
        assert_eq!(found.unwrap().ratio, 0.5);
        assert_eq!(*said.lock().unwrap(), "ababbaab");
    }

    #[tokio::test]
    async fn what_fails_is_not_counted() {
        #[derive(Clone)]
        struct Broken;
        impl Work for Broken {
            fn keys(&self) -> usize {
                1
            }

            async fn once(&mut self, _: usize) -> Result<()> {
                anyhow::bail!("broken")
            }
        }
        let window = Duration::from_secs(60);
        assert!(throughput(&Broken, 2, Draw::Any, window).await.is_err());
    }
}
