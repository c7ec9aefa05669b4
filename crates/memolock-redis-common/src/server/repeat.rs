//! How one server repeats notices.

use memolock_core::Key;
use memolock_core::redis::{calls, reply};

use super::Server;
use crate::repeats::{Repeated, Repeater};
use crate::road::Road;

impl<R: Road> Repeater for Server<R> {
    async fn repeat(&self, keys: &[Key]) -> Repeated {
        let mut repeated = Repeated::default();
        let mut left = keys;
        while !left.is_empty() {
            let names: Vec<&Key> = left.iter().collect();
            let answer = self.run_some(&names, calls::repeat(left)).await;
            match answer.and_then(|answer| reply::repeated(answer, left.len())) {
                Ok((done, published)) => {
                    repeated.published += published;
                    left = &left[done..];
                }
                Err(fault) => {
                    repeated.fail(left, &fault);
                    break;
                }
            }
        }
        repeated
    }

    fn part(&self, _: &Key) -> u64 {
        0
    }
}
