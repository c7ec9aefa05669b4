//! Errors keep the chain of a compute's own error, print each cause once, and convert by `?`.

#![allow(clippy::unwrap_used)]

mod common;

use std::error::Error as StdError;
use std::fmt;
use std::num::ParseIntError;

use anyhow::Context;
use common::{SECOND, Spy, builder, key, nothing_left, process, settle, value};
use memolock::core::{Backend, ErrorKind, Token};
use memolock::{Computed, Error, Memolock, OutagePolicy};
use tokio::time::sleep;

/// An application's own error, with one `From` for all that memolock says.
#[derive(Debug, thiserror::Error)]
enum AppError {
    #[error("likes")]
    Likes(#[from] Error),
}

/// An error with two causes below it, as a database driver has them.
#[derive(Debug, PartialEq)]
struct Layer(&'static str, Option<Box<Layer>>);

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl StdError for Layer {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.1.as_deref().map(|below| below as _)
    }
}

fn layered() -> Layer {
    let bottom = Layer("connection refused", None);
    let middle = Layer("no connection from the pool", Some(Box::new(bottom)));
    Layer("the query failed", Some(Box::new(middle)))
}

const LAYERS: &str = "the query failed: no connection from the pool: connection refused";

/// Every text of the chain, from the outside in.
fn chain(error: &dyn StdError) -> Vec<String> {
    let mut texts = vec![error.to_string()];
    let mut next = error.source();
    while let Some(cause) = next {
        texts.push(cause.to_string());
        next = cause.source();
    }
    texts
}

#[tokio::test]
async fn a_computes_own_error_keeps_its_sources_and_each_prints_once() {
    let spy = Spy::new();
    let likes = process(&spy).await;
    let fails = |_| async { Err::<String, _>(layered()) };
    let error = likes.get_or_compute("a", fails).await.unwrap_err();
    assert_eq!(chain(&error).join(": "), LAYERS);
    assert_eq!(error.as_compute(), Some(&layered()));
    assert_eq!(format!("{:#}", anyhow::Error::new(error)), LAYERS);
    nothing_left(&spy, &[&likes]).await;
}

#[tokio::test]
async fn anyhow_in_a_compute_keeps_every_cause_and_each_prints_once() {
    async fn handler(likes: &Memolock<String>) -> anyhow::Result<String> {
        let compute = |_| async {
            let row: Result<String, _> = Err(layered());
            row.context("cannot read the row of kristoff")
        };
        let got = likes.get_or_compute("a", compute).await;
        Ok(got.context("no likes")?.to_string())
    }
    let spy = Spy::new();
    let likes = process(&spy).await;
    let error = handler(&likes).await.unwrap_err();
    assert_eq!(
        format!("{error:#}"),
        format!("no likes: cannot read the row of kristoff: {LAYERS}")
    );
    // The typed cause is still there.
    let causes: Vec<_> = error.chain().filter_map(|c| c.downcast_ref()).collect();
    assert!(causes.contains(&&layered()), "{error:#}");
    nothing_left(&spy, &[&likes]).await;
}

#[tokio::test]
async fn one_from_converts_the_errors_of_every_verb() {
    async fn all(likes: &Memolock<String>, id: &str) -> Result<String, AppError> {
        likes.invalidate(id).await?;
        likes.put(id, &"put".to_owned()).await?;
        likes.get(id).await?;
        likes.inspect(id).await?;
        likes.get_many([id]).await.into_result()?;
        let parse = |_| async { "x".parse::<u8>().map(|n| n.to_string()) };
        let computed = likes.entry("parsed").or_compute(parse).await;
        assert!(computed.is_err_and(|error| error.as_compute::<ParseIntError>().is_some()));
        let fails = |_| async { anyhow::bail!("no luck") };
        let got = likes.get_or_compute("other", fails).await?;
        Ok(got.to_string())
    }
    let spy = Spy::new();
    let likes = process(&spy).await;
    let AppError::Likes(error) = all(&likes, "a").await.unwrap_err();
    assert_eq!(error.to_string(), "no luck");
    nothing_left(&spy, &[&likes]).await;
    likes.close().await;
    let AppError::Likes(error) = all(&likes, "a").await.unwrap_err();
    assert!(matches!(error, Error::Closed), "{error}");
}

/// Text has no type of its own: it converts as it stands.
#[tokio::test]
async fn texts_and_boxes_convert_by_a_question_mark() {
    async fn text(likes: &Memolock<String>) -> Result<String, Box<dyn StdError + Send + Sync>> {
        let fails = |_| async { Err(String::from("a text")) };
        Ok(likes.get_or_compute("a", fails).await?.to_string())
    }
    async fn boxed(likes: &Memolock<String>) -> anyhow::Result<String> {
        let fails = |_| async {
            let error: Box<dyn StdError + Send + Sync> = layered().into();
            Err(error)
        };
        Ok(likes.get_or_compute("b", fails).await?.to_string())
    }
    let spy = Spy::new();
    let likes = process(&spy).await;
    assert_eq!(text(&likes).await.unwrap_err().to_string(), "a text");
    assert_eq!(format!("{:#}", boxed(&likes).await.unwrap_err()), LAYERS);
    nothing_left(&spy, &[&likes]).await;
}

#[tokio::test(start_paused = true)]
async fn a_joiner_has_the_sources_of_the_leaders_error_too() {
    let spy = Spy::new();
    let likes = process(&spy).await;
    let fails = |_| async {
        sleep(SECOND).await;
        Err::<String, _>(layered())
    };
    let joins = async {
        settle("a leader", || likes.stats().computes == 1).await;
        likes.get_or_compute("a", |_| value("never")).await
    };
    let (_, joined) = tokio::join!(likes.get_or_compute("a", fails), joins);
    assert_eq!(chain(&joined.unwrap_err()).join(": "), LAYERS);
    nothing_left(&spy, &[&likes]).await;
}

#[tokio::test]
async fn the_ids_of_a_batch_share_the_chain_of_its_error() {
    let spy = Spy::new();
    let likes = process(&spy).await;
    let fails = |_: Vec<String>| async { Err::<Vec<(String, String)>, _>(layered()) };
    let many = likes.get_or_compute_many(["a", "b"], fails).await;
    assert_eq!(many.errors().count(), 2);
    for (_, error) in many.errors() {
        assert_eq!(chain(error).join(": "), LAYERS);
    }
    nothing_left(&spy, &[&likes]).await;
}

/// No text of the chain repeats one that is below it.
fn assert_each_prints_once(error: &dyn StdError) {
    let texts = chain(error);
    for (nth, text) in texts.iter().enumerate() {
        for below in &texts[nth + 1..] {
            assert!(!text.contains(below), "{texts:?}");
        }
    }
}

/// As `anyhow` prints it, with every cause.
fn printed(error: Error) -> String {
    assert_each_prints_once(&error);
    format!("{:#}", anyhow::Error::new(error))
}

async fn fails() -> Result<String, Layer> {
    Err(layered())
}

#[tokio::test]
async fn a_nested_calls_error_prints_each_cause_once() {
    async fn inner(likes: &Memolock<String>) -> Result<String, Error> {
        let got = likes.get_or_compute("inner", |_| fails()).await?;
        Ok(got.to_string())
    }
    let spy = Spy::new();
    let likes = process(&spy).await;
    let plain = likes.get_or_compute("a", |_| inner(&likes)).await;
    let error = plain.unwrap_err();
    let nested = error.as_compute::<Error>().unwrap();
    assert_eq!(nested.as_compute(), Some(&layered()));
    assert_eq!(printed(error), LAYERS);
    let told = |_| async { inner(&likes).await.context("no likes") };
    let told = likes.get_or_compute("b", told).await.unwrap_err();
    assert_eq!(printed(told), format!("no likes: {LAYERS}"));
    let app = |_| async { inner(&likes).await.map_err(AppError::from) };
    let app = likes.get_or_compute("c", app).await.unwrap_err();
    assert_eq!(printed(app), format!("likes: {LAYERS}"));
    // Three deep.
    let middle = || likes.get_or_compute("middle", |_| inner(&likes));
    let outer = |_| async { middle().await.map(|got| got.to_string()) };
    let outer = likes.get_or_compute("d", outer).await.unwrap_err();
    assert_eq!(printed(outer), LAYERS);
    nothing_left(&spy, &[&likes]).await;
}

/// The nested call fails for a reason of memolock's own.
#[tokio::test(start_paused = true)]
async fn a_nested_calls_own_error_prints_once() {
    let spy = Spy::new();
    let likes = builder(&spy).on_outage(OutagePolicy::Fail);
    let likes = likes.build().await.unwrap();
    let late = key(&likes, "late");
    let locked = spy
        .store()
        .acquire(&late, Token::from_bits(7), 100 * SECOND);
    locked.await.unwrap();
    let plain = process(&spy).await;
    let long = "x".repeat(1 << 20);
    for (id, part) in [
        ("late", "raise wait_timeout"),
        (&long, "long"),
        ("down", "as the test wants it"),
    ] {
        let nested = |_| async {
            if id == "down" {
                spy.break_with(Some(ErrorKind::Unavailable));
            }
            let got = likes.entry(id).wait_timeout(SECOND);
            let got = got.or_compute(|_| value("never")).await?;
            Ok::<_, Error>(got.to_string())
        };
        let error = plain.get_or_compute("outer", nested).await.unwrap_err();
        let nested = error.as_compute::<Error>().unwrap().to_string();
        let text = printed(error);
        assert_eq!(text.matches(part).count(), 1, "{text}");
        assert!(text.starts_with(&nested), "{text}");
    }
    spy.break_with(None);
}

#[tokio::test]
async fn triggers_and_detached_and_other_computes_print_each_cause_once() {
    let spy = Spy::new();
    let likes = process(&spy).await;
    let trigger = || async { fails().await.map(drop) };
    let error = likes.entry("a").or_external(trigger).await.unwrap_err();
    assert_eq!(error.as_compute(), Some(&layered()));
    assert_eq!(printed(error), LAYERS);
    let told = || async { trigger().await.context("cannot start the report") };
    let error = likes.entry("a").or_external(told).await.unwrap_err();
    assert_eq!(printed(error), format!("cannot start the report: {LAYERS}"));
    let error = likes.entry("b").detach().or_external(trigger).await;
    assert_eq!(printed(error.unwrap_err()), LAYERS);
    let error = likes.entry("c").detach().or_compute(|_| fails()).await;
    let error = error.unwrap_err();
    assert_eq!(error.as_compute(), Some(&layered()));
    assert_eq!(printed(error), LAYERS);
    let with = |_| async { fails().await.map(Computed::new) };
    let error = likes.entry("d").or_compute_with(with).await;
    assert_eq!(printed(error.unwrap_err()), LAYERS);
    let error = likes.entry("e").detach().or_compute_with(with).await;
    assert_eq!(printed(error.unwrap_err()), LAYERS);
    nothing_left(&spy, &[&likes]).await;
}

/// A nested call in detached work, and detached work as the nested call.
#[tokio::test]
async fn nested_and_detached_calls_print_each_cause_once() {
    let spy = Spy::new();
    let likes = process(&spy).await;
    let calls = likes.clone();
    let outer = likes.entry("a").detach().or_compute(|_| async move {
        let inner = calls.entry("b").detach().or_compute(|_| fails());
        inner.await.map(|got| got.to_string())
    });
    assert_eq!(printed(outer.await.unwrap_err()), LAYERS);
    let trigger = || async {
        let inner = likes.get_or_compute("d", |_| fails()).await;
        inner.map(drop).context("cannot start the report")
    };
    let error = likes.entry("c").or_external(trigger).await.unwrap_err();
    assert_eq!(printed(error), format!("cannot start the report: {LAYERS}"));
    nothing_left(&spy, &[&likes]).await;
}
