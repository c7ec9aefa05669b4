//! R6: a peer that subscribes to `likes/notif:*` hears values, whatever else we go through.

use memolock::{Computed, Error, FailurePolicy};
use memolock_tests::{Case, HANG, SECOND, end_of, eventually};
use tokio::time::timeout;

in_every_language!(they_hear_values_and_nothing_else);

async fn they_hear_values_and_nothing_else(case: Case) {
    let mut peer = case.peer(60 * SECOND).await;
    let (ours, elsewhere) = (
        case.ours().await,
        case.ours_with(|builder| builder.on_remote_failure(FailurePolicy::Share))
            .await,
    );
    let likes = &ours.likes;
    let text = |text: &str| text.to_owned();

    // A failure, told to a waiter: it hears of it, or finds the lock free and fails itself.
    let (end, failing) = ours.hold("failing").await;
    let told = {
        let likes = elsewhere.likes.clone();
        let fails = |_| async { Err::<String, _>("no luck either".to_owned()) };
        tokio::spawn(async move { likes.entry("failing").or_compute(fails).await })
    };
    case.we_wait("failing", 1).await;
    end.send(Err(text("no luck"))).unwrap();
    assert!(matches!(end_of(failing).await, Err(Error::Compute(_))));
    let told = end_of(told).await.unwrap_err();
    assert!(
        matches!(told, Error::Remote { .. } | Error::Compute(_)),
        "{told}"
    );

    // A panic; a value that is not to be stored.
    let panics = |_| async { panic_quietly() };
    let panicked = likes.get_or_compute("panicking", panics).await;
    assert!(matches!(panicked, Err(Error::Panicked { .. })));
    let declined = |_| async { Ok::<_, String>(Computed::new(text("unstored")).no_store()) };
    let entry = likes.entry("declined");
    entry.or_compute_with(declined).await.unwrap();

    // A compute that is dropped; a wait that times out; a trigger that fails.
    let (_end, dropped) = ours.hold("dropped").await;
    dropped.abort();
    eventually("the release", || async {
        case.holder("dropped").await.is_none()
    })
    .await;
    let (end, slow) = ours.hold("slow").await;
    let wait = elsewhere.likes.entry("slow").wait_timeout(SECOND / 10);
    let late = wait.or_compute(|_| async { Ok::<_, String>(text("unused")) });
    assert!(matches!(late.await, Err(Error::Timeout { .. })));
    let trigger = || async { Err::<(), _>(text("no program")) };
    likes
        .entry("external")
        .or_external(trigger)
        .await
        .unwrap_err();

    // Invalidations: of nothing, of a value, of a compute under way that somebody waits for.
    likes.invalidate("nothing").await.unwrap();
    likes.put("fleeting", &text("fleeting")).await.unwrap();
    likes.invalidate("fleeting").await.unwrap();
    let (stale, fenced) = ours.hold("fenced").await;
    let next = elsewhere.get("fenced", "anew");
    case.we_wait("fenced", 1).await;
    likes.invalidate("fenced").await.unwrap();
    assert_eq!(end_of(next).await.unwrap().as_str(), "anew");
    stale.send(Ok(text("stale"))).unwrap();
    assert_eq!(end_of(fenced).await.unwrap().as_str(), "stale");

    // A close with a compute under way.
    let (_never, closed) = elsewhere.hold("closed").await;
    timeout(HANG, elsewhere.likes.close())
        .await
        .expect("a hang");
    assert!(matches!(end_of(closed).await, Err(Error::Closed)));
    assert_eq!(case.holder("closed").await, None, "released");

    // Values: of a compute, the empty one, of a program.
    end.send(Ok(text("slow"))).unwrap();
    end_of(slow).await.unwrap();
    end_of(ours.get("empty", "")).await.unwrap();
    likes.entry("program").resolve(&text("last")).await.unwrap();

    let heard = peer.heard_until("last").await;
    let values = [
        ("fleeting", "fleeting"),
        ("fenced", "anew"),
        ("slow", "slow"),
        ("empty", ""),
        ("program", "last"),
    ];
    assert_eq!(
        heard,
        values.map(|(id, value)| (case.notif(id), text(value)))
    );
}

/// Without the hook, whose backtrace would hold up the other cases.
fn panic_quietly() -> Result<String, String> {
    std::panic::resume_unwind(Box::new("on purpose"))
}
