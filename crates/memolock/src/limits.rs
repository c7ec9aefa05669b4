//! LeaseLimits of a call: which make sense together.

use std::time::Duration;

use crate::shared::Terms;

/// Says what is wrong with the limits of a call, in one line, where leases have that length.
pub(crate) fn check(terms: &Terms, lease: Duration) -> Result<(), String> {
    if terms.compute_timeout.is_some_and(|limit| limit.is_zero()) {
        return Err("a compute_timeout of zero: nothing could be computed".into());
    }
    let max_lease = terms.limits.max_lease;
    if max_lease < lease {
        return Err(format!(
            "a max_lease of {max_lease:?}: at least the lease, which is {lease:?}"
        ));
    }
    Ok(())
}
