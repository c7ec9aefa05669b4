//! What only this adapter does: finding out by itself whether a subscription stands.
