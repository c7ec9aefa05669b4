//! The examples do what they say: each is built and run as it stands.

#![allow(clippy::unwrap_used)]

mod built;
mod short;
mod stemmer;
mod web;
mod website;
