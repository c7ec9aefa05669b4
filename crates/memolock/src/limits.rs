//! The limits of a lease that a call may set: which make sense together.

use std::time::Duration;

use crate::shared::Terms;

/// In less nothing is computed.
const SHORTEST: Duration = Duration::from_millis(1);

/// Says what is wrong with the limits of a call, in one line, where leases have that length.
pub(crate) fn check(terms: &Terms, lease: Duration) -> Result<(), String> {
    let (limit, least) = (terms.compute_timeout, SHORTEST);
    if let Some(limit) = limit.filter(|limit| *limit < least) {
        return Err(format!("compute_timeout is {limit:?}: at least {least:?}"));
    }
    let max_lease = terms.limits.max_lease;
    if max_lease < lease {
        return Err(format!(
            "max_lease is {max_lease:?}: at least the lease, {lease:?}"
        ));
    }
    Ok(())
}
