//! A user whose rights are taken away: what cannot be stored is released at once, and a release is sent again.

use memolock::OutagePolicy;
use memolock_tests::{Adapter, cli, end_of, own_server};

use crate::{LEASE, Pair};

#[tokio::test]
async fn without_the_right_to_store_the_lease_is_released_at_once() {
    let server = own_server().await;
    for adapter in Adapter::ALL {
        let user = format!("ann-{adapter}");
        let all = [
            "ACL", "SETUSER", &user, "reset", "on", ">pw", "~*", "&*", "+@all",
        ];
        cli(&server, &all).await;
        let url = format!("redis://{user}:pw@127.0.0.1:{}", server.port());
        let pair = Pair::start(adapter, &url, "rights").await;
        let id = format!("{adapter} store");
        let (end, call) = pair.holder.hold(&id).await;
        let waiting = pair.waits(&id).await;
        cli(&server, &["ACL", "SETUSER", &user, "-set"]).await;
        end.send(Ok("kept".to_owned())).unwrap();
        assert_eq!(*end_of(call).await.unwrap(), "kept", "R3: {adapter}");
        // It may take no lease either, and computes without one. Its lease would be over much later.
        assert_eq!(*end_of(waiting).await.unwrap(), "waiter's", "{adapter}");
        pair.close().await;
    }
}

#[tokio::test]
async fn without_the_right_to_delete_the_release_is_sent_again() {
    let server = own_server().await;
    for adapter in Adapter::ALL {
        let user = format!("bob-{adapter}");
        let all = [
            "ACL", "SETUSER", &user, "reset", "on", ">pw", "~*", "&*", "+@all",
        ];
        cli(&server, &all).await;
        let url = format!("redis://{user}:pw@127.0.0.1:{}", server.port());
        let pair = Pair::start(adapter, &url, "rights").await;
        let grant = async |right: &str| {
            cli(&server, &["ACL", "SETUSER", &user, right]).await;
        };
        let id = format!("{adapter} release");
        pair.release_outlasts(
            &id,
            async || grant("-del").await,
            async || grant("+del").await,
        )
        .await;
        pair.close().await;
    }
}

/// The same of an external promise whose trigger fails.
#[tokio::test]
async fn an_external_lease_is_released_when_that_is_allowed_again() {
    let server = own_server().await;
    for adapter in Adapter::ALL {
        let url = format!("redis://127.0.0.1:{}", server.port());
        let ours = memolock_tests::Ours::start(adapter, &url, "external", |b| {
            b.lease(LEASE).on_outage(OutagePolicy::Fail)
        })
        .await;
        let id = format!("{adapter}");
        let triggered = ours.likes.entry(&id).or_external(|| async {
            cli(&server, &["CONFIG", "SET", "min-replicas-to-write", "1"]).await;
            Err::<(), _>("cannot start".to_owned())
        });
        triggered.await.unwrap_err();
        cli(&server, &["CONFIG", "SET", "min-replicas-to-write", "0"]).await;
        let lock = format!("external/lock:{id}");
        memolock_tests::eventually("the release", || async {
            cli(&server, &["EXISTS", &lock]).await.as_int() == Some(0)
        })
        .await;
        ours.likes.close().await;
        ours.backend.close().await;
    }
}
