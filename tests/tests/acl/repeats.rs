//! The rights that repeated notices need, by their row in the document.

use std::time::Duration;

use memolock::core::{Keyspace, Layout, PutMode, Tag};
use memolock_testkit::unique_tag;
use memolock_tests::{Adapter, SECOND, cli, eventually, own_server};

use crate::document::{User, extra};
use crate::trial::Court;
use crate::work::Role;

const ROW: &str = "`repeat_notice`";

#[tokio::test]
async fn repeated_notices_need_what_their_row_says() {
    let court = Court::new(own_server().await).await;
    for adapter in Adapter::ALL {
        // A full peer has these rights; a resolver lacks all of them.
        let peer = court.user(Role::Peer, adapter).await;
        assert_eq!(outcome(&court, adapter, &peer).await, (1, 0), "{adapter}");
        let resolver = court.user(Role::Resolver, adapter).await;
        let more = extra(ROW);
        assert_eq!(more, ["+get", "+strlen"]);
        for lacking in &more {
            let user = resolver.clone().with(&more).without(lacking);
            let ended = outcome(&court, adapter, &user).await;
            assert_eq!(ended, (0, 1), "{adapter}, without {lacking}");
        }
        let user = resolver.with(&more);
        assert_eq!(outcome(&court, adapter, &user).await, (1, 0), "{adapter}");
    }
}

/// Resolves as this user; says how many notices were repeated and dropped. Resolving itself must go well.
async fn outcome(court: &Court, adapter: Adapter, user: &User) -> (u64, u64) {
    let (name, tag) = (unique_tag("user"), unique_tag("likes"));
    let made = user.command(&name, &tag);
    let made: Vec<&str> = made.iter().map(String::as_str).collect();
    cli(&court.server, &made).await;
    let url = format!("redis://{name}:password@127.0.0.1:{}", court.server.port());
    let after = Duration::from_millis(20);
    let backend = adapter.connect_repeating(&url, after).await;
    let tag = Tag::new(&tag).expect("a tag of ours");
    let space = Keyspace::new(tag, Layout::Classic).expect("without braces");
    let key = space.key("kristoff").expect("a short id");
    let put = backend.put(&key, "v".into(), 60 * SECOND, PutMode::Resolve);
    put.await.expect("a right that it has");
    let ended = || {
        let stats = backend.stats();
        (stats.repeated_notices, stats.dropped_notices)
    };
    eventually("its end", || async { ended() != (0, 0) }).await;
    backend.close().await;
    cli(&court.server, &["ACL", "DELUSER", &name]).await;
    ended()
}
