//! Sentinels: one task a sentinel listens to it and asks it, and what all of them say is put together.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use memolock_core::ErrorKind;
use memolock_core::redis::sentinel::{self, Council, Place};
use memolock_core::redis::{Address, Backoff, ClientName, Fault, Options, Reply};
use tokio::sync::{Mutex, watch};
use tokio::task::{AbortHandle, JoinHandle};
use tokio::time::Instant;
use tracing::{debug, info};

use crate::client::{Client, Ends, Purpose};
use crate::dial::{Dialer, Line};
use crate::dice::Dice;
use crate::link::heartbeat;
use crate::site::{Names, Site, Way};

/// The longest delay between attempts to connect, to a sentinel or to the master: a failover takes
/// seconds, and whoever waits for its end shall not sleep on after it.
pub(crate) const MAX_DELAY: Duration = Duration::from_millis(500);

/// How long one who has an answer waits for those of the other sentinels: one of them may have heard of a
/// later failover.
const GRACE: Duration = Duration::from_millis(100);

/// The sentinels of a service.
pub struct Sentinels {
    council: Arc<watch::Sender<Council>>,
    aborts: Vec<AbortHandle>,
    tasks: Mutex<Vec<JoinHandle<()>>>,
}

impl Sentinels {
    /// Starts asking. Needs a tokio runtime.
    pub(crate) fn open<C: Client>(
        address: &Address,
        service: &str,
        options: &Options,
        way: &Way<C>,
    ) -> Self {
        let name = ClientName::new(options.client_name.clone(), true);
        let council = Council::new(service, address.endpoints());
        let council = Arc::new(watch::Sender::new(council));
        let watcher = |(seat, endpoint): (usize, &memolock_core::redis::Endpoint)| {
            let site = Site {
                address: address.at_sentinel(endpoint.clone()),
                options: options.clone(),
                way: Way {
                    client: way.client.for_sentinels(),
                    // What a provider gives is the master's.
                    credentials: None,
                    names: Names::new(name.clone()),
                    dice: way.dice.clone(),
                    runtime: way.runtime.clone(),
                },
                sentinels: None,
                sizes: OnceLock::new(),
            };
            let watcher = Watcher {
                seat,
                service: service.to_owned(),
                dialer: Dialer::new(&Arc::new(site), Purpose::Sentinel),
                council: Arc::clone(&council),
                interval: options.heartbeat,
                backoff: Backoff::new(options.reconnect_min_delay, MAX_DELAY),
                dice: way.dice.clone(),
            };
            tokio::spawn(watcher.run())
        };
        let tasks: Vec<_> = address
            .endpoints()
            .iter()
            .enumerate()
            .map(watcher)
            .collect();
        Self {
            council,
            aborts: tasks.iter().map(JoinHandle::abort_handle).collect(),
            tasks: Mutex::new(tasks),
        }
    }

    /// Has them asked again.
    pub fn ask(&self) -> u64 {
        let mut question = 0;
        self.council.send_modify(|council| question = council.ask());
        question
    }

    /// Asks them where the master is.
    pub(crate) async fn resolve(&self) -> Result<Place, Fault> {
        let question = self.ask();
        let mut council = self.council.subscribe();
        let answered = council.wait_for(|council| council.verdict(question).is_some());
        if answered.await.is_err() {
            return Err(Fault::closed());
        }
        let complete = council.wait_for(|council| council.is_complete(question));
        // Without them it is what the first one said.
        let _ = tokio::time::timeout(GRACE, complete).await;
        let verdict = council.borrow().verdict(question);
        verdict.unwrap_or_else(|| Err(Fault::lost()))
    }

    /// Waits until the master is somewhere else.
    pub(crate) async fn moved_from(&self, place: &Place) -> Fault {
        let mut council = self.council.subscribe();
        let elsewhere = |council: &Council| council.master().is_some_and(|now| now != place);
        match council.wait_for(|council| elsewhere(council)).await {
            Ok(council) => {
                let now = council.master().map(ToString::to_string);
                let now = now.unwrap_or_default();
                let detail = format!("the sentinels say that {now} is the master now");
                Fault::new(ErrorKind::Unavailable, detail)
            }
            // Cannot be: we hold the sender ourselves.
            Err(_) => Fault::closed(),
        }
    }

    /// The master that they name now.
    pub(crate) fn master(&self) -> Option<Place> {
        self.council.borrow().master().cloned()
    }

    /// Waits until they name another one than was `known`.
    pub(crate) async fn news(&self, known: Option<&Place>) {
        let mut council = self.council.subscribe();
        // It only ends early with the sender, which we hold ourselves.
        let _ = council.wait_for(|council| council.master() != known).await;
    }

    /// Ends the tasks and their connections, for good.
    pub(crate) fn close(&self) {
        self.aborts.iter().for_each(AbortHandle::abort);
    }

    /// Waits until the tasks have ended, after [`close`](Self::close).
    pub(crate) async fn ended(&self) {
        for task in self.tasks.lock().await.drain(..) {
            // An error only says that it was aborted, as we wished.
            let _ = task.await;
        }
    }
}

impl Drop for Sentinels {
    fn drop(&mut self) {
        self.close();
    }
}

/// Talks with one sentinel, for ever.
struct Watcher<C: Client> {
    seat: usize,
    service: String,
    dialer: Dialer<C>,
    council: Arc<watch::Sender<Council>>,
    interval: Duration,
    backoff: Backoff,
    dice: Dice,
}

impl<C: Client> Watcher<C> {
    /// Never returns; it is aborted.
    async fn run(mut self) {
        loop {
            let delay = self.backoff.next(self.dice.roll());
            if !delay.is_zero() {
                tokio::time::sleep(delay).await;
            }
            let fault = match self.dialer.dial().await {
                Ok(line) => {
                    let since = Instant::now();
                    let fault = self.listen(line).await;
                    self.backoff.lived(since.elapsed());
                    fault.at(self.dialer.address())
                }
                Err(fault) => fault,
            };
            debug!(reason = fault.detail(), "a sentinel cannot be asked");
            let seat = self.seat;
            self.council
                .send_modify(|council| council.silent(seat, fault));
        }
    }

    /// Until the connection is lost.
    async fn listen(&self, line: Line<C>) -> Fault {
        let mut ends = line.ends;
        if let Err(fault) = ends.subscribe(&sentinel::CHANNELS).await {
            return fault;
        }
        let mut questions = self.council.subscribe();
        let mut beat = heartbeat(self.interval);
        loop {
            let asked = questions.borrow_and_update().asked();
            if let Err(fault) = self.ask(&mut ends, asked).await {
                return fault;
            }
            loop {
                tokio::select! {
                    biased;
                    said = ends.message() => match said {
                        Ok(said) if sentinel::concerns(&said, &self.service) => break,
                        Ok(_) => {}
                        Err(fault) => return fault,
                    },
                    _ = questions.wait_for(|council| council.asked() > asked) => break,
                    _ = beat.tick() => break,
                }
            }
        }
    }

    async fn ask(&self, ends: &mut C::Ends, question: u64) -> Result<(), Fault> {
        let place = ends.ask(&sentinel::where_is(&self.service)).await;
        let place = sentinel::place(place?)?;
        let epoch = match &place {
            Some(_) => match ends.ask(&sentinel::what_is(&self.service)).await {
                // One that will not say, or that has forgotten meanwhile, is believed last.
                Err(fault) if fault.is_connection() => return Err(fault),
                answer => sentinel::epoch(answer.unwrap_or(Reply::Nil)),
            },
            None => 0,
        };
        let mut moved = None;
        self.council.send_modify(|council| {
            let before = council.master().cloned();
            council.said(self.seat, question, place, epoch);
            if let (Some(before), Some(now)) = (before, council.master())
                && before != *now
            {
                moved = Some(now.clone());
            }
        });
        if let Some(master) = moved {
            info!(service = self.service, %master, "there is another master");
        }
        Ok(())
    }
}
