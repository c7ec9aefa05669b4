//! What the broken client makes of times and of values.

use std::time::Duration;

use bytes::Bytes;
use memolock_core::{ErrorKind, Key, Operation};

use crate::backend::{Answer, Broken, MOMENT};
use crate::faults::Fault;

impl Broken {
    pub(crate) fn ttl(&self, ttl: Duration, operation: Operation, key: &Key) -> Answer<Duration> {
        Ok(match self.store.fault {
            Fault::ValuesNeverExpire => Duration::MAX,
            Fault::MillisecondsAreSeconds => ttl.saturating_mul(1000),
            Fault::MomentsAreRefused if ttl < MOMENT => {
                return self.error(ErrorKind::Protocol, operation, key);
            }
            #[allow(clippy::cast_possible_truncation)]
            Fault::EternityOverflows => Duration::from_millis(ttl.as_millis() as u32 as u64),
            _ => ttl,
        })
    }

    pub(crate) fn bytes(&self, value: Bytes) -> Bytes {
        match self.store.fault {
            Fault::ValuesAreText => String::from_utf8_lossy(&value).into_owned().into(),
            Fault::LargeValuesAreCut => value.slice(..value.len().min(2 << 20)),
            _ => value,
        }
    }
}
