//! Which adapter it is.

pub(crate) use memolock_redis_rs::{
    RedisBackend as Adapter, RedisBackendBuilder as AdapterBuilder,
};
