//! Faults of the places for computes without a lease: of nested calls, and of the queue.

use super::{Fault, NESTING, PLACES, fault};

pub(super) const FAULTS: [Fault; 8] = [
    fault(
        "a compute keeps its place while it waits for a nested call",
        NESTING,
        "_ => state.permit.take(),",
        "_ => None::<Permit>,",
    ),
    fault(
        "the place is not taken again before a compute goes on",
        NESTING,
        "if state.permit.is_some() || state.running == 0 {",
        "if true {",
    ),
    fault(
        "a nested call does not hand its place back",
        NESTING,
        "if state.permit.is_none() && state.running > 0 {",
        "if false {",
    ),
    fault(
        "a nested call queues as a new one",
        NESTING,
        "Ok(true) => Rank::Nested,",
        "Ok(true) => Rank::New,",
    ),
    fault(
        "a place that is free goes to nobody",
        PLACES,
        "let Some(grant) = self.leave_first() else {",
        "let Some(grant) = None else {",
    ),
    fault(
        "the spare place is there from the beginning",
        PLACES,
        "if self.overdue == 0 || self.spare.is_some() {",
        "if self.spare.is_some() {",
    ),
    fault(
        "a stuck queue has no spare place",
        PLACES,
        "if self.overdue == 0 || self.spare.is_some() {",
        "if true {",
    ),
    fault(
        "a compute stays in the spare place when another is free",
        PLACES,
        "if let Some((_, begun)) = self.spare.take() {",
        "if let Some((_, begun)) = None::<(u64, Begun)> {",
    ),
];
