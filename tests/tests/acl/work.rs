//! What the users do: each operation of their role, and how it ended.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use memolock::Backend;
use memolock::core::{
    Acquired, BackendError, Fulfilled, Key, Keyspace, Layout, Notice, PutMode, Renewal,
    Subscription, Tag, Token,
};
use memolock::fred::FredBackend;
use memolock::redis_rs::RedisBackend;
use memolock::redis_rs::deadpool_redis::redis::AsyncConnectionConfig;
use memolock::redis_rs::deadpool_redis::{Manager, Pool, Runtime};
use memolock_tests::{Adapter, HANG, SECOND, eventually};
use tokio::time::timeout;

/// Fast, for heartbeats need rights too.
const BEAT: Duration = Duration::from_millis(20);

const TTL: Duration = Duration::from_secs(60);

/// What a user is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Peer,
    Resolver,
    Reader,
}

impl Role {
    pub(crate) const ALL: [Self; 3] = [Self::Peer, Self::Resolver, Self::Reader];

    /// Its heading in the document.
    pub(crate) fn heading(self) -> &'static str {
        match self {
            Self::Peer => "A full peer",
            Self::Resolver => "A program that stores and publishes",
            Self::Reader => "A reader",
        }
    }
}

/// How it went.
#[derive(Debug, Default)]
pub(crate) struct Ends {
    /// Operations that failed.
    pub(crate) errors: Vec<BackendError>,
    /// What was answered and should not have been.
    pub(crate) oddities: Vec<String>,
}

impl Ends {
    fn note<T>(&mut self, outcome: Result<T, BackendError>) -> Option<T> {
        outcome.map_err(|error| self.errors.push(error)).ok()
    }

    fn expect<T: PartialEq + std::fmt::Debug>(
        &mut self,
        outcome: Result<T, BackendError>,
        expected: &T,
    ) -> bool {
        let found = self.note(outcome);
        let fine = found.as_ref() == Some(expected);
        if let (false, Some(found)) = (fine, found) {
            self.oddities.push(format!("{found:?}, not {expected:?}"));
        }
        fine
    }
}

/// Connects as a user; it is bounded in time by itself.
pub(crate) async fn connect(adapter: Adapter, url: &str) -> Result<Arc<dyn Backend>, BackendError> {
    Ok(match adapter {
        Adapter::Fred => {
            let builder = FredBackend::builder(url).heartbeat(BEAT);
            let builder = builder.connect_timeout(HANG).command_timeout(HANG);
            Arc::new(builder.connect().await?)
        }
        Adapter::RedisRs | Adapter::Pooled => {
            let builder = RedisBackend::builder(url).heartbeat(BEAT);
            let mut builder = builder.connect_timeout(HANG).command_timeout(HANG);
            if adapter == Adapter::Pooled {
                // Its own time-out of 500 ms is short on a busy machine.
                let config = AsyncConnectionConfig::new().set_response_timeout(None);
                let manager = Manager::new_with_config(url, config).expect("a URL of ours");
                let pool = Pool::builder(manager).max_size(2).runtime(Runtime::Tokio1);
                builder = builder.pool(pool.build().expect("a runtime"));
            }
            Arc::new(builder.connect().await?)
        }
    })
}

/// Does everything that the role does, with the keys of this tag.
pub(crate) async fn work(
    role: Role,
    adapter: Adapter,
    url: &str,
    layout: Layout,
    tag: &str,
) -> Ends {
    let mut ends = Ends::default();
    let Some(backend) = ends.note(connect(adapter, url).await) else {
        return ends;
    };
    let tag = Tag::new(tag).expect("a tag of ours");
    let space = Keyspace::new(tag, layout).expect("without braces");
    let key = space.key("kristoff").expect("a short id");
    let all = async {
        match role {
            Role::Peer => {
                compute(&*backend, &key, &mut ends).await;
                store(&*backend, &key, &mut ends).await;
            }
            Role::Resolver => {
                // By the text of the script, and then by its digest.
                for value in ["v", "w"] {
                    let put = backend.put(&key, value.into(), TTL, PutMode::Resolve);
                    ends.note(put.await);
                }
            }
            Role::Reader => {
                ends.note(backend.get(&key).await);
                look(&*backend, &key, &mut ends).await;
            }
        }
        // Subscriptions are given up, and both connections are checked.
        let before = backend.stats().commands;
        eventually("heartbeats", || async {
            backend.stats().commands > before + 6
        })
        .await;
        backend.close().await;
    };
    let done = timeout(2 * HANG, all).await;
    done.expect("whatever the rights, nothing hangs");
    if backend.stats().reconnects > 0 {
        ends.oddities.push("a connection did not last".into());
    }
    ends
}

/// The life of a compute, and of one who waits for it.
async fn compute(backend: &dyn Backend, key: &Key, ends: &mut Ends) {
    let [ours, theirs] = [1, 2].map(Token::from_bits);
    let (granted, lease) = (Acquired::Granted, 20 * SECOND);
    ends.expect(backend.get(key).await, &None);
    let mut listener = ends.note(backend.subscribe(key).await);
    ends.expect(backend.acquire(key, ours, lease).await, &granted);
    if let Some(Acquired::Granted | Acquired::Value(_)) =
        ends.note(backend.acquire(key, theirs, lease).await)
    {
        ends.oddities.push("two have the lease".into());
    }
    // As after a lost reply.
    ends.expect(backend.acquire(key, ours, lease).await, &granted);
    let renewal = Renewal {
        key: key.clone(),
        token: ours,
        lease,
    };
    ends.expect(backend.renew(&[renewal]).await, &vec![true]);
    ends.note(backend.inspect(key).await);
    let released = backend.release(key, ours, Some(Notice::Released)).await;
    if ends.expect(released, &true) {
        heard(&mut listener, ends).await;
    }
    ends.expect(backend.acquire(key, theirs, lease).await, &granted);
    let fulfilled = backend.fulfil(key, theirs, "v".into(), TTL).await;
    if ends.expect(fulfilled, &Fulfilled::Stored) {
        heard(&mut listener, ends).await;
    }
    ends.expect(backend.get(key).await, &Some("v".into()));
    look(backend, key, ends).await;
    ends.note(backend.inspect(key).await);
}

/// A look for many keys at once.
async fn look(backend: &dyn Backend, key: &Key, ends: &mut Ends) {
    for found in backend.get_many(std::slice::from_ref(key)).await {
        ends.note(found);
    }
}

/// What is done without a lease.
async fn store(backend: &dyn Backend, key: &Key, ends: &mut Ends) {
    let mut listener = ends.note(backend.subscribe(key).await);
    for mode in [PutMode::Override, PutMode::Resolve] {
        let put = backend.put(key, "w".into(), TTL, mode).await;
        if ends.note(put).is_some() {
            heard(&mut listener, ends).await;
        }
    }
    if ends.note(backend.invalidate(key).await).is_some() {
        heard(&mut listener, ends).await;
    }
}

/// What was done has been told.
async fn heard(listener: &mut Option<Subscription>, ends: &mut Ends) {
    if let Some(listener) = listener {
        match timeout(HANG, listener.next()).await {
            Ok(Some(_)) => {}
            Ok(None) => ends.oddities.push("the subscription ended".into()),
            Err(_) => ends.oddities.push("nothing was heard".into()),
        }
    }
}
