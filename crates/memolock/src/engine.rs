//! An engine: all that a flight has while it is under way, handed from driver to driver.

use std::sync::Weak;

use futures_util::StreamExt;
use memolock_core::{
    BackendError, ErrorKind, Event, Held, Input, Key, LeaseLimits, Machine, Mode, Operation,
    Outcome, Output, Phase, Policy, Subscription,
};
use tokio_util::sync::CancellationToken;

use crate::Source;
use crate::heartbeat::Kept;
use crate::holding::Overdue;
use crate::hub::{Hub, until};
use crate::near::Notes;
use crate::settled::{Product, Settled};
use crate::sieve::Sieve;
use crate::transfer::Transfer;

/// What a caller wants of a flight.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wants {
    pub(crate) mode: Mode,
    pub(crate) limits: LeaseLimits,
}

/// The machine and what belongs to it outside: subscription, heartbeat, and what the work produced.
pub(crate) struct Engine<T> {
    machine: Machine,
    /// Who is told when its work has held the key for as long as it may.
    flight: Weak<dyn Overdue>,
    subscription: Option<Subscription>,
    kept: Option<Kept>,
    /// The lease that `kept` is for.
    held: Option<Held>,
    product: Option<Product<T>>,
    /// The caller who drives now is not the one who made the product.
    inherited: bool,
    /// The loss of the lease has been counted.
    loss_noted: bool,
    sieve: Sieve<T>,
    notes: Notes,
    transfer: Transfer,
}

impl<T> Engine<T> {
    pub(crate) fn new(hub: &Hub, wants: Wants, flight: Weak<dyn Overdue>) -> Self {
        let mut policy: Policy = hub.policy.clone();
        policy.limits = wants.limits;
        Self {
            machine: Machine::new(policy, wants.mode),
            flight,
            subscription: None,
            kept: None,
            held: None,
            product: None,
            inherited: false,
            loss_noted: false,
            sieve: Sieve::new(),
            notes: Notes::default(),
            transfer: Transfer::default(),
        }
    }

    /// A new engine for the callers of this one. The caller that takes the seat sets its own mode and limits (`adopt`).
    pub(crate) fn fresh(&self, hub: &Hub, flight: Weak<dyn Overdue>) -> Self {
        let (mode, limits) = (Mode::Compute, self.machine.limits());
        Self::new(hub, Wants { mode, limits }, flight)
    }

    pub(crate) fn output(&self) -> Output {
        self.machine.output()
    }

    pub(crate) fn phase(&self) -> Phase {
        self.machine.phase()
    }

    /// Why the work runs without a lease, if it does.
    pub(crate) fn cause(&self) -> Option<&BackendError> {
        self.machine.cause()
    }

    /// Whether callers can go.
    pub(crate) fn has_outcome(&self) -> bool {
        self.machine.outcome().is_some()
    }

    /// How the flight ended: what the machine says, with what the work produced.
    pub(crate) fn outcome(&mut self) -> (Option<Outcome>, Option<Settled<T>>) {
        let source = self.source();
        let product = self.product.take().map(|p| p.into_settled(source));
        (self.machine.outcome().cloned(), product)
    }

    /// Whether clean-up pauses because the store refused for now.
    pub(crate) fn is_refused(&self) -> bool {
        self.machine.is_refused()
    }

    /// Feeds one input and brings the heartbeat into line with the new state.
    pub(crate) fn handle(&mut self, hub: &Hub, key: &Key, input: Input) {
        let from = self.machine.state_name();
        // What was lost is watched anew if it is taken anew, even at the very same moment: else it would be
        // lost again at once, and so on for as long as the clock stands still.
        let lost = matches!(input, Input::LeaseLost);
        self.machine.handle(hub.now(), input, &mut &*hub);
        tracing::debug!(%key, from, to = self.machine.state_name(), "transition");
        let held = self.machine.held();
        // Callers are gone, and a large value is still on its way, or is sent again soon: the lease stays until then.
        let goes_on = self.transfer.is_under_way()
            || (self.transfer.is_left()
                && matches!(self.machine.output(), Output::Fulfil { .. } | Output::Pause));
        let waits = held.is_none() && goes_on;
        if (held != self.held || lost) && !waits {
            // The old watch ends first: the new one may be of the same token, taken again.
            self.kept = None;
            self.kept = held.map(|held| {
                let lengths = (hub.policy.lease, held.max);
                let flight = Weak::clone(&self.flight);
                if let Some(flight) = flight.upgrade() {
                    flight.in_time();
                }
                hub.heartbeat.keep(key, held, lengths, flight)
            });
            self.held = held;
        }
        // A large value takes its time: if its lease is lost on the way, it is given up.
        if let Some(kept) = &self.kept
            && self.machine.phase() == Phase::Finishing
            && !matches!(self.machine.output(), Output::Fulfil { value, .. } if hub.store.is_large(&value))
        {
            kept.ending();
        }
    }

    /// Watches work that runs without a lease, until the result is dropped.
    pub(crate) fn keep_unleased(&self, hub: &Hub, key: &Key) -> Kept {
        let max = self.machine.limits().max_lease;
        let flight = Weak::clone(&self.flight);
        hub.heartbeat.keep_unleased(key, max, flight)
    }

    /// Whether a trigger is to run although the program of one before did not answer in time.
    pub(crate) fn triggers_again(&self) -> bool {
        self.machine.triggers_again()
    }

    /// A large value that is being stored.
    pub(crate) fn transfer(&mut self) -> &mut Transfer {
        &mut self.transfer
    }

    /// What was found and decoded.
    pub(crate) fn sieve(&mut self) -> &mut Sieve<T> {
        &mut self.sieve
    }

    /// What the near cache will be told.
    pub(crate) fn notes(&mut self) -> &mut Notes {
        &mut self.notes
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

    /// Another caller takes over: the machine is told what it wants, and of a lease that was lost while
    /// the one before was at work.
    pub(crate) fn adopt(&mut self, hub: &Hub, key: &Key, Wants { mode, limits }: Wants) {
        self.inherited = self.product.is_some();
        let lost = self.lost().is_cancelled();
        self.machine.set_limits(limits);
        self.handle(hub, key, Input::Adopted { mode, lost });
    }

    /// Where the product came from, as the caller who drives now sees it.
    fn source(&self) -> Source {
        match self.inherited {
            true => Source::Awaited,
            false => Source::Computed,
        }
    }

    /// Counts the loss of the lease, once.
    pub(crate) fn note_loss(&mut self, hub: &Hub) {
        if !std::mem::replace(&mut self.loss_noted, true) {
            hub.counters.lost_leases.add();
        }
    }

    /// Takes what the work produced, if it is a value: it is its caller's, whatever else happens.
    pub(crate) fn salvage(&mut self) -> Option<Settled<T>> {
        let source = self.source();
        match self.product.take() {
            Some(product @ Product::Value(_)) => Some(product.into_settled(source)),
            _ => None,
        }
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
