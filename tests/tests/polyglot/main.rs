//! Peers in other languages and memolock keep promises to each other: every role with every language, every style
//! of theirs and every adapter of ours. `tests/polyglot` has the peers.

// Helpers are not test functions to the lint, and a failed one is a failed test.
#![allow(clippy::unwrap_used)]

/// A test in each language for each scenario, which runs it for every style and adapter.
macro_rules! in_every_language {
    ($($scenario:ident),* $(,)?) => {
        mod python {
            $(#[tokio::test]
            async fn $scenario() {
                memolock_tests::matrix(memolock_tests::Language::Python, super::$scenario).await;
            })*
        }
        mod go {
            $(#[tokio::test]
            async fn $scenario() {
                memolock_tests::matrix(memolock_tests::Language::Go, super::$scenario).await;
            })*
        }
    };
}

mod contract;
mod crashes;
mod external;
mod herd;
mod locks;
mod payloads;
mod racing;
mod silence;
mod waiting;

/// A value that a careless peer would spoil on its way.
const TEXT: &str = "thé \"42\"\r\n\\☃ 🐟\t";
