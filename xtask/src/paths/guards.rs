//! What the hot paths may cost: a file of limits, and whether a count keeps to them.

use std::fmt::{self, Write as _};

use anyhow::{Context, Result, bail};

/// Counts differ by this much from run to run, for hashes are seeded at random.
const NOISE_PERCENT: f64 = 2.0;

/// And by this many from build to build: how many instructions comparing and copying take depends on where in memory
/// things lie. It matters to the shortest path alone.
const LAYOUT: f64 = 24.0;

/// What one walk of a path costs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Cost {
    /// Instructions, the process's start aside.
    pub(crate) instructions: f64,
    /// Allocations; not whole where many walks share one.
    pub(crate) allocations: f64,
}

/// A path and what it may cost.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Guard {
    pub(crate) path: String,
    pub(crate) cost: Cost,
}

/// The limits, and the compiler under which they were counted: another one makes other instructions.
#[derive(Debug, Default, Clone, PartialEq)]
pub(crate) struct Guards {
    pub(crate) compiler: String,
    pub(crate) guards: Vec<Guard>,
}

/// How a count compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Kept,
    /// It costs less: the limit can come down.
    Better,
    Broken,
    /// There is no limit yet, and so nothing is guarded.
    New,
    /// Counted under another compiler: allocations are judged, instructions are not.
    Unjudged,
}

impl Guards {
    pub(crate) fn read(text: &str) -> Result<Self> {
        let mut guards = Self::default();
        let lines = text.lines().map(str::trim).enumerate();
        for (nth, line) in lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#')) {
            let at = || format!("line {}: `{line}`", nth + 1);
            match line.split_whitespace().collect::<Vec<_>>()[..] {
                ["compiler", ref words @ ..] => guards.compiler = words.join(" "),
                [path, instructions, allocations] => guards.guards.push(Guard {
                    path: path.to_owned(),
                    cost: Cost {
                        instructions: instructions.parse().with_context(at)?,
                        allocations: allocations.parse().with_context(at)?,
                    },
                }),
                _ => bail!("{}: wants a path, instructions and allocations", at()),
            }
        }
        Ok(guards)
    }

    pub(crate) fn write(&self) -> String {
        let mut text = String::from(
            "# What one walk down each hot path may cost: path, instructions, allocations.\n\
             # Checked by `cargo xtask paths`; written by `cargo xtask paths --write` after a change that is meant.\n",
        );
        // Writing to a string does not fail.
        let _ = writeln!(text, "compiler {}", self.compiler);
        for Guard { path, cost } in &self.guards {
            let (instructions, allocations) = (cost.instructions, cost.allocations);
            let _ = writeln!(text, "{path} {instructions:.0} {allocations:.2}");
        }
        text
    }

    pub(crate) fn judge(&self, compiler: &str, path: &str, cost: Cost) -> Verdict {
        let Some(Guard { cost: limit, .. }) = self.guards.iter().find(|g| g.path == path) else {
            return Verdict::New;
        };
        // As they are written.
        if cost.allocations > limit.allocations + 0.005 {
            return Verdict::Broken;
        }
        if compiler != self.compiler {
            return Verdict::Unjudged;
        }
        let noise = (limit.instructions * NOISE_PERCENT / 100.0).max(LAYOUT);
        match cost.instructions - limit.instructions {
            more if more > noise => Verdict::Broken,
            more if more < -2.0 * noise => Verdict::Better,
            _ => Verdict::Kept,
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Kept => "kept",
            Self::Better => "better",
            Self::Broken => "BROKEN",
            Self::New => "NO LIMIT",
            Self::Unjudged => "other compiler",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# words\ncompiler rustc 1.2.3 (abc)\n\nhit 1000 7.00\njoin 500 1.02\n";

    fn cost(instructions: f64, allocations: f64) -> Cost {
        Cost {
            instructions,
            allocations,
        }
    }

    #[test]
    fn a_file_is_read_as_it_was_written() {
        let guards = Guards::read(TEXT).unwrap();
        assert_eq!(guards.compiler, "rustc 1.2.3 (abc)");
        assert_eq!(guards.guards[1].cost, cost(500.0, 1.02));
        assert_eq!(Guards::read(&guards.write()).unwrap(), guards);
    }

    #[test]
    fn a_wrong_line_is_named() {
        let error = Guards::read("compiler x\nhit many 7").unwrap_err();
        assert!(format!("{error:#}").starts_with("line 2: `hit many 7`"));
        assert!(Guards::read("hit 7").is_err());
    }

    #[test]
    fn more_is_broken_and_noise_is_not() {
        let guards = Guards::read(TEXT).unwrap();
        let judge = |cost| guards.judge("rustc 1.2.3 (abc)", "hit", cost);
        assert_eq!(judge(cost(1024.0, 7.0)), Verdict::Kept);
        assert_eq!(judge(cost(1030.0, 7.0)), Verdict::Broken);
        assert_eq!(judge(cost(900.0, 7.0)), Verdict::Better);
        assert_eq!(judge(cost(900.0, 8.0)), Verdict::Broken);
    }

    #[test]
    fn another_compiler_is_not_held_to_instructions() {
        let guards = Guards::read(TEXT).unwrap();
        let judge = |path, cost| guards.judge("rustc 9", path, cost);
        assert_eq!(judge("hit", cost(5000.0, 7.0)), Verdict::Unjudged);
        assert_eq!(judge("hit", cost(5000.0, 7.5)), Verdict::Broken);
        assert_eq!(judge("miss", cost(1.0, 1.0)), Verdict::New);
    }
}
