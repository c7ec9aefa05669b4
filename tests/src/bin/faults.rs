//! `cargo xtask faults`: plays the faults whose names contain one of the arguments, or all, over every adapter, and
//! prints the table.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use memolock_tests::faults::{Fault, Table, faults, play};
use tokio::task::JoinSet;

#[tokio::main]
async fn main() -> ExitCode {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    let is_wanted = |name: &str| wanted.is_empty() || wanted.iter().any(|w| name.contains(w));
    let faults: Vec<_> = faults().filter(|f| is_wanted(f.name)).collect();
    if faults.is_empty() {
        eprintln!("no fault has such a name");
        return ExitCode::from(2);
    }
    let (mut table, mut withstood) = (Table::default(), 0);
    for fault in &faults {
        eprintln!("{}: {}", fault.name, fault.what);
        withstood += usize::from(met(fault, &mut table).await);
    }
    println!(
        "{withstood} of {} faults withstood by every adapter that met them\n",
        faults.len()
    );
    println!("{table}");
    match withstood == faults.len() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

/// Every adapter meets the fault at once. Whether all of them stood it.
async fn met(fault: &'static Fault, table: &mut Table) -> bool {
    let program = std::env::current_exe().expect("this program has a path");
    let program = program.with_file_name("member");
    let mut playing = JoinSet::new();
    for (nth, adapter) in fault.place.adapters().iter().enumerate() {
        let program = program.clone();
        playing.spawn(async move { (nth, play(fault, *adapter, &program).await) });
    }
    let (mut rows, mut all) = (Vec::new(), true);
    while let Some(ended) = playing.join_next().await {
        match ended {
            Ok((nth, Ok(row))) => rows.push((nth, row)),
            Ok((_, Err(error))) => eprintln!("{} is not met: {error}", fault.name),
            // Its panic has said why.
            Err(_) => all = false,
        }
    }
    rows.sort_by_key(|(nth, _)| *nth);
    rows.iter().for_each(|(_, row)| table.add(row));
    all
}
