//! The commands on one value: get, put, resolve, invalidate, inspect.

use std::ffi::OsStr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use memolock::Memolock;
use memolock::codec::Raw;
use memolock::core::{Backend, Inspection, PutMode, Remaining};
use serde::Serialize;

use crate::cli::{Common, GetArgs, InspectArgs, InvalidateArgs, StoreArgs};
use crate::connect::{Target, shared};
use crate::exit::{Code, Failure, Outcome};
use crate::input;
use crate::output::{self, Millis, number, span};
use crate::repeat::{RepeatNotice, Repeating};

/// What a Redis string can hold (`proto-max-bulk-len`).
pub(crate) const MAX_VALUE_BYTES: usize = 512 << 20;

/// The longest piece of a lock's holder that a table shows.
const SHOWN_HOLDER: usize = 40;

pub(crate) async fn get(common: &Common, _: &GetArgs) -> Outcome {
    let id = common.needed_id()?;
    let store = Store::open(common, "get", None, RepeatNotice::default()).await?;
    let found = store.values.get(id).await;
    store.close().await;
    let found = found?;
    if common.json {
        output::json(&Found {
            found: found.is_some(),
            bytes: found.as_ref().map(|value| value.len()),
            value: found.as_ref().map(|value| output::Bytes::new(value)),
        })?;
    } else if let Some(value) = &found {
        output::bytes(value)?;
    }
    Ok(found.map_or(Code::NO_VALUE, |_| Code::FINE))
}

pub(crate) async fn put(common: &Common, args: &StoreArgs) -> Outcome {
    store(common, args, "put", PutMode::Override).await
}

pub(crate) async fn resolve(common: &Common, args: &StoreArgs) -> Outcome {
    store(common, args, "resolve", PutMode::Resolve).await
}

async fn store(common: &Common, args: &StoreArgs, name: &str, mode: PutMode) -> Outcome {
    let id = common.needed_id()?;
    let value = value(&args.value)?;
    let store = Store::open(common, name, Some(args.ttl), args.repeat).await?;
    let entry = store.values.entry(id);
    let done = match mode {
        PutMode::Override => entry.put(&value).await,
        PutMode::Resolve => entry.resolve(&value).await,
    };
    store.repeating.done().await;
    store.close().await;
    done?;
    if common.json {
        output::json(&Stored {
            tag: &common.tag,
            id,
            bytes: value.len(),
            ttl_ms: Millis(args.ttl),
        })?;
    }
    Ok(Code::FINE)
}

pub(crate) async fn invalidate(common: &Common, _: &InvalidateArgs) -> Outcome {
    let id = common.needed_id()?;
    let store = Store::open(common, "invalidate", None, RepeatNotice::default()).await?;
    let done = store.values.invalidate(id).await;
    store.close().await;
    done?;
    if common.json {
        let tag = &common.tag;
        output::json(&Invalidated { tag, id })?;
    }
    Ok(Code::FINE)
}

pub(crate) async fn inspect(common: &Common, _: &InspectArgs) -> Outcome {
    let id = common.needed_id()?;
    let store = Store::open(common, "inspect", None, RepeatNotice::default()).await?;
    let found = store.values.inspect(id).await;
    let name = store.values.keyspace().key(id).map(|key| key.to_string());
    store.close().await;
    let found = found?;
    match common.json {
        true => output::json(&Inspected::new(common, id, &found))?,
        false => {
            let name = name.map_err(memolock::Error::from)?;
            output::bytes(table(&name, &found).as_bytes())?;
        }
    }
    Ok(Code::FINE)
}

/// A memolock of plain bytes over a server.
struct Store {
    backend: Arc<dyn Backend>,
    repeating: Repeating,
    values: Memolock<Bytes, Raw>,
}

impl Store {
    async fn open(
        common: &Common,
        purpose: &str,
        ttl: Option<Duration>,
        repeat: RepeatNotice,
    ) -> Result<Self, Failure> {
        let target = Target::choose(common)?;
        target.check(repeat)?;
        let (backend, repeating) = target.open_repeating(common.timeout, repeat).await?;
        let backend = shared(backend, purpose)?;
        let mut builder = Memolock::<Bytes>::builder(&common.tag, Arc::clone(&backend)).codec(Raw);
        if let Some(ttl) = ttl {
            builder = builder.ttl(ttl);
        }
        let values = builder.build().await?;
        Ok(Self {
            backend,
            repeating,
            values,
        })
    }

    async fn close(&self) {
        self.values.close().await;
        self.backend.close().await;
    }
}

/// The value of an argument: its bytes, or stdin's where it is a dash.
fn value(argument: &OsStr) -> Result<Bytes, Failure> {
    if argument != "-" {
        return Ok(Bytes::copy_from_slice(argument.as_encoded_bytes()));
    }
    input::read()
}

fn table(name: &str, found: &Inspection) -> String {
    let value = match &found.value {
        None => "none".to_owned(),
        Some(value) => {
            let bytes = output::counted(value.bytes, "byte");
            format!("{bytes}, {}", expiry(value.remaining))
        }
    };
    let lock = match &found.lock {
        None => "free".to_owned(),
        Some(lock) => {
            let holder = holder(&lock.holder);
            format!("held by {holder}, {}", expiry(lock.remaining))
        }
    };
    let mut text = format!("{name}\n  value   {value}\n  lock    {lock}\n");
    for oddity in &found.oddities {
        text.push_str(&format!("  odd     {oddity}\n"));
    }
    text
}

fn expiry(remaining: Remaining) -> String {
    match remaining {
        Remaining::Expires(after) => format!("expires in {}", span(after)),
        Remaining::Forever => "never expires".to_owned(),
    }
}

/// What a lock holds, printable and short: a stranger may have put anything there.
fn holder(bytes: &[u8]) -> String {
    if bytes.is_empty() {
        return "nobody (it is empty)".to_owned();
    }
    let shown = &bytes[..bytes.len().min(SHOWN_HOLDER)];
    let more = match bytes.len() - shown.len() {
        0 => String::new(),
        more => format!("… ({} more)", number(more as u64)),
    };
    format!("{}{more}", shown.escape_ascii())
}

#[derive(Serialize)]
struct Found {
    found: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<usize>,
    #[serde(flatten)]
    value: Option<output::Bytes>,
}

#[derive(Serialize)]
struct Stored<'a> {
    tag: &'a str,
    id: &'a str,
    bytes: usize,
    ttl_ms: Millis,
}

#[derive(Serialize)]
struct Invalidated<'a> {
    tag: &'a str,
    id: &'a str,
}

#[derive(Serialize)]
struct Inspected<'a> {
    tag: &'a str,
    id: &'a str,
    value: Option<ValueSeen>,
    lock: Option<LockSeen>,
    oddities: &'a [String],
}

/// A TTL of null never ends.
#[derive(Serialize)]
struct ValueSeen {
    bytes: u64,
    ttl_ms: Option<Millis>,
}

#[derive(Serialize)]
struct LockSeen {
    holder: String,
    ttl_ms: Option<Millis>,
}

impl<'a> Inspected<'a> {
    fn new(common: &'a Common, id: &'a str, found: &'a Inspection) -> Self {
        let ttl = |remaining| match remaining {
            Remaining::Expires(after) => Some(Millis(after)),
            Remaining::Forever => None,
        };
        Self {
            tag: &common.tag,
            id,
            value: found.value.as_ref().map(|value| ValueSeen {
                bytes: value.bytes,
                ttl_ms: ttl(value.remaining),
            }),
            lock: found.lock.as_ref().map(|lock| LockSeen {
                holder: lock.holder.escape_ascii().to_string(),
                ttl_ms: ttl(lock.remaining),
            }),
            oddities: &found.oddities,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holders_are_printable_and_short() {
        assert_eq!(holder(b"abc"), "abc");
        assert_eq!(holder(b"\x1b[31m\xff"), "\\x1b[31m\\xff");
        assert_eq!(holder(b""), "nobody (it is empty)");
        assert!(holder(&[b'x'; 2000]).ends_with("… (1,960 more)"));
    }
}
