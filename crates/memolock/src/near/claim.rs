//! What a flight will say to the near cache: how it came by its value, and since when nothing may have changed.

use std::time::Duration;

use memolock_core::Remaining;

use super::Ticket;

/// What a flight has noted.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Notes {
    /// From before it asked to listen: it hears nothing from before that.
    listens: Option<Ticket>,
    claim: Option<Claim>,
}

/// How the value came.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Claim {
    /// It was stored; for so long, if that was told.
    Found(Ticket, Option<Remaining>),
    /// It was heard of.
    Heard(Ticket),
    /// We stored it, for so long.
    Stored(Ticket, Duration),
}

impl Notes {
    /// The flight is about to listen.
    pub(crate) fn listens(&mut self, ticket: Option<Ticket>) {
        self.listens = ticket;
    }

    /// A value was found after that ticket was taken.
    pub(crate) fn found(&mut self, ticket: Option<Ticket>, remaining: Option<Remaining>) {
        self.claim = ticket.map(|ticket| Claim::Found(ticket, remaining));
    }

    /// A value was heard.
    pub(crate) fn heard(&mut self) {
        self.claim = self.listens.map(Claim::Heard);
    }

    /// Our value is about to be stored.
    pub(crate) fn stores(&mut self, ticket: Option<Ticket>, ttl: Duration) {
        self.claim = ticket.map(|ticket| Claim::Stored(ticket, ttl));
    }

    /// How the value came that the flight ended with.
    pub(crate) fn claim(&self) -> Option<Claim> {
        self.claim
    }
}
