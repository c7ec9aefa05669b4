//! Where the examples are: cargo is asked to build them, which it has done already as a rule.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;

/// The program of an example.
pub(crate) fn example(name: &str) -> &'static Path {
    static BUILT: LazyLock<HashMap<String, PathBuf>> = LazyLock::new(build);
    let built = BUILT.get(name);
    built.unwrap_or_else(|| panic!("there is no example `{name}`"))
}

fn build() -> HashMap<String, PathBuf> {
    let output = Command::new(env!("CARGO"))
        // As the workspace's tests are built, so that nothing is built twice.
        .args(["build", "--workspace", "--examples"])
        .args(["--all-features", "--message-format=json"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    assert!(output.status.success(), "the examples do not build");
    let text = String::from_utf8(output.stdout).unwrap();
    let messages = text.lines().map(serde_json::from_str::<serde_json::Value>);
    let programs = messages.filter_map(|message| {
        let message = message.unwrap();
        let program = message["executable"].as_str()?.into();
        Some((message["target"]["name"].as_str()?.to_owned(), program))
    });
    programs.collect()
}
