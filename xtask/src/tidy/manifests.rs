//! Rules for manifests: one set of lints and versions for all, and what a registry wants to know.

use super::workspace::{Package, Workspace};
use super::{Complaint, Source};

/// Registries take no more.
const MOST_KEYWORDS: usize = 5;

pub(super) fn check(workspace: &Workspace, files: &[Source]) -> Vec<Complaint> {
    let text = |path: &str| {
        files
            .iter()
            .find(|file| file.path == path)
            .map(|file| file.text.as_str())
    };
    let mut complaints = Vec::new();
    for package in &workspace.packages {
        let manifest = package.manifest();
        let written = text(&manifest).unwrap_or_default();
        let mut say = |message: String| complaints.push(Complaint::new(&manifest, 1, message));
        if !shares_lints(written) {
            say("`[lints] workspace = true` is missing: lints are set in one place".into());
        }
        if package.rust_version.is_none() {
            say("`rust-version.workspace = true` is missing".into());
        }
        if package.published {
            missing(package).into_iter().for_each(&mut say);
            let readme = package
                .readme
                .as_ref()
                .map(|name| format!("{}/{name}", package.dir));
            let has_readme =
                readme.is_some_and(|path| text(&path).is_some_and(|text| !text.trim().is_empty()));
            let root = ["lib.rs", "main.rs"].map(|name| format!("{}/src/{name}", package.dir));
            let has_docs = root
                .iter()
                .any(|path| text(path).is_some_and(|text| text.starts_with("//!")));
            if !has_readme && !has_docs {
                say("neither a README nor crate documentation: say what the crate is for".into());
            }
            for dep in package.dependencies.iter().filter(|dep| !dep.dev) {
                let member = workspace
                    .packages
                    .iter()
                    .find(|other| other.name == dep.name);
                if member.is_some_and(|member| !member.published) {
                    say(format!(
                        "it is published and depends on {}, which is not",
                        dep.name
                    ));
                }
                if dep.requirement == "*" {
                    say(format!(
                        "the dependency {} has no version, so this cannot be published",
                        dep.name
                    ));
                }
            }
        }
    }
    complaints
}

fn shares_lints(manifest: &str) -> bool {
    let mut lines = manifest.lines().map(str::trim);
    lines.any(|line| line == "[lints]")
        && lines.find(|line| !line.is_empty()) == Some("workspace = true")
}

/// What a published crate must say about itself.
fn missing(package: &Package) -> Vec<String> {
    let fields = [
        ("description", &package.description),
        ("license", &package.license),
        ("repository", &package.repository),
    ];
    let empty = |value: &Option<String>| value.as_deref().unwrap_or_default().trim().is_empty();
    let mut complaints: Vec<_> = fields
        .into_iter()
        .filter(|(_, value)| empty(value))
        .map(|(name, _)| format!("`{name}` is missing"))
        .collect();
    for (name, count) in [
        ("keywords", package.keywords),
        ("categories", package.categories),
    ] {
        if !(1..=MOST_KEYWORDS).contains(&count) {
            complaints.push(format!("{count} {name}: give 1 to {MOST_KEYWORDS}"));
        }
    }
    complaints
}

#[cfg(test)]
mod tests {
    use super::super::workspace::Dependency;
    use super::*;

    const MANIFEST: &str = "[package]\n\n[lints]\nworkspace = true\n";

    fn good() -> Package {
        let some = || Some("x".to_owned());
        Package {
            name: "a".into(),
            dir: "crates/a".into(),
            published: true,
            description: some(),
            license: some(),
            repository: some(),
            rust_version: some(),
            keywords: 1,
            categories: 1,
            ..Package::default()
        }
    }

    fn said(package: Package, manifest: &str, lib: &str) -> Vec<String> {
        let private = Package {
            name: "tests".into(),
            dir: "tests".into(),
            published: false,
            ..good()
        };
        let workspace = Workspace {
            packages: vec![package, private],
            ..Workspace::default()
        };
        let file = |path: &str, text: &str| Source {
            path: path.into(),
            text: text.into(),
        };
        let files = [
            file("crates/a/Cargo.toml", manifest),
            file("crates/a/src/lib.rs", lib),
            file("crates/a/README.md", ""),
            file("tests/Cargo.toml", MANIFEST),
        ];
        check(&workspace, &files)
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    fn one(package: Package) -> String {
        let mut all = said(package, MANIFEST, "//! A.\n");
        assert_eq!(all.len(), 1, "{all:?}");
        all.remove(0)
    }

    #[test]
    fn a_whole_manifest_is_fine() {
        assert_eq!(said(good(), MANIFEST, "//! A.\n"), [""; 0]);
    }

    #[test]
    fn lints_come_from_the_workspace() {
        for manifest in [
            "[package]\n",
            "[lints]\n[dependencies]\nworkspace = true\n",
            "[lints]\nworkspace = false\n",
        ] {
            let found = said(good(), manifest, "//! A.\n");
            assert_eq!(found.len(), 1, "{manifest}");
            assert!(
                found[0].starts_with("crates/a/Cargo.toml:1: `[lints] workspace = true`"),
                "{found:?}"
            );
        }
    }

    #[test]
    fn a_registry_gets_what_it_wants() {
        assert!(
            one(Package {
                description: Some(" ".into()),
                ..good()
            })
            .contains("`description`")
        );
        assert!(
            one(Package {
                license: None,
                ..good()
            })
            .contains("`license`")
        );
        assert!(
            one(Package {
                repository: None,
                ..good()
            })
            .contains("`repository`")
        );
        assert!(
            one(Package {
                rust_version: None,
                ..good()
            })
            .contains("`rust-version")
        );
        assert!(
            one(Package {
                keywords: 6,
                ..good()
            })
            .contains("6 keywords")
        );
        assert!(
            one(Package {
                categories: 0,
                ..good()
            })
            .contains("0 categories")
        );
    }

    #[test]
    fn a_crate_says_what_it_is_for() {
        let found = said(
            Package {
                readme: Some("README.md".into()),
                ..good()
            },
            MANIFEST,
            "mod a;\n",
        );
        assert!(found[0].contains("neither a README nor"), "{found:?}");
    }

    #[test]
    fn what_is_published_depends_on_what_is() {
        let on = |name: &str, requirement: &str| Package {
            dependencies: vec![Dependency {
                name: name.into(),
                requirement: requirement.into(),
                ..Dependency::default()
            }],
            ..good()
        };
        assert!(one(on("tests", "^1")).contains("depends on tests, which is not"));
        assert!(one(on("other", "*")).contains("no version"));
        assert_eq!(said(on("other", "^1"), MANIFEST, "//! A.\n"), [""; 0]);
    }
}
