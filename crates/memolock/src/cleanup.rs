//! Clean-up behind the callers' backs: what the machine still wants done once they have their outcome.

use std::sync::Arc;

use memolock_core::{BackendError, Fulfilled, Input, Key, Output};

use crate::engine::Engine;
use crate::hub::Hub;
use crate::landing::stored_behind;
use crate::transfer;

/// Clean-up until nothing is left to do, or a close ends it. The last reply of a large value, if there was one.
async fn finish<T>(
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

/// Carries out what remains when callers are gone or have their answer: a value to store, a lease to
/// give back.
pub(crate) fn clean_up<T>(hub: &Arc<Hub>, key: &Key, mut engine: Box<Engine<T>>)
where
    T: Send + Sync + 'static,
{
    // At the end of most flights, hits above all, there is nothing to do.
    if engine.output() == Output::Rest {
        return;
    }
    engine.handle(hub, key, Input::Abandoned);
    if engine.output() == Output::Rest {
        return;
    }
    let (task_hub, key) = (Arc::clone(hub), key.clone());
    let task = async move {
        let hub = &*task_hub;
        let stored = finish(hub, &key, &mut engine).await;
        if engine.transfer().was_left() {
            stored_behind(hub, &key, &mut engine, stored);
        }
    };
    hub.spawn(task);
}
