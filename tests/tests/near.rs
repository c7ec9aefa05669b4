//! Near caches over real servers, by every adapter: what happens elsewhere, and what breaks.

use memolock::{Coherence, NearCache, Source};
use memolock_testkit::{TestServer, unique_tag};
use memolock_tests::{Adapter, Ours, SECOND, cli, eventually, own_server, server};

/// One process with a near cache that hears.
async fn near(adapter: Adapter, url: &str, tag: &str) -> Ours {
    let cache = NearCache::entries(1000).max_age(600 * SECOND);
    let ours = Ours::start(adapter, url, tag, |b| b.near_cache(cache)).await;
    eventually("it hears", || async { coherence(&ours) == Coherence::Live }).await;
    ours
}

fn coherence(ours: &Ours) -> Coherence {
    ours.likes.stats().near.coherence
}

/// The value.
async fn now(ours: &Ours, id: &str) -> Option<String> {
    let found = ours.likes.get(id).await.unwrap_or_else(|e| panic!("{e}"));
    found.map(|value| (*value).clone())
}

async fn put(ours: &Ours, id: &str, text: &str) {
    let put = ours.likes.put(id, &text.to_owned()).await;
    put.unwrap_or_else(|e| panic!("{e}"));
}

/// The value becomes near: asked for until no command is needed.
async fn becomes_near(ours: &Ours, id: &str, text: &str) {
    eventually("it is near", || async {
        let memo = ours.likes.entry(id).or_compute(|_| never()).await;
        let memo = memo.unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(memo.as_str(), text);
        memo.source() == Source::Near
    })
    .await;
}

async fn never() -> Result<String, String> {
    panic!("this compute must not run")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_done_elsewhere_is_heard() {
    let server = server().await;
    for adapter in Adapter::ALL {
        let tag = unique_tag("near");
        let here = near(adapter, server.url(), &tag).await;
        let there = Ours::start(adapter, server.url(), &tag, |b| b).await;
        for round in 0..20 {
            let text = format!("v{round}");
            put(&there, "a", &text).await;
            eventually("the put is heard", || async {
                now(&here, "a").await.as_ref() == Some(&text)
            })
            .await;
            becomes_near(&here, "a", &text).await;
        }
        there.likes.invalidate("a").await.expect("it is open");
        eventually("the deletion is heard", || async {
            now(&here, "a").await.is_none()
        })
        .await;
        // Own writes are there at once, and stay.
        put(&here, "b", "ours").await;
        becomes_near(&here, "b", "ours").await;
        eventually("it is read back", || async {
            here.likes.stats().near.read_backs > 0
        })
        .await;
        becomes_near(&here, "b", "ours").await;
        here.likes.close().await;
        here.backend.close().await;
    }
}

/// A server tells nobody of `SWAPDB`: their age alone bounds the copies.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_swapdb_a_copy_is_served_until_it_is_of_age_and_no_longer() {
    let server = own_server().await;
    for adapter in Adapter::ALL {
        let tag = unique_tag("near");
        let start = |age| {
            let cache = NearCache::entries(10).max_age(age);
            Ours::start(adapter, server.url(), &tag, |b| b.near_cache(cache))
        };
        let brief = start(SECOND).await;
        let name = brief.key("a").value_name();
        let mut other = server.connect().await.expect("a connection");
        // Before there are copies: of this write they are told, in whichever database it is.
        for words in [&["SELECT", "1"][..], &["SET", &name, "after"]] {
            other.command(words).await.expect("it is done");
        }
        put(&brief, "a", "before").await;
        // It hears of no write.
        let lasting = start(600 * SECOND).await;
        for here in [&brief, &lasting] {
            becomes_near(here, "a", "before").await;
        }
        other
            .command(&["SWAPDB", "0", "1"])
            .await
            .expect("it is done");
        eventually("the copy is of age", || async {
            now(&brief, "a").await.as_deref() == Some("after")
        })
        .await;
        becomes_near(&lasting, "a", "before").await;
        for here in [brief, lasting] {
            here.backend.close().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_value_that_expires_is_not_near_any_more() {
    let server = server().await;
    for adapter in Adapter::ALL {
        let here = near(adapter, server.url(), &unique_tag("near")).await;
        let brief = here.likes.entry("a").ttl(SECOND / 2);
        brief.put(&"v".to_owned()).await.expect("it is open");
        becomes_near(&here, "a", "v").await;
        eventually("it is gone", || async { now(&here, "a").await.is_none() }).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_all_is_deleted_all_is_forgotten() {
    let server = own_server().await;
    for adapter in Adapter::ALL {
        let here = near(adapter, server.url(), &unique_tag("near")).await;
        for id in ["a", "b"] {
            put(&here, id, id).await;
            becomes_near(&here, id, id).await;
        }
        cli(&server, &["FLUSHALL"]).await;
        for id in ["a", "b"] {
            eventually("it is gone", || async { now(&here, id).await.is_none() }).await;
        }
    }
}

/// Kills whoever tracks, and whoever hears of it.
async fn kill_trackers(server: &TestServer) {
    let list = cli(server, &["CLIENT", "LIST"]).await;
    for line in list.as_str().expect("a list").lines() {
        let field = |name: &str| line.split(' ').find_map(|word| word.strip_prefix(name));
        let flags = field("flags=").unwrap_or_default();
        if flags.contains('t') || flags.contains('P') {
            let id = field("id=").expect("an id");
            cli(server, &["CLIENT", "KILL", "ID", id]).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_connection_is_a_gap_after_which_all_is_read_anew() {
    let server = own_server().await;
    for adapter in Adapter::ALL {
        let tag = unique_tag("near");
        let here = near(adapter, server.url(), &tag).await;
        let there = Ours::start(adapter, server.url(), &tag, |b| b).await;
        for round in 0..5 {
            let (old, new) = (format!("old {round}"), format!("new {round}"));
            put(&there, "a", &old).await;
            eventually("it is heard", || async {
                now(&here, "a").await.as_ref() == Some(&old)
            })
            .await;
            becomes_near(&here, "a", &old).await;
            let flushes = here.likes.stats().near.flushes;
            // What changes while nobody hears is found all the same.
            kill_trackers(&server).await;
            put(&there, "a", &new).await;
            eventually("it is found", || async {
                now(&here, "a").await.as_ref() == Some(&new)
            })
            .await;
            eventually("the gap is over", || async {
                coherence(&here) == Coherence::Live
                    && here.likes.stats().near.flushes >= flushes + 2
            })
            .await;
            becomes_near(&here, "a", &new).await;
        }
    }
}

/// What one more right, or one less, makes of it.
async fn as_user(server: &TestServer, adapter: Adapter, more: &[&str]) -> Coherence {
    let (user, tag) = (unique_tag("user"), unique_tag("near"));
    let patterns = [
        format!("~{tag}:*"),
        format!("~{tag}/lock:*"),
        format!("&{tag}/*"),
    ];
    let mut words = vec![
        "ACL",
        "SETUSER",
        &user,
        "reset",
        "on",
        ">password",
        "resetchannels",
    ];
    words.extend(patterns.iter().map(String::as_str));
    words.extend(
        "+get +set +del +pexpire +pttl +type +strlen +publish +eval +evalsha +subscribe +unsubscribe +ping +client|id +info"
            .split(' '),
    );
    words.extend(more);
    cli(server, &words).await;
    let url = format!("redis://{user}:password@127.0.0.1:{}", server.port());
    let cache = NearCache::entries(10).max_age(SECOND);
    let ours = Ours::start(adapter, &url, &tag, |b| b.near_cache(cache)).await;
    eventually("it knows", || async { coherence(&ours) != Coherence::Deaf }).await;
    put(&ours, "a", "v").await;
    becomes_near(&ours, "a", "v").await;
    let coherence = coherence(&ours);
    ours.likes.close().await;
    coherence
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_right_to_track_copies_are_bounded_by_their_age() {
    let server = own_server().await;
    for adapter in [Adapter::RedisRs, Adapter::Fred] {
        let channel = match adapter {
            Adapter::Fred => vec!["&__redis__:invalidate"],
            _ => Vec::new(),
        };
        let all = [&["+client|tracking"], &channel[..]].concat();
        assert_eq!(
            as_user(&server, adapter, &all).await,
            Coherence::Live,
            "{adapter}"
        );
        for missing in 0..all.len() {
            let mut less = all.clone();
            less.remove(missing);
            assert_eq!(
                as_user(&server, adapter, &less).await,
                Coherence::Aged,
                "{adapter}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tags_that_overlap_share_a_connection_and_are_told_apart() {
    let server = server().await;
    for adapter in Adapter::ALL {
        let short = unique_tag("near");
        let long = format!("{short}:more");
        let writer = Ours::start(adapter, server.url(), &long, |b| b).await;
        let backend = adapter.connect(server.url()).await;
        let cache = || NearCache::entries(100).max_age(600 * SECOND);
        let [longer, shorter] = [
            Ours::over(backend.clone(), &long, |b| b.near_cache(cache())).await,
            Ours::over(backend, &short, |b| b.near_cache(cache())).await,
        ];
        eventually("both hear", || async {
            [&longer, &shorter]
                .iter()
                .all(|ours| coherence(ours) == Coherence::Live)
        })
        .await;
        for text in ["1", "2", "3"] {
            put(&writer, "a", text).await;
            for (ours, id) in [(&longer, "a"), (&shorter, "more:a")] {
                eventually("it is heard", || async {
                    now(ours, id).await.as_deref() == Some(text)
                })
                .await;
                becomes_near(ours, id, text).await;
            }
        }
    }
}
