//! A backend that is one of several, without a box more for each call.

/// Implements [`Backend`](memolock_core::Backend) for a type with a method `fn backend(&self) -> &dyn Backend`, by
/// handing on the futures of that one as they are.
#[macro_export]
macro_rules! forward_backend {
    ($type:ty) => {
        const _: () = {
            use std::future::Future;
            use std::pin::Pin;
            use std::time::Duration;
            use $crate::reexports::core::{
                Acquired, Attempt, Backend, BackendError, BackendStats, Capabilities, Fulfilled,
                Fulfilment, Inspection, Key, Keyspace, Notice, PutMode, Renewal, Subscription, Tag,
                Timed, Token, Tracking,
            };
            use $crate::reexports::Bytes;

            type Answer<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

            #[deny(clippy::missing_trait_methods)]
            impl Backend for $type {
                fn capabilities(&self) -> Capabilities {
                    self.backend().capabilities()
                }
                fn track(&self, space: &Keyspace) -> Option<Tracking> {
                    self.backend().track(space)
                }
                fn failure_domain(&self, key: &Key) -> u64 {
                    self.backend().failure_domain(key)
                }
                fn introduce(&self, tag: &Tag) {
                    self.backend().introduce(tag);
                }
                fn stats(&self) -> BackendStats {
                    self.backend().stats()
                }
                $crate::forward_backend! { @
                    fn check(space: &'b Keyspace) -> Result<(), BackendError>;
                    fn get(key: &'b Key) -> Result<Option<Bytes>, BackendError>;
                    fn acquire(key: &'b Key, token: Token, lease: Duration) -> Result<Acquired, BackendError>;
                    fn get_many(keys: &'b [Key]) -> Vec<Result<Option<Bytes>, BackendError>>;
                    fn get_timed(keys: &'b [Key]) -> Result<Vec<Option<Timed>>, BackendError>;
                    fn acquire_many(tries: &'b [Attempt]) -> Vec<Result<Acquired, BackendError>>;
                    fn fulfil_many(values: &'b [Fulfilment]) -> Vec<Result<Fulfilled, BackendError>>;
                    fn fulfil(key: &'b Key, token: Token, value: Bytes, ttl: Duration) -> Result<Fulfilled, BackendError>;
                    fn renew(renewals: &'b [Renewal]) -> Result<Vec<bool>, BackendError>;
                    fn renew_each(renewals: &'b [Renewal]) -> Vec<Result<bool, BackendError>>;
                    fn release(key: &'b Key, token: Token, notice: Option<Notice>) -> Result<bool, BackendError>;
                    fn put(key: &'b Key, value: Bytes, ttl: Duration, mode: PutMode) -> Result<(), BackendError>;
                    fn invalidate(key: &'b Key) -> Result<(), BackendError>;
                    fn inspect(key: &'b Key) -> Result<Inspection, BackendError>;
                    fn subscribe(key: &'b Key) -> Result<Subscription, BackendError>;
                }
                fn acquire_over<'a, 'b, 'c, 'x>(
                    &'a self,
                    key: &'b Key,
                    token: Token,
                    lease: Duration,
                    stale: &'c Bytes,
                ) -> Answer<'x, Result<Acquired, BackendError>>
                where
                    'a: 'x,
                    'b: 'x,
                    'c: 'x,
                    Self: 'x,
                {
                    self.backend().acquire_over(key, token, lease, stale)
                }
                fn close<'a, 'x>(&'a self) -> Answer<'x, ()>
                where
                    'a: 'x,
                    Self: 'x,
                {
                    self.backend().close()
                }
            }
        };
    };
    (@ $(fn $name:ident($first:ident: $kind:ty $(, $more:ident: $type:ty)*) -> $answer:ty;)*) => {
        $(
            fn $name<'a, 'b, 'x>(
                &'a self,
                $first: $kind,
                $($more: $type,)*
            ) -> Answer<'x, $answer>
            where
                'a: 'x,
                'b: 'x,
                Self: 'x,
            {
                self.backend().$name($first, $($more),*)
            }
        )*
    };
}
