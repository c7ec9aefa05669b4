//! Every format, within every wrapper, with sound and with hostile bytes.
#![allow(clippy::unwrap_used)]
#![cfg(all(
    feature = "json",
    feature = "msgpack",
    feature = "postcard",
    feature = "bincode",
    feature = "lz4",
    feature = "zstd"
))]

mod common;
mod depth;
mod golden;
mod hostile;
mod losses;
mod round_trips;
