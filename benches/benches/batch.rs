//! Many ids at once: as many calls side by side, and the raw client's MGET.

fn main() {}
