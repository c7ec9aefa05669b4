//! An engine: all that a flight has while it is under way, handed from driver to driver.

use futures_util::StreamExt;
use memolock_core::{
    BackendError, ErrorKind, Event, Held, Input, Key, Machine, Mode, Operation, Outcome, Output,
    Phase, Subscription,
};
use tokio_util::sync::CancellationToken;

use crate::heartbeat::Kept;
use crate::hub::{Hub, until};
use crate::settled::Product;

/// The machine and what belongs to it outside: subscription, heartbeat, and what the work produced.
pub(crate) struct Engine<T> {
    machine: Machine,
    subscription: Option<Subscription>,
    kept: Option<Kept>,
    /// The lease that `kept` is for.
    held: Option<Held>,
    product: Option<Product<T>>,
}

impl<T> Engine<T> {
    pub(crate) fn new(hub: &Hub, mode: Mode) -> Self {
        Self {
            machine: Machine::new(hub.policy.clone(), mode),
            subscription: None,
            kept: None,
            held: None,
            product: None,
        }
    }

    pub(crate) fn output(&self) -> Output {
        self.machine.output()
    }

    pub(crate) fn phase(&self) -> Phase {
        self.machine.phase()
    }

    /// Whether callers can go.
    pub(crate) fn has_outcome(&self) -> bool {
        self.machine.outcome().is_some()
    }

    /// How the flight ended: what the machine says, with what the work produced.
    pub(crate) fn outcome(&mut self) -> (Option<Outcome>, Option<Product<T>>) {
        (self.machine.outcome().cloned(), self.product.take())
    }

    /// Feeds one input and brings the heartbeat into line with the new state.
    pub(crate) fn handle(&mut self, hub: &Hub, key: &Key, input: Input) {
        let from = self.machine.state_name();
        self.machine.handle(hub.now(), input, &mut &*hub);
        tracing::debug!(%key, from, to = self.machine.state_name(), "transition");
        let held = self.machine.held();
        if held != self.held {
            // The old watch ends first: the new one may be of the same token, taken again.
            self.kept = None;
            self.kept = held.map(|h| {
                let begun = hub.instant(h.since);
                hub.heartbeat.keep(key, h.token, begun, hub.policy.lease)
            });
            self.held = held;
        }
    }

    /// The subscription is in place.
    pub(crate) fn subscribed(&mut self, subscription: Subscription) {
        self.subscription = Some(subscription);
    }

    /// Cancelled when the lease that is held is lost; a fresh one if there is none.
    pub(crate) fn lost(&self) -> CancellationToken {
        self.kept
            .as_ref()
            .map(|k| k.lost().clone())
            .unwrap_or_default()
    }

    /// Sleeps until something happens: an event, the machine's deadline, or the loss of the lease.
    pub(crate) async fn listen(&mut self, hub: &Hub) -> Input {
        let wake = self.machine.deadline().map(|d| hub.instant(d.at()));
        let lost = self.lost();
        tokio::select! {
            biased;
            event = next(&mut self.subscription) => match event {
                Some(event) => Input::Heard(event),
                None => {
                    self.subscription = None;
                    Input::Silenced(silenced())
                }
            },
            () = lost.cancelled() => Input::LeaseLost,
            () = until(wake) => Input::Elapsed,
        }
    }

    /// Sleeps until the machine's deadline.
    pub(crate) async fn pause(&mut self, hub: &Hub) -> Input {
        until(self.machine.deadline().map(|d| hub.instant(d.at()))).await;
        Input::Elapsed
    }

    /// Keeps what the work produced until the machine is done.
    pub(crate) fn produced(&mut self, product: Product<T>) {
        self.product = Some(product);
    }
}

async fn next(subscription: &mut Option<Subscription>) -> Option<Event> {
    // None at all counts as one that ended.
    subscription.as_mut()?.next().await
}

/// A backend ends subscriptions only when it is closed or broken beyond its own repair.
fn silenced() -> BackendError {
    BackendError::new(
        ErrorKind::Unavailable,
        Operation::Subscribe,
        "the subscription ended",
    )
}
