//! What each format cannot carry: every row of the README's table, run.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt::Write;

use memolock_codec::{Bincode, Codec, Json, MsgPack, Postcard, check_round_trip};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

const README: &str = include_str!("../../README.md");

#[derive(Serialize, Deserialize)]
struct Node {
    next: Option<Box<Node>>,
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Untagged {
    Small(u8),
    Text(String),
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Wide {
    Number(u128),
    Text(String),
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "kind")]
enum Tagged {
    Plain { name: String },
    Wide { number: u128 },
    ByNumber { names: BTreeMap<u32, String> },
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "kind", content = "of")]
enum Adjacent {
    Plain { name: String },
}

#[derive(Serialize, Deserialize)]
struct Flat {
    name: String,
    #[serde(flatten)]
    more: BTreeMap<String, u32>,
}

#[derive(Serialize, Deserialize)]
struct Skipping {
    #[serde(skip_serializing_if = "Option::is_none", default)]
    first: Option<u8>,
    second: u8,
}

fn nested(levels: usize) -> Node {
    (0..levels).fold(Node { next: None }, |node, _| Node {
        next: Some(Box::new(node)),
    })
}

/// What becomes of a value.
fn fate<T, C: Codec<T>>(codec: &C, value: &T) -> &'static str {
    let Ok(bytes) = codec.encode(value) else {
        return "refused";
    };
    match check_round_trip(codec, value, &bytes) {
        Ok(()) => "yes",
        Err(why) if why.contains("does not read it back") => "**unreadable**",
        Err(why) => {
            assert!(why.contains("another value"), "{why}");
            "**changed**"
        }
    }
}

fn row<T: Serialize + DeserializeOwned>(table: &mut String, what: &str, value: &T) {
    let fates = [
        fate(&Json, value),
        fate(&MsgPack, value),
        fate(&Postcard, value),
        fate(&Bincode, value),
    ];
    // Writing to a string does not fail.
    let _ = writeln!(table, "| {what} | {} |", fates.join(" | "));
}

fn table() -> String {
    let mut table = String::from(
        "| value | `Json` | `MsgPack` | `Postcard` | `Bincode` |\n|---|---|---|---|---|\n",
    );
    let t = &mut table;
    let text = || String::from("a");
    row(
        t,
        "`HashMap`, `HashSet`",
        &(0..50)
            .map(|n| (n, HashSet::from([n, 1, 2])))
            .collect::<HashMap<u32, _>>(),
    );
    row(t, "NaN and the infinities", &[f64::NAN, f64::INFINITY]);
    row(t, "the same in an `Option`", &Some(f64::NAN));
    row(t, "`Some(None)`", &Some(None::<u8>));
    row(t, "`Some(())`", &Some(()));
    row(t, "100 levels of nesting", &nested(50));
    row(t, "300 levels of nesting", &nested(150));
    row(t, "`u128`", &u128::MAX);
    row(t, "`u128` in an untagged enum", &Wide::Number(5));
    row(
        t,
        "`u128` in a tagged enum",
        &Tagged::Wide { number: u128::MAX },
    );
    row(
        t,
        "a map with integers as keys",
        &BTreeMap::from([(1_u32, text())]),
    );
    row(
        t,
        "the same in a tagged enum",
        &Tagged::ByNumber {
            names: BTreeMap::from([(1, text())]),
        },
    );
    row(
        t,
        "a map with tuples as keys",
        &BTreeMap::from([((1, 2), text())]),
    );
    row(t, "an untagged enum", &Untagged::Small(5));
    row(t, "a text in an untagged enum", &Untagged::Text(text()));
    row(t, "a tagged enum (`tag`)", &Tagged::Plain { name: text() });
    row(
        t,
        "a tagged enum (`tag`, `content`)",
        &Adjacent::Plain { name: text() },
    );
    row(
        t,
        "`flatten`",
        &Flat {
            name: text(),
            more: BTreeMap::from([(text(), 1)]),
        },
    );
    row(
        t,
        "`skip_serializing_if`",
        &Skipping {
            first: None,
            second: 7,
        },
    );
    row(
        t,
        "`serde_json::Value`",
        &serde_json::json!({"a": [1, null, "b"]}),
    );
    table
}

#[test]
fn the_readme_says_what_each_format_cannot_carry() {
    let table = table();
    assert!(
        README.contains(&table),
        "the README's table should be:\n{table}"
    );
}

/// `Wide::Number(5)` over MessagePack is sixteen bytes, which are a text too.
#[test]
fn a_number_that_comes_back_as_a_text_is_found() {
    let value = Wide::Number(5);
    let bytes = MsgPack.encode(&value).unwrap();
    let read: Wide = MsgPack.decode(&bytes).unwrap();
    assert!(matches!(read, Wide::Text(_)));
    let why = check_round_trip(&MsgPack, &value, &bytes).unwrap_err();
    assert!(why.contains("another value"), "{why}");
}
