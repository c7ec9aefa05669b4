//! `sslmode` and what belongs to it, against servers with TLS and without: as libpq behaves.

use std::path::{Path, PathBuf};
use std::process::Command;

use memolock_core::ErrorKind;
use memolock_testkit::PgOptions;

use crate::common::is_there;
use crate::pki::{Authority, Pair, self_signed};
use crate::secure::Secure;

/// What a URL leads to.
#[derive(Debug, Clone, Copy)]
enum Way {
    Tls,
    Plain,
    /// An error of this kind, in whose line these words stand.
    Fails(ErrorKind, &'static str),
}

async fn all(secure: &Secure, what: &str, cases: &[(&str, Way)]) {
    for (query, expected) in cases {
        let outcome = secure.connect(query).await;
        match (expected, &outcome) {
            (Way::Tls, Ok(true)) | (Way::Plain, Ok(false)) => {}
            (Way::Fails(kind, words), Err(error)) if error.kind() == *kind => {
                let line = error.to_string();
                assert!(line.contains(words), "{what}, {query}: {line}");
                assert!(!line.contains("hunter2") && !line.contains('\n'), "{line}");
            }
            _ => panic!("{what}, {query}: {outcome:?} and not {expected:?}"),
        }
    }
}

fn query(mode: &str, file: &Path) -> String {
    format!("sslmode={mode}&sslrootcert={}", file.display())
}

#[tokio::test]
async fn each_mode_does_as_libpq_with_servers_that_have_tls_ask_for_it_or_have_none() {
    use ErrorKind::{Config, Unavailable};
    use Way::{Fails, Plain, Tls};
    if !is_there() {
        return;
    }
    let (ours, other) = (Authority::new(), Authority::new());
    let secure = Secure::start(Some(&ours.vouch("db", &["localhost"]))).await;
    let ca = secure.file("ca.pem", &ours.pem);
    let wrong = secure.file("other.pem", &other.pem);
    let with = |mode: &str, file: &PathBuf| query(mode, file);
    let not_ours = "not of an authority that sslrootcert names";
    let verified: Vec<(String, Way)> = vec![
        (with("require", &ca), Tls),
        (with("verify-ca", &ca), Tls),
        (with("verify-full", &ca), Tls),
        (with("prefer", &wrong), Plain),
        (with("require", &wrong), Fails(Unavailable, not_ours)),
        (with("verify-ca", &wrong), Fails(Unavailable, not_ours)),
        (with("verify-full", &wrong), Fails(Unavailable, not_ours)),
    ];
    let verified: Vec<(&str, Way)> = verified.iter().map(|(q, way)| (q.as_str(), *way)).collect();
    let add = "add sslrootcert=FILE or sslrootcert=system";
    let offered = [
        ("", Tls),
        ("sslmode=disable", Plain),
        ("sslmode=allow", Plain),
        ("sslmode=prefer", Tls),
        ("sslmode=require", Tls),
        ("sslmode=verify-ca", Fails(Config, add)),
        ("sslmode=verify-full", Fails(Config, add)),
        ("sslrootcert=system", Fails(Unavailable, not_ours)),
        (
            "sslmode=require&sslrootcert=/nowhere",
            Fails(Config, "sslrootcert names /nowhere"),
        ),
        ("sslmode=require&ssl_max_protocol_version=TLSv1.2", Tls),
        ("sslmode=require&ssl_min_protocol_version=TLSv1.3", Tls),
        ("sslmode=require&channel_binding=require", Tls),
    ];
    secure
        .server
        .set_hba("host all postgres all trust\nhost all app all scram-sha-256\n")
        .unwrap();
    all(&secure, "offered", &offered).await;
    all(&secure, "offered", &verified).await;
    secure
        .server
        .set_hba("host all postgres all trust\nhostssl all app all scram-sha-256\n")
        .unwrap();
    let refused = "use sslmode=require";
    let required = [
        ("", Tls),
        ("sslmode=disable", Fails(Config, refused)),
        ("sslmode=allow", Tls),
        ("sslmode=require", Tls),
    ];
    all(&secure, "required", &required).await;
    let both = with("prefer", &wrong);
    all(
        &secure,
        "required",
        &[(&both, Fails(Unavailable, not_ours))],
    )
    .await;
    secure
        .server
        .set_hba("host all postgres all trust\nhostnossl all app all scram-sha-256\n")
        .unwrap();
    let forbidden = [
        ("", Plain),
        ("sslmode=allow", Plain),
        ("sslmode=disable", Plain),
    ];
    all(&secure, "forbidden", &forbidden).await;
    let refused = secure.connect("sslmode=require").await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Denied, "{refused}");
}

#[tokio::test]
async fn a_server_without_tls_is_used_unless_the_url_asks_for_it() {
    use ErrorKind::Config;
    use Way::{Fails, Plain};
    if !is_there() {
        return;
    }
    let secure = Secure::start(None).await;
    let ca = secure.file("ca.pem", &Authority::new().pem);
    let none = Fails(Config, "the server has no TLS");
    let (verify_ca, verify_full) = (query("verify-ca", &ca), query("verify-full", &ca));
    let cases = [
        ("", Plain),
        ("sslmode=disable", Plain),
        ("sslmode=allow", Plain),
        ("sslmode=prefer", Plain),
        ("sslmode=require", none),
        (verify_ca.as_str(), none),
        (verify_full.as_str(), none),
    ];
    all(&secure, "without", &cases).await;
}

#[tokio::test]
async fn a_wrong_password_is_blamed_only_where_it_was_looked_at() {
    if !is_there() {
        return;
    }
    let authority = Authority::new();
    let secure = Secure::start(Some(&authority.vouch("db", &["localhost"]))).await;
    let hba = "host all postgres all trust\nhostssl all app all scram-sha-256\n";
    secure.server.set_hba(hba).unwrap();
    let outcome =
        |who: &'static str, query: &'static str| secure.connect_as(who, "localhost", query);
    let line = outcome("app:wrong", "").await.unwrap_err();
    assert_eq!(line.kind(), ErrorKind::Denied);
    assert!(
        line.to_string().contains("password authentication failed"),
        "{line}"
    );
    let line = outcome("app", "").await.unwrap_err();
    assert!(
        line.to_string()
            .contains("asks for a password, and the URL has none"),
        "{line}"
    );
    let line = outcome("app:hunter2", "sslmode=disable")
        .await
        .unwrap_err()
        .to_string();
    assert!(!line.contains("check user, password"), "{line}");
    assert!(
        line.contains("no encryption") && line.contains("use sslmode=require"),
        "{line}"
    );
}

#[tokio::test]
async fn the_name_is_checked_by_verify_full_alone() {
    if !is_there() {
        return;
    }
    let authority = Authority::new();
    for (common, names, host, fits) in [
        ("db", &["localhost"][..], "localhost", true),
        ("db", &["elsewhere"][..], "localhost", false),
        // The subject counts only where there is no other name.
        ("localhost", &["elsewhere"][..], "localhost", false),
        ("localhost", &[][..], "localhost", true),
        ("db", &["127.0.0.1"][..], "127.0.0.1", true),
        ("db", &["localhost"][..], "127.0.0.1", false),
    ] {
        let secure = Secure::start(Some(&authority.vouch(common, names))).await;
        let ca = secure.file("ca.pem", &authority.pem);
        let who = "app:hunter2";
        let outcome = secure.connect_as(who, host, &query("verify-ca", &ca)).await;
        assert!(
            matches!(outcome, Ok(true)),
            "{common} {names:?}: {outcome:?}"
        );
        let outcome = secure
            .connect_as(who, host, &query("verify-full", &ca))
            .await;
        match outcome {
            Ok(encrypted) => assert!(fits && encrypted, "{common} {names:?} {host}"),
            Err(error) => {
                assert!(!fits, "{common} {names:?} {host}: {error}");
                assert!(
                    error.to_string().contains("not for this host name"),
                    "{error}"
                );
            }
        }
    }
}

#[tokio::test]
async fn a_certificate_that_is_its_own_authority_is_trusted_if_it_is_named() {
    if !is_there() {
        return;
    }
    let pair = self_signed("localhost");
    let secure = Secure::start(Some(&pair)).await;
    let own = secure.file("own.pem", &pair.certificate);
    let other = secure.file("other.pem", &self_signed("localhost").certificate);
    assert!(secure.connect(&query("verify-full", &own)).await.unwrap());
    let error = secure
        .connect(&query("verify-ca", &other))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    let error = secure
        .connect_as("app", "127.0.0.1", &query("verify-full", &own))
        .await;
    assert!(error.unwrap_err().to_string().contains("host name"));
}

/// What the manual of PostgreSQL makes by `openssl x509 -req`: without extensions.
#[tokio::test]
async fn a_certificate_of_version_1_is_good_enough_for_openssl_and_for_us() {
    if !is_there() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let script = "set -e\n\
         openssl req -x509 -new -nodes -newkey rsa:2048 -keyout root.key -out root.crt -subj /CN=root\n\
         openssl req -x509 -new -nodes -newkey rsa:2048 -keyout other.key -out other.crt -subj /CN=root\n\
         openssl req -new -nodes -newkey rsa:2048 -keyout server.key -out server.csr -subj /CN=localhost\n\
         openssl x509 -req -in server.csr -days 2 -CA root.crt -CAkey root.key -CAcreateserial -out server.crt\n\
         openssl x509 -in server.crt -noout -text | grep -q 'Version: 1'\n";
    let made = Command::new("sh")
        .arg("-c")
        .arg(script)
        .current_dir(&dir)
        .output();
    if !made.is_ok_and(|made| made.status.success()) {
        eprintln!("not run: there is no openssl that makes certificates of version 1");
        return;
    }
    let read = |name: &str| std::fs::read_to_string(dir.path().join(name)).unwrap();
    let pair = Pair {
        certificate: read("server.crt"),
        key: read("server.key"),
    };
    let secure = Secure::start(Some(&pair)).await;
    let [root, other] = ["root.crt", "other.crt"].map(|name| dir.path().join(name));
    for version in ["TLSv1.2", "TLSv1.3"] {
        let only = format!("ssl_min_protocol_version={version}&ssl_max_protocol_version={version}");
        for mode in ["require", "verify-ca", "verify-full"] {
            let wish = format!("{}&{only}", query(mode, &root));
            assert!(secure.connect(&wish).await.unwrap(), "{wish}");
        }
        assert!(
            secure
                .connect(&format!("sslmode=require&{only}"))
                .await
                .unwrap()
        );
        // An authority of the same name, and another key.
        let wish = format!("{}&{only}", query("verify-ca", &other));
        let error = secure.connect(&wish).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    }
    let wish = query("verify-full", &root);
    let error = secure
        .connect_as("app", "127.0.0.1", &wish)
        .await
        .unwrap_err();
    assert!(
        error.to_string().contains("not for this host name"),
        "{error}"
    );
}

#[tokio::test]
async fn a_client_certificate_is_shown_to_a_server_that_asks_for_one() {
    if !is_there() {
        return;
    }
    let (ours, other) = (Authority::new(), Authority::new());
    let pair = ours.vouch("db", &["localhost"]);
    let options = PgOptions::default()
        .setting("ssl=on")
        .setting("ssl_ca_file=root.crt")
        .file("root.crt", ours.pem.as_str())
        .file("server.crt", pair.certificate.as_str())
        .file("server.key", pair.key.as_str());
    let secure = Secure::start_with(&options).await;
    secure
        .server
        .set_hba("host all postgres all trust\nhostssl all app all cert\n")
        .unwrap();
    let mut wishes = Vec::new();
    for (name, pair) in [
        ("ours", ours.vouch("app", &[])),
        ("another-name", ours.vouch("somebody", &[])),
        ("another-authority", other.vouch("app", &[])),
    ] {
        let certificate = secure.file(&format!("{name}.crt"), &pair.certificate);
        let key = secure.file(&format!("{name}.key"), &pair.key);
        let files = format!("sslcert={}&sslkey={}", certificate.display(), key.display());
        wishes.push(format!("sslmode=require&{files}"));
    }
    let connect = async |query: &str| secure.connect_as("app", "localhost", query).await;
    assert!(connect(&wishes[0]).await.unwrap());
    // A certificate is for one role.
    for (query, words) in [
        (wishes[1].as_str(), "authentication failed"),
        (wishes[2].as_str(), "TLS"),
        ("sslmode=require", "client certificate"),
        (
            &format!("{}&sslcertmode=disable", wishes[0]),
            "client certificate",
        ),
    ] {
        let error = connect(query).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Denied, "{query}: {error}");
        assert!(error.to_string().contains(words), "{query}: {error}");
    }
    let without_key = wishes[0].split("&sslkey").next().unwrap();
    let error = connect(without_key).await.unwrap_err();
    assert!(error.to_string().contains("give sslkey=FILE"), "{error}");
}
