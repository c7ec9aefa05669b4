//! The answers to a call for many ids.

use std::fmt;

use crate::Error;

/// One answer an id, in the order in which the ids were asked for: each has its own value or error.
///
/// An id that was asked for twice has its answer twice. `A` is what there is for an id: a
/// [`Memo`](crate::Memo), or for a mere look an `Option` of one.
///
/// ```
/// # use memolock::{Memolock, memory::MemoryBackend};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let likes: Memolock<u64> = Memolock::builder("likes", MemoryBackend::new()).build().await?;
/// # let count = |ids: Vec<String>| async move {
/// #     Ok::<_, std::io::Error>(ids.into_iter().map(|id| (id, 1)).collect::<Vec<_>>())
/// # };
/// // All or the first error: for a handler that answers with all of them or with an error.
/// let all = likes.get_or_compute_many(["anna", "olaf"], count).await.into_result()?;
/// assert_eq!(all.len(), 2);
///
/// // Or each by itself.
/// for (id, answer) in likes.get_or_compute_many(["anna", "olaf"], count).await {
///     match answer {
///         Ok(likes) => println!("{id}: {likes}"),
///         Err(error) => eprintln!("{id}: {error}"),
///     }
/// }
/// # likes.close().await;
/// # Ok(())
/// # }
/// ```
#[must_use = "each id has a result of its own"]
pub struct Many<A> {
    answers: Vec<(String, Result<A, Error>)>,
}

impl<A> Many<A> {
    pub(crate) fn new(answers: Vec<(String, Result<A, Error>)>) -> Self {
        Self { answers }
    }

    /// What there is for each id, in the order asked, if no id has an error; else the first error.
    ///
    /// # Errors
    /// That of the first id that has one.
    pub fn into_result(self) -> Result<Vec<A>, Error> {
        self.answers.into_iter().map(|(_, answer)| answer).collect()
    }

    /// The answer for `id`, if it was asked for. It looks through all of them.
    #[must_use]
    pub fn get(&self, id: &str) -> Option<&Result<A, Error>> {
        let found = self.answers.iter().find(|(asked, _)| asked == id);
        found.map(|(_, answer)| answer)
    }

    /// Ids and answers, in the order asked.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &Result<A, Error>)> {
        self.answers.iter().map(|(id, answer)| (&**id, answer))
    }

    /// The ids that have an error, with it.
    pub fn errors(&self) -> impl Iterator<Item = (&str, &Error)> {
        self.iter()
            .filter_map(|(id, answer)| Some((id, answer.as_ref().err()?)))
    }

    /// How many ids were asked for.
    #[must_use]
    pub fn len(&self) -> usize {
        self.answers.len()
    }

    /// Whether no id was asked for.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.answers.is_empty()
    }
}

impl<A> IntoIterator for Many<A> {
    type Item = (String, Result<A, Error>);
    type IntoIter = std::vec::IntoIter<Self::Item>;

    fn into_iter(self) -> Self::IntoIter {
        self.answers.into_iter()
    }
}

/// How many there are, and no value.
impl<A> fmt::Debug for Many<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Many")
            .field("ids", &self.len())
            .field("errors", &self.errors().count())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn many(answers: [Result<u8, Error>; 2]) -> Many<u8> {
        let ids = ["a", "b"].map(str::to_owned);
        Many::new(ids.into_iter().zip(answers).collect())
    }

    #[test]
    fn all_or_the_first_error() {
        assert_eq!(many([Ok(1), Ok(2)]).into_result().unwrap(), [1, 2]);
        let failed = many([Ok(1), Err(Error::Closed)]);
        assert_eq!(failed.errors().map(|(id, _)| id).collect::<Vec<_>>(), ["b"]);
        assert!(matches!(failed.get("b"), Some(Err(Error::Closed))));
        assert!(matches!(failed.get("a"), Some(Ok(1))));
        assert!(failed.get("c").is_none());
        assert!(failed.into_result().is_err());
    }

    #[test]
    fn debug_shows_no_value() {
        let text = format!("{:?}", many([Ok(42), Err(Error::Closed)]));
        assert_eq!(text, "Many { ids: 2, errors: 1, .. }");
    }
}
