//! The tables: what completions cost each node, and what a fleet does.

use std::fmt::Write;

use super::Fanout;
use super::census::Calls;
use super::completions::{BYTES, Completions};
use super::fleet::Fleet;

/// Header and frame of one message of the bus in Redis 7.0: 2,256 bytes, of which 2,048 are the sender's slots, and two lengths.
const FRAME: usize = 2264;

pub(super) fn table(all: &Fanout) -> String {
    let mut text = all.machine.line() + "\n\n";
    let count = all.completions.first().map_or(0, |first| first.count);
    // Writing to a string does not fail.
    let _ = writeln!(
        text,
        "{count} completions of {BYTES} B, each with one waiter in another memolock\n"
    );
    let mut rows = vec![words(&[
        "masters",
        "replicas",
        "told",
        "node",
        "messages out",
        "in",
        "bus in kB",
        "gossip kB/s",
        "to clients kB",
        "from clients kB",
        "cpu ms",
    ])];
    rows.extend(all.completions.iter().flat_map(loads));
    text += &grid(&rows, &[2, 3]);
    let _ = writeln!(
        text,
        "\nmessages: those of the bus that carry a value (CLUSTER INFO). bus in: from peers, gossip included (ss); a \
         classic\nmessage is {FRAME} B, the channel and the value. gossip: the same cluster, idle. To and from clients: INFO.\n"
    );
    let mut rows = vec![words(&[
        "masters",
        "replicas",
        "told",
        "ms",
        "us an acquire granted",
        "refused",
        "us a fulfil",
        "cpu us to lead",
        "to wait",
        "to tell",
    ])];
    rows.extend(all.completions.iter().map(scripts));
    text += &grid(&rows, &[2]);
    text.push('\n');
    for fleet in &all.fleets {
        text += &herd(fleet);
    }
    if all.quick {
        text.push_str("A quick run: it shows that everything works, and little more.\n");
    }
    text
}

fn loads(run: &Completions) -> Vec<Vec<String>> {
    let kilo = |bytes: u64| format!("{:.1}", bytes as f64 / 1e3);
    let maybe = |bytes: Option<u64>| bytes.map_or("-".to_owned(), kilo);
    let nodes = run.nodes.iter().enumerate();
    nodes
        .map(|(at, load)| {
            let node = match at < run.masters {
                true => format!("master {}", at + 1),
                false => format!("replica {}", at + 1 - run.masters),
            };
            vec![
                run.masters.to_string(),
                run.replicas.to_string(),
                run.way.to_owned(),
                node,
                load.messages.sent().to_string(),
                load.messages.received().to_string(),
                maybe(load.bus),
                maybe(load.gossip),
                kilo(load.sent),
                kilo(load.received),
                format!("{:.1}", load.cpu as f64 / 1e3),
            ]
        })
        .collect()
}

fn scripts(run: &Completions) -> Vec<String> {
    let mut row = vec![
        run.masters.to_string(),
        run.replicas.to_string(),
        run.way.to_owned(),
        format!("{:.0}", run.millis),
    ];
    let micros = run.scripts.into_iter().chain(run.cpu);
    row.extend(micros.map(|micros| format!("{micros:.1}")));
    row
}

fn herd(fleet: &Fleet) -> String {
    let Fleet {
        processes,
        keys,
        masters,
        way,
        computes,
        commands,
        busiest,
        millis,
        ..
    } = fleet;
    let each = *commands as f64 / f64::from(*processes);
    let mut text = format!(
        "{processes} processes, each of which wants each of {keys} keys at once; {masters} masters, {way} notifications\n\
         {computes} computes; {commands} commands, {each:.0} a process ({:.2} for each key), {busiest} by the busiest; \
         {millis:.0} ms, of which 500 are the compute\n\n",
        each / f64::from(*keys),
    );
    let mut rows = vec![words(&[
        "node",
        "connections",
        "kB each",
        "kB each, herd",
        "subscriptions",
        "calls",
        "cpu ms",
        "to clients kB",
        "from clients kB",
    ])];
    for (at, host) in fleet.nodes.iter().enumerate() {
        let memory = |bytes: u64, of: u64| format!("{:.1}", bytes as f64 / of.max(1) as f64 / 1e3);
        let calls: u64 = host.calls.iter().map(|(_, call)| call.calls).sum();
        rows.push(vec![
            format!("master {}", at + 1),
            host.idle.connections.to_string(),
            memory(host.idle.bytes, host.idle.connections),
            memory(host.peak.bytes, host.peak.connections),
            host.peak.subscriptions.to_string(),
            calls.to_string(),
            format!("{:.1}", host.cpu as f64 / 1e3),
            format!("{:.0}", host.sent as f64 / 1e3),
            format!("{:.0}", host.received as f64 / 1e3),
        ]);
    }
    text += &grid(&rows, &[0]);
    let sum = Calls::sum(fleet.nodes.iter().map(|host| &host.calls));
    let mut calls: Vec<_> = sum.iter().collect();
    calls.sort_by_key(|(_, call)| std::cmp::Reverse(call.micros));
    let mut rows = vec![words(&["command", "calls", "us each", "us a key"])];
    rows.extend(calls.into_iter().map(|(name, call)| {
        vec![
            name.to_owned(),
            call.calls.to_string(),
            format!("{:.2}", call.each().as_secs_f64() * 1e6),
            format!("{:.2}", call.micros as f64 / f64::from(*keys)),
        ]
    }));
    text.push('\n');
    text + &grid(&rows, &[0]) + "evalsha holds what its script calls, which is listed too.\n\n"
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// A head, a rule and rows; the columns of `left` stand to the left.
fn grid(rows: &[Vec<String>], left: &[usize]) -> String {
    let columns = rows.first().map_or(0, Vec::len);
    let widest = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
    let widths: Vec<_> = (0..columns)
        .map(|column| widest(column).unwrap_or(0))
        .collect();
    let mut text = String::new();
    for (number, row) in rows.iter().enumerate() {
        let cells = row.iter().zip(&widths).enumerate();
        let cells: Vec<_> = cells
            .map(|(column, (cell, width))| match left.contains(&column) {
                true => format!("{cell:<width$}"),
                false => format!("{cell:>width$}"),
            })
            .collect();
        text += cells.join("  ").trim_end();
        text.push('\n');
        if number == 0 {
            let rules: Vec<_> = widths.iter().map(|width| "-".repeat(*width)).collect();
            text += &rules.join("  ");
            text.push('\n');
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest() {
        let rows = [words(&["node", "calls"]), words(&["master 1", "7"])];
        let text = "node      calls\n--------  -----\nmaster 1      7\n";
        assert_eq!(grid(&rows, &[0]), text);
        assert_eq!(grid(&[], &[]), "");
    }
}
