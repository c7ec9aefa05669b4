//! The classic layout on a cluster: value, lock and channels are in different slots, so that no script sees two of them.
//!
//! Each operation is the nearest safe sequence of commands that are atomic by themselves. Their order is such that
//! nothing is lost and nobody is left to wait; what can go wrong all the same is said at each, and in
//! `docs/protocol.md`. Everything is published at the node that has the value, where the listeners are.

use std::time::Duration;

use bytes::Bytes;
use memolock_core::redis::cluster::{key_slot, slot};
use memolock_core::redis::{Call, Fault, Reply, Script, calls, reply};
use memolock_core::{
    Acquired, Fulfilled, Inspection, Key, Layout, Notice, PutMode, Remaining, Renewal, Token,
    millis,
};

use super::node::{Opener, Request};
use super::shared::Shared;

/// For how long a lease is extended before its value is stored: longer than storing may take.
const STORING: Duration = Duration::from_secs(5);

/// Whether all names of a key are in one slot: in the hash-tagged layout, or where the id has braces of its own.
pub(crate) fn is_together(key: &Key) -> bool {
    key.space().layout() == Layout::HashTagged || key_slot(key) == lock_slot(key)
}

pub(crate) fn lock_slot(key: &Key) -> u16 {
    match key.space().layout() {
        Layout::HashTagged => key_slot(key),
        _ => slot(key.lock_name().as_bytes()),
    }
}

/// The value, and the lease if there is none. The second look at the value is for a holder that fulfils between the
/// first one and the lock.
pub(crate) async fn acquire<O: Opener>(
    shared: &Shared<O>,
    key: &Key,
    token: Token,
    lease: Duration,
    stale: Option<&Bytes>,
) -> Result<Acquired, Fault> {
    let fresh = |value: Option<Bytes>| value.filter(|value| Some(value) != stale);
    if let Some(value) = fresh(get(shared, key).await?) {
        return Ok(Acquired::Value(value));
    }
    if let Some(remaining) = take(shared, key, token, lease).await? {
        return Ok(Acquired::Held(remaining));
    }
    match fresh(get(shared, key).await?) {
        None => Ok(Acquired::Granted),
        Some(value) => {
            // Who met our lock meanwhile is told. If this fails the lock expires.
            let _ = release(shared, key, token, Some(&Notice::Released)).await;
            Ok(Acquired::Value(value))
        }
    }
}

async fn get<O: Opener>(shared: &Shared<O>, key: &Key) -> Result<Option<Bytes>, Fault> {
    let words = [Bytes::from_static(b"GET"), key.value_name().into()];
    let answer = shared.carry(key_slot(key), Request::Words(&words)).await;
    answer.and_then(reply::value)
}

/// Takes the lock, or says how long somebody else has it.
async fn take<O: Opener>(
    shared: &Shared<O>,
    key: &Key,
    token: Token,
    lease: Duration,
) -> Result<Option<Remaining>, Fault> {
    let name = Bytes::from(key.lock_name());
    let lock = lock_slot(key);
    let set = [
        Bytes::from_static(b"SET"),
        name.clone(),
        token.to_wire().into(),
        Bytes::from_static(b"NX"),
        Bytes::from_static(b"PX"),
        millis(lease).to_string().into(),
    ];
    if shared.carry(lock, Request::Words(&set)).await? != Reply::Nil {
        return Ok(None);
    }
    // An earlier reply may have been lost: then the lease is ours and begins anew.
    if renew(shared, key, token, lease).await? {
        return Ok(None);
    }
    // Of a lock of another type this is the error; the renewal alone would say that it is somebody's.
    let look = [Bytes::from_static(b"GET"), name.clone()];
    shared.carry(lock, Request::Words(&look)).await?;
    let ask = [Bytes::from_static(b"PTTL"), name];
    Ok(Some(
        match shared.carry(lock, Request::Words(&ask)).await? {
            Reply::Int(-1) => Remaining::Forever,
            Reply::Int(left) => {
                let left = u64::try_from(left).unwrap_or(0);
                Remaining::Expires(Duration::from_millis(left))
            }
            other => return Err(reply::flag(other).err().unwrap_or_else(Fault::lost)),
        },
    ))
}

async fn renew<O: Opener>(
    shared: &Shared<O>,
    key: &Key,
    token: Token,
    lease: Duration,
) -> Result<bool, Fault> {
    let renewal = Renewal {
        key: key.clone(),
        token,
        lease,
    };
    let call = calls::renew(&[renewal]);
    let answer = shared.carry(lock_slot(key), Request::Call(&call)).await?;
    Ok(reply::renewed(answer, 1)? == [true])
}

/// Stores and tells the value while the lease stands, and takes it back if it did not stand any more by then. A put or
/// an invalidation between the two is undone for as long as that takes.
pub(crate) async fn fulfil<O: Opener>(
    shared: &Shared<O>,
    key: &Key,
    token: Token,
    value: Bytes,
    ttl: Duration,
) -> Result<Fulfilled, Fault> {
    if !renew(shared, key, token, STORING.max(shared.bound * 3)).await? {
        return Ok(Fulfilled::Lost);
    }
    store(shared, key, value.clone(), ttl).await?;
    let call = calls::release(key, token, None);
    let answer = shared.carry(lock_slot(key), Request::Call(&call)).await;
    if answer.and_then(reply::flag)? {
        return Ok(Fulfilled::Stored);
    }
    // Compare and delete, of our own value, and then it is told: what `release` does to a lock.
    let call = Call {
        script: Script::Release,
        keys: vec![key.value_name()],
        args: vec![
            value,
            key.fail_channel().into(),
            Notice::Invalidated.encode(),
        ],
    };
    shared.carry(key_slot(key), Request::Call(&call)).await?;
    Ok(Fulfilled::Lost)
}

/// Stores and tells, and leaves the lock alone: one key, so one script.
async fn store<O: Opener>(
    shared: &Shared<O>,
    key: &Key,
    value: Bytes,
    ttl: Duration,
) -> Result<(), Fault> {
    let call = calls::put(key, value, ttl, PutMode::Resolve);
    let answer = shared.carry(key_slot(key), Request::Call(&call)).await;
    answer.map(drop)
}

/// The lock first, then the word: who is told finds it free. A word that is lost is waited out by the lease.
pub(crate) async fn release<O: Opener>(
    shared: &Shared<O>,
    key: &Key,
    token: Token,
    notice: Option<&Notice>,
) -> Result<bool, Fault> {
    let call = calls::release(key, token, None);
    let answer = shared.carry(lock_slot(key), Request::Call(&call)).await;
    let ours = answer.and_then(reply::flag)?;
    if let (true, Some(notice)) = (ours, notice) {
        let words = [
            Bytes::from_static(b"PUBLISH"),
            key.fail_channel().into(),
            notice.encode(),
        ];
        // The lock is free whatever becomes of it.
        let _ = shared.carry(key_slot(key), Request::Words(&words)).await;
    }
    Ok(ours)
}

async fn unlock<O: Opener>(shared: &Shared<O>, key: &Key) -> Result<(), Fault> {
    let words = [Bytes::from_static(b"DEL"), key.lock_name().into()];
    let answer = shared.carry(lock_slot(key), Request::Words(&words)).await;
    answer.map(drop)
}

/// The lock first: a compute that ends between the two is fenced.
pub(crate) async fn put<O: Opener>(
    shared: &Shared<O>,
    key: &Key,
    value: Bytes,
    ttl: Duration,
    mode: PutMode,
) -> Result<(), Fault> {
    if mode == PutMode::Override {
        unlock(shared, key).await?;
    }
    store(shared, key, value, ttl).await
}

/// The lock first: the other way round a fulfil between the two would survive.
pub(crate) async fn invalidate<O: Opener>(shared: &Shared<O>, key: &Key) -> Result<(), Fault> {
    unlock(shared, key).await?;
    // The script for two keys, which may be one and the same.
    let mut call = calls::invalidate(key);
    call.keys = vec![key.value_name(), key.value_name()];
    let answer = shared.carry(key_slot(key), Request::Call(&call)).await;
    answer.map(drop)
}

/// Value and lock, one after the other.
pub(crate) async fn inspect<O: Opener>(shared: &Shared<O>, key: &Key) -> Result<Inspection, Fault> {
    let twice = |name: String| Call {
        script: Script::Inspect,
        keys: vec![name.clone(), name],
        args: Vec::new(),
    };
    let (value, lock) = (twice(key.value_name()), twice(key.lock_name()));
    let value = shared.carry(key_slot(key), Request::Call(&value)).await?;
    let lock = shared.carry(lock_slot(key), Request::Call(&lock)).await?;
    let (Reply::Array(mut value), Reply::Array(lock)) = (value, lock) else {
        return reply::inspection(Reply::Nil);
    };
    // Three words of each, in this order.
    value.truncate(3);
    value.extend(lock.into_iter().skip(3));
    reply::inspection(Reply::Array(value))
}
