//! The promises, checked against a history: a sentence for each that was not kept.
//!
//! | | checked | in |
//! |---|---|---|
//! | R1 | nobody is granted a lease while another stands; computes under leases overlap only where the earlier lease was lost, and for a reason; in fair weather all have a lease; in calm weather one compute a key; one flight a key and process | `leases` |
//! | R2 | every call ends by its deadline; while somebody waits, somebody is at it | `deadlines`, `calls` |
//! | R2, nested | in an outage computes that work hold all places; a free place goes at once to a nested call or to a compute that goes on; no nested call times out for want of a place | `places` |
//! | R3 | what a compute came to is what its caller gets, stored or not | `values` |
//! | R4 | nothing is stored by who lost its lease, nor over a put or an invalidation; who asks after one gets nothing older | `values`, the ledger |
//! | R5 | leases are given back, not left to expire; nobody uses a token that is not theirs, nor acts on a lease that they do not hold | `leases`, the ledger |
//! | R6 | on `notif` are values that are stored at that moment, and nothing else | `values` |
//! | R7 | who holds a lease is not told otherwise; a token whose reply was lost is sent again, or given back | `leases`, the ledger |
//! | R8 | bytes that cannot be decoded count as none, and calls get a value in spite of them; where the policy is to fail they are an error to who meets them, and to nobody else; nothing panics | `values`, `run` |
//! | R9 | at the end no flight, lease, task or subscription is left, before a close and after it | `run` |
//! | R10 | a close ends what is under way, and waits for detached work; later calls are refused | `calls`, `run` |
//! | R4, near | a near cache serves nothing older than a local write, and nothing that it was told is over | `near` |
//! | R16 | no lease is renewed beyond `max_lease`, nor for a program that has had its time; computes end with `compute_timeout`; nobody waits for a compute longer than `max_lease` | `limits`, `calls` |
//! | R11 | deadlines hold in outages too; once all is well, calls are served under leases | `deadlines`, `calls` |
//! | R2, R5, refused | what a store refuses for now is sent again within the lease | `refusals` |
//! | R11, not known | what met an error that is not known is not sent again before the breaker's interval has passed; if the commands of one key fail so, others are served under leases, and keep them | `refusals` |

mod calls;
mod deadlines;
mod leases;
mod limits;
mod near;
mod places;
mod refusals;
mod values;

use crate::facts::Facts;
use crate::history::History;
use crate::ledger::Ledger;
use crate::plan::{Damage, Does, Plan};
use crate::run::Remains;
use crate::store::Channel;
use crate::trouble::Trouble;

/// Every promise that was not kept.
pub(crate) fn broken(plan: &Plan, history: &History, remains: &Remains) -> Vec<String> {
    let facts = Facts::read(history);
    let ledger = Ledger::of(&facts);
    let trouble = Trouble::of(plan, &facts);
    let mut case = Case {
        plan,
        facts,
        trouble,
        broken: remains.leaks.clone(),
    };
    case.broken.extend(ledger.complaints.iter().cloned());
    leases::check(&mut case, &ledger);
    values::check(&mut case);
    near::check(&mut case);
    deadlines::check(&mut case);
    calls::check(&mut case);
    places::check(&mut case);
    refusals::check(&mut case, &ledger);
    limits::check(&mut case);
    case.broken
}

/// What is judged, and the judgement so far.
struct Case<'a> {
    plan: &'a Plan,
    facts: Facts<'a>,
    trouble: Trouble,
    broken: Vec<String>,
}

impl Case<'_> {
    fn broken(&mut self, sentence: String) {
        self.broken.push(sentence);
    }

    /// Whether it is one of ours, and not an ancestor or a program.
    fn is_ours(&self, process: usize) -> bool {
        process < self.plan.processes
    }

    /// Whether other programs are to make this key's value: they are under way without a lease of theirs.
    fn is_external(&self, key: usize) -> bool {
        let external = |does: &Does| matches!(does, Does::External { .. });
        let mut calls = self.plan.calls.iter();
        calls.any(|call| call.key == key && external(&call.does))
    }

    /// Whether somebody damages this key in a way that a call cannot mend: not with bytes that it computes again.
    fn is_blocked(&self, key: usize) -> bool {
        let garbage = |does| {
            matches!(
                does,
                Damage::Scribble | Damage::Litter | Damage::Shout(Channel::Notif)
            )
        };
        let mut vandals = self.plan.vandals.iter();
        vandals.any(|vandal| vandal.key == key && (self.plan.refuses || !garbage(vandal.does)))
    }

    /// Whether somebody damages this key.
    fn is_damaged(&self, key: usize) -> bool {
        self.plan.vandals.iter().any(|vandal| vandal.key == key)
    }
}
