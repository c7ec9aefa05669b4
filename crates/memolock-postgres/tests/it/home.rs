//! The files in `~/.postgresql` are used as libpq uses them, where the URL names none. The home is that of a child process.

use std::path::Path;
use std::process::Command;

use memolock_core::Backend;
use memolock_postgres::PgBackend;
use memolock_testkit::PgOptions;

use crate::common::{DEADLINE, is_there, key};
use crate::pki::Authority;
use crate::secure::Secure;

/// Where the child connects to.
const URL: &str = "MEMOLOCK_TEST_CHILD_URL";
const CONNECTED: &str = "connected";

/// What a child of the tests below runs; by itself it does nothing.
#[tokio::test]
async fn a_child_connects() {
    let Ok(url) = std::env::var(URL) else {
        return;
    };
    let builder = PgBackend::builder(url).connect_timeout(DEADLINE);
    let used = async {
        let backend = builder.command_timeout(DEADLINE).connect().await?;
        backend.get(&key("k")).await
    };
    let outcome = match used.await {
        Ok(_) => CONNECTED.to_owned(),
        Err(error) => error.to_string(),
    };
    println!("outcome: {outcome:?}");
}

/// A home with these files in its `.postgresql`.
struct Home(tempfile::TempDir);

impl Home {
    fn with(files: &[(&str, &str)]) -> Self {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join(".postgresql");
        std::fs::create_dir(&folder).unwrap();
        for (name, contents) in files {
            std::fs::write(folder.join(name), contents).unwrap();
        }
        Self(home)
    }

    /// What comes of connecting from there: `connected`, or the line of the error.
    fn outcome(&self, url: &str) -> String {
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "home::a_child_connects", "--nocapture"])
            .env("HOME", self.0.path())
            .env(URL, url)
            .output()
            .unwrap();
        let said = String::from_utf8(child.stdout).unwrap();
        let outcome = said.lines().find_map(|line| line.split_once("outcome: "));
        let (_, outcome) = outcome.unwrap_or_else(|| panic!("{said}"));
        assert!(!outcome.contains("\\n"), "more than a line: {outcome}");
        outcome.trim_matches('"').to_owned()
    }
}

fn each(secure: &Secure, who: &str, cases: &[(&str, &Home, &str, &str)]) {
    for (what, home, query, expected) in cases {
        let outcome = home.outcome(&secure.url(who, "localhost", query));
        let fits = match *expected {
            CONNECTED => outcome == CONNECTED,
            words => outcome.contains(words),
        };
        assert!(fits, "{what}, {query}: {outcome}");
        assert!(!outcome.contains("hunter2"), "{outcome}");
    }
}

fn file(parameter: &str, path: &Path) -> String {
    format!("{parameter}={}", path.display())
}

#[tokio::test]
async fn the_authorities_in_it_are_those_that_are_trusted() {
    if !is_there() {
        return;
    }
    let (ours, other) = (Authority::new(), Authority::new());
    let secure = Secure::start(Some(&ours.vouch("db", &["localhost"]))).await;
    let hba = "host all postgres all trust\nhost all app all scram-sha-256\n";
    secure.server.set_hba(hba).unwrap();
    let named = file("sslrootcert", &secure.file("ca.pem", &ours.pem));
    let [empty, right, wrong, garbage] = [
        Home::with(&[]),
        Home::with(&[("root.crt", &ours.pem)]),
        Home::with(&[("root.crt", &other.pem)]),
        Home::with(&[("root.crt", "garbage")]),
    ];
    let unknown = "not of an authority that sslrootcert names";
    let full = format!("sslmode=verify-full&{named}");
    each(
        &secure,
        "app:hunter2",
        &[
            ("none", &empty, "sslmode=require", CONNECTED),
            ("none", &empty, "sslmode=verify-full", "add sslrootcert="),
            ("ours", &right, "sslmode=require", CONNECTED),
            ("ours", &right, "sslmode=verify-ca", CONNECTED),
            ("ours", &right, "sslmode=verify-full", CONNECTED),
            // With a file of authorities `require` checks them.
            ("another", &wrong, "sslmode=require", unknown),
            ("another", &wrong, "sslmode=verify-full", unknown),
            // It goes on without encryption.
            ("another", &wrong, "", CONNECTED),
            ("the URL's", &wrong, &full, CONNECTED),
            (
                "garbage",
                &garbage,
                "sslmode=verify-full",
                "without a certificate",
            ),
            // Those of the system are others than that file's.
            ("the system's", &right, "sslrootcert=system", unknown),
            (
                "the system's",
                &right,
                "sslmode=verify-full&sslrootcert=system",
                unknown,
            ),
        ],
    );
}

#[tokio::test]
async fn the_certificate_in_it_is_shown() {
    if !is_there() {
        return;
    }
    let ours = Authority::new();
    let pair = ours.vouch("db", &["localhost"]);
    let options = PgOptions::default()
        .setting("ssl=on")
        .setting("ssl_ca_file=root.crt")
        .file("root.crt", ours.pem.as_str())
        .file("server.crt", pair.certificate.as_str())
        .file("server.key", pair.key.as_str());
    let secure = Secure::start_with(&options).await;
    let hba = "host all postgres all trust\nhostssl all app all cert\n";
    secure.server.set_hba(hba).unwrap();
    let [app, somebody] = ["app", "somebody"].map(|name| ours.vouch(name, &[]));
    let certificate = file("sslcert", &secure.file("app.crt", &app.certificate));
    let key = file("sslkey", &secure.file("app.key", &app.key));
    let [crt, private] = ["postgresql.crt", "postgresql.key"];
    let [empty, right, another, no_key, key_alone] = [
        Home::with(&[]),
        Home::with(&[(crt, &app.certificate), (private, &app.key)]),
        Home::with(&[(crt, &somebody.certificate), (private, &somebody.key)]),
        Home::with(&[(crt, &app.certificate)]),
        Home::with(&[(private, &app.key)]),
    ];
    let require = "sslmode=require";
    let both = format!("{require}&{certificate}&{key}");
    let without = format!("{require}&sslcertmode=disable");
    let half = format!("{require}&{certificate}");
    each(
        &secure,
        "app",
        &[
            ("none", &empty, require, "client certificate"),
            ("ours", &right, require, CONNECTED),
            ("ours", &right, "", CONNECTED),
            ("ours, not shown", &right, &without, "client certificate"),
            ("another's", &another, require, "authentication failed"),
            ("the URL's", &another, &both, CONNECTED),
            ("no key", &no_key, require, "give sslkey=FILE"),
            ("the URL's and this key", &key_alone, &half, CONNECTED),
            ("a key alone", &key_alone, require, "client certificate"),
        ],
    );
}
