//! Many ids in one call, in front of which is a near cache.

use memolock::core::Operation;
use memolock::{Memo, Source};

use crate::common::{Fault, SECOND, Spy, nothing_left, settle};
use crate::{elsewhere, near, quiet};

type Made = Result<Vec<(String, String)>, String>;

async fn each(ids: Vec<String>) -> Made {
    Ok(ids
        .into_iter()
        .map(|id| (id.clone(), format!("v-{id}")))
        .collect())
}

fn sources(memos: &[Memo<String>]) -> Vec<Source> {
    memos.iter().map(Memo::source).collect()
}

#[tokio::test(start_paused = true)]
async fn what_was_found_or_computed_is_here_the_next_time() {
    let spy = Spy::new();
    let likes = near(&spy).await;
    elsewhere(&spy, &likes, "b", "there").await;
    quiet().await;
    let before = spy.total();
    let all = likes
        .get_or_compute_many(["a", "b"], each)
        .await
        .into_result()
        .unwrap();
    assert_eq!(sources(&all), [Source::Computed, Source::Hit]);
    assert_eq!(
        spy.total(),
        before + 3,
        "a look with times, the lease, the value"
    );
    let after = spy.total();
    let again = likes
        .get_or_compute_many(["a", "b"], each)
        .await
        .into_result()
        .unwrap();
    assert_eq!(sources(&again), [Source::Near, Source::Near]);
    let looked = likes.get_many(["b", "a"]).await.into_result().unwrap();
    assert!(
        looked
            .iter()
            .flatten()
            .all(|memo| memo.source() == Source::Near)
    );
    assert_eq!(spy.total(), after, "no command");
    let some = likes.get_many(["a", "c"]).await.into_result().unwrap();
    assert!(some[0].is_some() && some[1].is_none());
    nothing_left(&spy, &[&likes]).await;
}

/// R4: a look that was under way during a local write, or a change elsewhere, leaves no copy.
#[tokio::test(start_paused = true)]
async fn what_changes_during_a_look_is_not_kept() {
    for here in [true, false] {
        let spy = Spy::new();
        let likes = near(&spy).await;
        elsewhere(&spy, &likes, "k", "old").await;
        quiet().await;
        let looks = spy.count(Operation::Get);
        spy.tamper(Operation::Get, Fault::Late(SECOND));
        let look = likes.get_many(["k", "l"]);
        let change = async {
            settle("the look is under way", || {
                spy.count(Operation::Get) > looks
            })
            .await;
            match here {
                true => likes.invalidate("k").await.unwrap(),
                false => elsewhere(&spy, &likes, "k", "new").await,
            }
        };
        let (found, ()) = tokio::join!(look, change);
        assert_eq!(
            found.into_result().unwrap()[0].as_ref().unwrap().as_str(),
            "old"
        );
        quiet().await;
        let found = likes.get_many(["k"]).await.into_result().unwrap();
        let found = found[0].as_ref().map(|memo| memo.as_str().to_owned());
        assert_eq!(found, (!here).then(|| "new".to_owned()));
    }
}
