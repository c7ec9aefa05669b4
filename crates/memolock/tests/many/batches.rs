//! A compute of many that remembers what it was asked for.
#![allow(clippy::unwrap_used)]

use std::sync::Mutex;

/// The batches so far.
#[derive(Debug, Default)]
pub(crate) struct Batches(Mutex<Vec<Vec<String>>>);

/// What a compute of many gives.
pub(crate) type Made = Result<Vec<(String, String)>, String>;

impl Batches {
    /// A compute that works.
    pub(crate) async fn run(&self, ids: Vec<String>) -> Made {
        self.begin(&ids);
        each(ids).await
    }

    /// Remembers a batch.
    pub(crate) fn begin(&self, ids: &[String]) {
        self.0.lock().unwrap().push(ids.to_vec());
    }

    pub(crate) fn seen(&self) -> Vec<Vec<String>> {
        self.0.lock().unwrap().clone()
    }
}

/// A value for each, in another order than asked.
pub(crate) async fn each(ids: Vec<String>) -> Made {
    let each = ids.into_iter().rev();
    Ok(each.map(|id| (id.clone(), format!("v-{id}"))).collect())
}

/// A compute that must not run.
pub(crate) async fn never_many() -> Made {
    panic!("this compute must not run")
}
