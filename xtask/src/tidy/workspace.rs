//! The workspace as cargo sees it.

use std::path::PathBuf;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::run::{capture, cargo};

/// All members, sorted by name.
#[derive(Debug, Default)]
pub(crate) struct Workspace {
    pub(crate) root: PathBuf,
    /// Where cargo builds.
    pub(crate) target: PathBuf,
    pub(crate) packages: Vec<Package>,
}

/// One member, as far as the checks want to know it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Package {
    pub(crate) name: String,
    /// Its directory, relative to the root, with `/`.
    pub(crate) dir: String,
    pub(crate) published: bool,
    pub(crate) features: Vec<String>,
    pub(crate) dependencies: Vec<Dependency>,
    pub(crate) description: Option<String>,
    pub(crate) license: Option<String>,
    pub(crate) repository: Option<String>,
    pub(crate) readme: Option<String>,
    pub(crate) rust_version: Option<String>,
    pub(crate) keywords: usize,
    pub(crate) categories: usize,
}

/// A dependency on whatever crate.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Dependency {
    pub(crate) name: String,
    pub(crate) dev: bool,
    pub(crate) optional: bool,
    /// `*` where a path stands alone.
    pub(crate) requirement: String,
}

impl Workspace {
    pub(crate) fn load() -> Result<Self> {
        let json = capture(&mut cargo(&[
            "metadata",
            "--no-deps",
            "--format-version",
            "1",
        ]))?;
        Self::parse(&json)
    }

    fn parse(json: &str) -> Result<Self> {
        let metadata: Value = serde_json::from_str(json).context("cargo metadata is not JSON")?;
        let root = text(&metadata, "workspace_root").context("cargo metadata names no root")?;
        let packages = items(&metadata, "packages");
        let mut packages: Vec<_> = packages
            .iter()
            .map(|value| Package::read(value, &root))
            .collect();
        packages.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(Self {
            root: root.into(),
            target: text(&metadata, "target_directory")
                .context("cargo metadata names no target directory")?
                .into(),
            packages,
        })
    }

    /// Members that users can depend on.
    pub(crate) fn published(&self) -> impl Iterator<Item = &Package> {
        self.packages.iter().filter(|package| package.published)
    }

    pub(crate) fn is_member(&self, name: &str) -> bool {
        self.packages.iter().any(|package| package.name == name)
    }
}

impl Package {
    fn read(value: &Value, root: &str) -> Self {
        let manifest = text(value, "manifest_path")
            .unwrap_or_default()
            .replace('\\', "/");
        let dir = manifest.strip_prefix(root).unwrap_or(&manifest);
        let dir = dir
            .trim_start_matches('/')
            .trim_end_matches("Cargo.toml")
            .trim_end_matches('/');
        let features = value.get("features").and_then(Value::as_object);
        Self {
            name: text(value, "name").unwrap_or_default(),
            dir: dir.to_owned(),
            // `publish = false` is an empty list of registries.
            published: value.get("publish").is_none_or(Value::is_null),
            features: features
                .map(|map| map.keys().cloned().collect())
                .unwrap_or_default(),
            dependencies: items(value, "dependencies")
                .iter()
                .map(Dependency::read)
                .collect(),
            description: text(value, "description"),
            license: text(value, "license"),
            repository: text(value, "repository"),
            readme: text(value, "readme"),
            rust_version: text(value, "rust_version"),
            keywords: items(value, "keywords").len(),
            categories: items(value, "categories").len(),
        }
    }

    pub(crate) fn manifest(&self) -> String {
        format!("{}/Cargo.toml", self.dir)
    }
}

impl Dependency {
    fn read(value: &Value) -> Self {
        Self {
            name: text(value, "name").unwrap_or_default(),
            dev: text(value, "kind").as_deref() == Some("dev"),
            optional: value
                .get("optional")
                .and_then(Value::as_bool)
                .unwrap_or_default(),
            requirement: text(value, "req").unwrap_or_default(),
        }
    }
}

fn text(value: &Value, name: &str) -> Option<String> {
    value.get(name).and_then(Value::as_str).map(str::to_owned)
}

fn items<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    value
        .get(name)
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_is_read() {
        let json = r#"{"workspace_root": "/w", "target_directory": "/w/target", "packages": [
            {"name": "b", "manifest_path": "/w/tests/Cargo.toml", "publish": [], "dependencies": []},
            {"name": "a", "manifest_path": "/w/crates/a/Cargo.toml", "publish": null,
             "features": {"default": ["x"], "x": []}, "keywords": ["k"], "license": "MIT",
             "dependencies": [{"name": "c", "kind": "dev", "optional": false, "req": "^1"}]}]}"#;
        let workspace = Workspace::parse(json).unwrap();
        let [a, b] = &workspace.packages[..] else {
            panic!("{workspace:?}");
        };
        assert_eq!(
            (a.manifest().as_str(), b.dir.as_str()),
            ("crates/a/Cargo.toml", "tests")
        );
        assert_eq!(a.features, ["default", "x"]);
        assert!(a.published && !b.published && a.dependencies[0].dev);
        assert_eq!(workspace.published().count(), 1);
    }
}
