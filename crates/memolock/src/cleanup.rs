//! Clean-up behind the callers' backs: what the machine still wants done once they have their outcome.

use memolock_core::{BackendError, Fulfilled, Input, Key, Output};

use crate::engine::Engine;
use crate::hub::Hub;
use crate::transfer;

/// Clean-up until nothing is left to do, or a close ends it. The last reply of a large value, if there was one.
pub(crate) async fn finish<T>(
    hub: &Hub,
    key: &Key,
    engine: &mut Engine<T>,
) -> Option<Result<Fulfilled, BackendError>> {
    let mut stored = None;
    loop {
        let input = match engine.output() {
            Output::Fulfil { token, value, ttl } if hub.store.is_large(&value) => {
                let sent = (token, value, ttl);
                let reply = transfer::behind_callers(hub, key, engine, sent).await;
                stored = Some(reply.clone());
                Input::Fulfilled(reply)
            }
            Output::Fulfil { token, value, ttl } => {
                Input::Fulfilled(hub.store.fulfil_behind(key, token, value, ttl).await)
            }
            Output::Release { token, notice } => {
                Input::Released(hub.store.release_behind(key, token, notice).await)
            }
            // A store that refuses for now answers, and is often well within the time of a close, which is
            // bounded. An outage is not, so a close does not wait for its end.
            Output::Pause => tokio::select! {
                biased;
                () = hub.closing.cancelled(), if !engine.is_refused() => return stored,
                input = engine.pause(hub) => input,
            },
            _ => return stored,
        };
        engine.handle(hub, key, input);
    }
}
