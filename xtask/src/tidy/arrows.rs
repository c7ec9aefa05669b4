//! Who may depend on whom: the arrows of the architecture, which point one way.

use super::Complaint;
use super::workspace::{Dependency, Package, Workspace};

/// What one crate may use of the workspace.
struct Rule {
    name: &'static str,
    /// Always.
    uses: &'static [&'static str],
    /// Only as an optional dependency: a feature chooses it.
    chooses: &'static [&'static str],
    /// Its tests, besides.
    tests_use: &'static [&'static str],
}

const CORE: &str = "memolock-core";
const REDIS: &str = "memolock-redis-common";
const ADAPTERS: &[&str] = &[
    "memolock-memory",
    "memolock-redis-rs",
    "memolock-fred",
    "memolock-postgres",
];
const KIT: &[&str] = &["memolock-testkit"];
/// Top crates: whatever is below them.
const EVERYTHING: &[&str] = &[
    "memolock",
    CORE,
    REDIS,
    "memolock-codec",
    "memolock-memory",
    "memolock-redis-rs",
    "memolock-fred",
    "memolock-postgres",
    "memolock-testkit",
];

const RULES: [Rule; 16] = [
    Rule {
        name: CORE,
        uses: &[],
        chooses: &[],
        tests_use: &[],
    },
    Rule {
        name: "memolock-codec",
        uses: &[CORE],
        chooses: &[],
        tests_use: &[],
    },
    // What adapters for Redis share above their clients: it has timers and tasks, which the core has not.
    Rule {
        name: REDIS,
        uses: &[CORE],
        chooses: &[],
        tests_use: &[],
    },
    Rule {
        name: "memolock-memory",
        uses: &[CORE],
        chooses: &[],
        tests_use: KIT,
    },
    Rule {
        name: "memolock-redis-rs",
        uses: &[CORE, REDIS],
        chooses: &[],
        tests_use: KIT,
    },
    Rule {
        name: "memolock-fred",
        uses: &[CORE, REDIS],
        chooses: &[],
        tests_use: KIT,
    },
    Rule {
        name: "memolock-postgres",
        uses: &[CORE],
        chooses: &[],
        tests_use: KIT,
    },
    // Its own tests run the suite against the reference.
    Rule {
        name: "memolock-testkit",
        uses: &[CORE],
        chooses: &[],
        tests_use: &["memolock-memory"],
    },
    Rule {
        name: "memolock",
        uses: &[CORE, "memolock-codec"],
        chooses: ADAPTERS,
        tests_use: EVERYTHING,
    },
    Rule {
        name: "memolock-cli",
        uses: &["memolock"],
        chooses: &[],
        tests_use: KIT,
    },
    Rule {
        name: "memolock-tests",
        uses: EVERYTHING,
        chooses: &[],
        tests_use: EVERYTHING,
    },
    // What others can put before us: bytes, names, and the machine's inputs.
    Rule {
        name: "memolock-fuzzing",
        uses: &[CORE, "memolock-codec"],
        chooses: &[],
        tests_use: &[],
    },
    // What is simulated is what ships, and nothing beside it.
    Rule {
        name: "memolock-sim",
        uses: &["memolock"],
        chooses: &[],
        tests_use: &[],
    },
    Rule {
        name: "memolock-paths",
        uses: &["memolock"],
        chooses: &[],
        tests_use: &[],
    },
    Rule {
        name: "memolock-benches",
        uses: EVERYTHING,
        chooses: &[],
        tests_use: EVERYTHING,
    },
    Rule {
        name: "xtask",
        uses: &[],
        chooses: &[],
        tests_use: &[],
    },
];

pub(super) fn check(workspace: &Workspace) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    for package in &workspace.packages {
        let Some(rule) = RULES.iter().find(|rule| rule.name == package.name) else {
            let message =
                "this crate has no place in the house: give it one in xtask/src/tidy/arrows.rs";
            complaints.push(Complaint::new(&package.manifest(), 1, message));
            continue;
        };
        let inside = package
            .dependencies
            .iter()
            .filter(|dep| workspace.is_member(&dep.name));
        complaints.extend(inside.filter_map(|dep| arrow(package, rule, dep)));
    }
    complaints
}

fn arrow(package: &Package, rule: &Rule, dependency: &Dependency) -> Option<Complaint> {
    let name = dependency.name.as_str();
    let tested = dependency.dev && rule.tests_use.contains(&name);
    let may_choose = rule.chooses.contains(&name);
    let chosen = may_choose && (dependency.optional || dependency.dev);
    if rule.uses.contains(&name) || tested || chosen {
        return None;
    }
    let message = if may_choose {
        format!(
            "{} may use {name} only as an optional dependency",
            package.name
        )
    } else if dependency.dev {
        format!(
            "tests of {} may not use {name}: it is above them",
            package.name
        )
    } else {
        let allowed = match rule.uses {
            [] => "nothing of this workspace".to_owned(),
            uses => uses.join(", "),
        };
        format!(
            "{} may not depend on {name}, only on {allowed}",
            package.name
        )
    };
    Some(Complaint::new(&package.manifest(), 1, message))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str, uses: &[(&str, &str)]) -> Package {
        let dependency = |(name, kind): &(&str, &str)| Dependency {
            name: (*name).into(),
            dev: *kind == "dev",
            optional: *kind == "optional",
            ..Dependency::default()
        };
        Package {
            name: name.into(),
            dir: format!("crates/{name}"),
            dependencies: uses.iter().map(dependency).collect(),
            ..Package::default()
        }
    }

    fn said(name: &str, uses: &[(&str, &str)]) -> Vec<String> {
        let names = RULES
            .iter()
            .map(|rule| rule.name)
            .filter(|other| *other != name);
        let mut packages: Vec<_> = names.map(|name| package(name, &[])).collect();
        packages.push(package(name, uses));
        let workspace = Workspace {
            packages,
            ..Workspace::default()
        };
        check(&workspace).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_house_as_drawn_is_fine() {
        assert_eq!(
            said(
                "memolock-fred",
                &[(CORE, ""), ("fred", ""), ("memolock-testkit", "dev")]
            ),
            [""; 0]
        );
        assert_eq!(
            said(
                "memolock",
                &[
                    (CORE, ""),
                    ("memolock-codec", ""),
                    ("memolock-fred", "optional")
                ]
            ),
            [""; 0]
        );
        assert_eq!(said("memolock-cli", &[("memolock", "")]), [""; 0]);
    }

    #[test]
    fn an_arrow_that_points_up_is_named() {
        let found = said("memolock-fred", &[("memolock", "")]);
        assert_eq!(
            found,
            [
                "crates/memolock-fred/Cargo.toml:1: memolock-fred may not depend on memolock, only on memolock-core, memolock-redis-common"
            ]
        );
        assert!(
            said(CORE, &[("memolock-codec", "")])[0].contains("only on nothing of this workspace")
        );
        assert!(said(CORE, &[("memolock-memory", "dev")])[0].contains("it is above them"));
        assert_eq!(said("memolock-cli", &[("memolock-redis-rs", "")]).len(), 1);
        assert_eq!(said("xtask", &[(CORE, "")]).len(), 1);
    }

    #[test]
    fn an_adapter_is_a_choice() {
        let found = said("memolock", &[("memolock-redis-rs", "")]);
        assert!(
            found[0].contains("only as an optional dependency"),
            "{found:?}"
        );
    }

    #[test]
    fn a_crate_without_a_place_is_named() {
        let found = said("memolock-newcomer", &[]);
        assert!(found[0].contains("no place in the house"), "{found:?}");
    }
}
