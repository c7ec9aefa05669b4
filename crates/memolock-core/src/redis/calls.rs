//! Which script, with which keys and arguments, carries out an operation.

use std::time::Duration;

use bytes::Bytes;

use crate::{
    Attempt, Fulfilment, Key, Notice, Notifications, PutMode, Renewal, Token, millis, scripts,
};

/// Keys of one call: a longer one would hold up the server's other clients.
pub const LOCKS_PER_CALL: usize = 500;

/// Bytes of values in one call, unless the first one alone is larger: for the same reason, and a server
/// closes a connection that sends too much at once.
pub const BYTES_PER_CALL: usize = 4 << 20;

/// The longest value that [`repeat`] publishes. By default a server ends the connection of a subscriber that has not
/// read 8 MiB within a minute.
pub const LONGEST_REPEATED: usize = 8 << 20;

/// Keys of one call of [`repeat`]: each costs the server two or three commands.
pub const REPEATED_PER_CALL: usize = 100;

/// Bytes of values that one call of [`repeat`] publishes, unless one value alone is larger.
const REPEATED_BYTES: usize = 1 << 20;

/// A fulfil with more bytes than this is large: it has a connection of its own, so that the commands of others do not
/// wait behind it. It is the least that a server's `proto-max-bulk-len` can be.
pub const LARGE_BYTES: usize = 1 << 20;

/// One of the [`scripts`], by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Script {
    /// [`scripts::ACQUIRE`]
    Acquire,
    /// [`scripts::FULFIL`]
    Fulfil,
    /// [`scripts::RENEW`]
    Renew,
    /// [`scripts::RELEASE`]
    Release,
    /// [`scripts::PUT`]
    Put,
    /// [`scripts::INVALIDATE`]
    Invalidate,
    /// [`scripts::INSPECT`]
    Inspect,
    /// [`scripts::TIMED`]
    Timed,
    /// [`scripts::ACQUIRE_MANY`]
    AcquireMany,
    /// [`scripts::FULFIL_MANY`]
    FulfilMany,
    /// [`scripts::REPEAT`]
    Repeat,
}

impl Script {
    /// All of them, each at the index that it has as a number: for tables of digests.
    pub const ALL: [Self; 11] = [
        Self::Acquire,
        Self::Fulfil,
        Self::Renew,
        Self::Release,
        Self::Put,
        Self::Invalidate,
        Self::Inspect,
        Self::Timed,
        Self::AcquireMany,
        Self::FulfilMany,
        Self::Repeat,
    ];

    /// The Lua.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Acquire => scripts::ACQUIRE,
            Self::Fulfil => scripts::FULFIL,
            Self::Renew => scripts::RENEW,
            Self::Release => scripts::RELEASE,
            Self::Put => scripts::PUT,
            Self::Invalidate => scripts::INVALIDATE,
            Self::Inspect => scripts::INSPECT,
            Self::Timed => scripts::TIMED,
            Self::AcquireMany => scripts::ACQUIRE_MANY,
            Self::FulfilMany => scripts::FULFIL_MANY,
            Self::Repeat => scripts::REPEAT,
        }
    }
}

/// A script with its keys and arguments. What it answers, [`reply`](super::reply) reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// The script.
    pub script: Script,
    /// Its `KEYS`.
    pub keys: Vec<String>,
    /// Its `ARGV`.
    pub args: Vec<Bytes>,
}

impl Call {
    fn new(script: Script, keys: impl Into<Vec<String>>, args: impl Into<Vec<Bytes>>) -> Self {
        Self {
            script,
            keys: keys.into(),
            args: args.into(),
        }
    }

    /// The bytes of its arguments.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.args.iter().map(Bytes::len).sum()
    }

    /// Whether it stores more than [`LARGE_BYTES`] under a token. The token fences it, so it may overtake other
    /// commands on its key.
    #[must_use]
    pub fn is_large_fulfil(&self) -> bool {
        matches!(self.script, Script::Fulfil | Script::FulfilMany) && self.bytes() > LARGE_BYTES
    }

    /// The same in a database of that number: what is published goes on the channels of that database. `keys`
    /// are those that the call was made of.
    #[must_use]
    pub fn in_database(mut self, database: u32, keys: &[&Key]) -> Self {
        if database == 0 {
            return self;
        }
        // Where the first channel stands, and how many arguments each key has.
        let (first, each) = match self.script {
            Script::FulfilMany => (3, 5),
            Script::Repeat => (2, 2),
            Script::Fulfil => (3, usize::MAX),
            Script::Put => (2, usize::MAX),
            Script::Release => (1, usize::MAX),
            Script::Invalidate => (0, usize::MAX),
            Script::Acquire | Script::AcquireMany => return self,
            Script::Renew | Script::Inspect | Script::Timed => return self,
        };
        let fails = matches!(self.script, Script::Release | Script::Invalidate);
        let channels = self.args.iter_mut().skip(first).step_by(each);
        for (channel, key) in channels.zip(keys) {
            *channel = match fails {
                true => key.fail_channel_in(database).into(),
                false => key.notif_channel_in(database).into(),
            };
        }
        self
    }

    /// Says how to publish, unless that is by `PUBLISH`, which is what happens if nothing is said.
    fn publishing(mut self, key: &Key) -> Self {
        if key.space().notifications() != Notifications::Classic {
            self.args.push(how(key));
        }
        self
    }
}

/// [`Backend::acquire`](crate::Backend::acquire)
#[must_use]
pub fn acquire(key: &Key, token: Token, lease: Duration) -> Call {
    let args = [token.to_wire().into(), time(lease)];
    Call::new(Script::Acquire, names(key), args)
}

/// [`Backend::acquire_over`](crate::Backend::acquire_over)
#[must_use]
pub fn acquire_over(key: &Key, token: Token, lease: Duration, stale: &Bytes) -> Call {
    let args = [token.to_wire().into(), time(lease), stale.clone()];
    Call::new(Script::Acquire, names(key), args)
}

/// [`Backend::fulfil`](crate::Backend::fulfil)
#[must_use]
pub fn fulfil(key: &Key, token: Token, value: Bytes, ttl: Duration) -> Call {
    let args = [
        token.to_wire().into(),
        time(ttl),
        value,
        key.notif_channel().into(),
    ];
    Call::new(Script::Fulfil, names(key), args).publishing(key)
}

/// [`Backend::acquire_many`](crate::Backend::acquire_many) of at most [`LOCKS_PER_CALL`] keys.
#[must_use]
pub fn acquire_many(tries: &[Attempt]) -> Call {
    let keys = tries.iter().flat_map(|t| names(&t.key));
    let keys: Vec<String> = keys.collect();
    let args = tries
        .iter()
        .flat_map(|t| [t.token.to_wire().into(), time(t.lease)]);
    let args: Vec<Bytes> = args.collect();
    Call::new(Script::AcquireMany, keys, args)
}

/// [`Backend::fulfil_many`](crate::Backend::fulfil_many) of one of the [`parcels`].
#[must_use]
pub fn fulfil_many(values: &[Fulfilment]) -> Call {
    let keys = values.iter().flat_map(|v| names(&v.key));
    let keys: Vec<String> = keys.collect();
    let args = values.iter().flat_map(|v| {
        [
            v.token.to_wire().into(),
            time(v.ttl),
            v.value.clone(),
            v.key.notif_channel().into(),
            how(&v.key),
        ]
    });
    let args: Vec<Bytes> = args.collect();
    Call::new(Script::FulfilMany, keys, args)
}

/// Values in parts that one call bears: [`LOCKS_PER_CALL`] of them and [`BYTES_PER_CALL`].
pub fn parcels(mut values: &[Fulfilment]) -> impl Iterator<Item = &[Fulfilment]> {
    std::iter::from_fn(move || {
        let mut bytes = 0_usize;
        let fits = |value: &&Fulfilment| {
            bytes = bytes.saturating_add(value.value.len());
            bytes <= BYTES_PER_CALL
        };
        let fitting = values.iter().take(LOCKS_PER_CALL).take_while(fits).count();
        // One that is too large travels alone.
        let (parcel, rest) = values.split_at(fitting.max(1).min(values.len()));
        values = rest;
        (!parcel.is_empty()).then_some(parcel)
    })
}

/// [`Backend::renew`](crate::Backend::renew) of at most [`LOCKS_PER_CALL`] leases.
#[must_use]
pub fn renew(renewals: &[Renewal]) -> Call {
    let locks: Vec<String> = renewals.iter().map(|r| r.key.lock_name()).collect();
    let args = renewals
        .iter()
        .flat_map(|r| [r.token.to_wire().into(), time(r.lease)]);
    let args: Vec<Bytes> = args.collect();
    Call::new(Script::Renew, locks, args)
}

/// [`Backend::release`](crate::Backend::release)
#[must_use]
pub fn release(key: &Key, token: Token, notice: Option<&Notice>) -> Call {
    // No notice encodes to the empty string, which the script takes for "tell nobody".
    let notice = notice.map(Notice::encode).unwrap_or_default();
    let args = [token.to_wire().into(), key.fail_channel().into(), notice];
    Call::new(Script::Release, [key.lock_name()], args).publishing(key)
}

/// [`Backend::put`](crate::Backend::put)
#[must_use]
pub fn put(key: &Key, value: Bytes, ttl: Duration, mode: PutMode) -> Call {
    let unlock = Bytes::from_static(match mode {
        PutMode::Override => b"1",
        PutMode::Resolve => b"0",
    });
    let args = [time(ttl), value, key.notif_channel().into(), unlock];
    let call = match mode {
        PutMode::Override => Call::new(Script::Put, names(key), args),
        // It leaves the lock alone, so its user need have no right to it.
        PutMode::Resolve => Call::new(Script::Put, [key.value_name()], args),
    };
    call.publishing(key)
}

/// [`Backend::invalidate`](crate::Backend::invalidate)
#[must_use]
pub fn invalidate(key: &Key) -> Call {
    let args = [key.fail_channel().into(), Notice::Invalidated.encode()];
    Call::new(Script::Invalidate, names(key), args).publishing(key)
}

/// [`Backend::inspect`](crate::Backend::inspect)
#[must_use]
pub fn inspect(key: &Key) -> Call {
    Call::new(Script::Inspect, names(key), [])
}

/// How large the value of that name is: an inspection whose second key, in place of the lock, does not exist. It has the
/// same hash tag, so both keys are in one slot, and no client writes a key that ends in a zero byte.
#[must_use]
pub fn size_of(value_name: &str) -> Call {
    let names = vec![value_name.to_owned(), format!("{value_name}\0")];
    Call::new(Script::Inspect, names, [])
}

/// [`Backend::get_timed`](crate::Backend::get_timed) of at most [`KEYS_PER_COMMAND`](super::KEYS_PER_COMMAND) keys.
#[must_use]
pub fn timed(keys: &[Key]) -> Call {
    let names: Vec<String> = keys.iter().map(Key::value_name).collect();
    Call::new(Script::Timed, names, [])
}

/// Publishes the values that are stored when it runs, on their notif channels: of at most [`REPEATED_PER_CALL`] keys.
/// Values above [`LONGEST_REPEATED`] are left out.
#[must_use]
pub fn repeat(keys: &[Key]) -> Call {
    let names: Vec<String> = keys.iter().map(Key::value_name).collect();
    let bounds = [LONGEST_REPEATED, REPEATED_BYTES].map(|bound| Bytes::from(bound.to_string()));
    let channels = keys
        .iter()
        .flat_map(|key| [key.notif_channel().into(), how(key)]);
    let args: Vec<Bytes> = bounds.into_iter().chain(channels).collect();
    Call::new(Script::Repeat, names, args)
}

fn names(key: &Key) -> [String; 2] {
    [key.value_name(), key.lock_name()]
}

/// The word of the scripts for how a key's listeners are told.
fn how(key: &Key) -> Bytes {
    Bytes::from_static(match key.space().notifications() {
        Notifications::Classic => b"",
        Notifications::Sharded => b"sharded",
        Notifications::Both => b"both",
    })
}

fn time(duration: Duration) -> Bytes {
    millis(duration).to_string().into()
}

#[cfg(test)]
mod tests;
