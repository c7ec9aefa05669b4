//! The chores of this workspace: `cargo xtask help` lists them.

mod bench;
mod ci;
mod conformance;
mod faults;
mod fuzz;
mod help;
mod image;
mod interop;
mod languages;
mod machine;
mod model;
mod mutants;
mod paths;
mod postgres;
mod releases;
mod run;
mod shuttle;
mod simulate;
mod soak;
mod test;
mod tidy;

use std::process::ExitCode;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let (chore, rest) = match args.split_first() {
        Some((chore, rest)) => (chore.as_str(), rest),
        None => ("help", &[][..]),
    };
    let done = match chore {
        "test" => test::run(rest),
        "ci" => ci::run(rest),
        "tidy" => tidy::run(rest),
        "conformance" => conformance::run(rest),
        "fuzz" => fuzz::run(rest),
        "shuttle" => shuttle::run(rest),
        "faults" => faults::run(rest),
        "image" => image::run(rest),
        "model" => model::run(rest),
        "simulate" => simulate::run(rest),
        "mutants" => mutants::run(rest),
        "interop" => interop::run(rest),
        "languages" => languages::run(rest),
        "soak" => soak::run(rest),
        "bench" => bench::bench(rest),
        "report" => bench::report(rest),
        "fanout" => bench::fanout(rest),
        "paths" => paths::run(rest),
        "postgres" => postgres::run(rest),
        "help" | "--help" | "-h" => {
            print!("{}", help::TEXT);
            return ExitCode::SUCCESS;
        }
        unknown => {
            eprint!("there is no chore `{unknown}`\n\n{}", help::TEXT);
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.is::<help::Usage>() => {
            eprint!("{error}\n\n{}", help::TEXT);
            ExitCode::from(2)
        }
        Err(error) => {
            eprintln!("xtask {chore}: {error:#}");
            ExitCode::FAILURE
        }
    }
}
