//! Every target but the one that measures memory, over its corpus and mutations of it.

use memolock_fuzzing::{corpus, events, machine, names, replies, urls};

#[test]
fn r8_events_over_channels() {
    corpus::run("events", events);
}

#[test]
fn r8_inputs_of_the_machine_in_any_order() {
    corpus::run("machine", machine);
}

#[test]
fn names_of_tags_and_ids() {
    corpus::run("names", names);
}

#[test]
fn r8_replies_of_servers() {
    corpus::run("replies", replies);
}

#[test]
fn urls_of_servers() {
    corpus::run("urls", urls);
}
