//! The web example's other program: Python stems, stores and publishes.

use std::process::{Command, Stdio};

use memolock_testkit::TestServer;

use crate::website::Website;

/// An interpreter that has what the program imports. `cargo xtask test` names one.
fn python() -> Option<String> {
    let named = std::env::var("MEMOLOCK_TEST_PYTHON").ok();
    let candidates = [named, Some("python3".to_owned())];
    candidates.into_iter().flatten().find(|python| {
        let imports = ["-c", "import redis, snowballstemmer"];
        let tried = Command::new(python)
            .args(imports)
            .stderr(Stdio::null())
            .status();
        tried.is_ok_and(|status| status.success())
    })
}

#[tokio::test]
async fn a_python_program_keeps_the_promise() {
    let Some(python) = python() else {
        let required = std::env::var_os("MEMOLOCK_TEST_LANGUAGES_REQUIRED").is_some();
        assert!(!required, "no Python with redis and snowballstemmer");
        eprintln!("not run: no Python with redis and snowballstemmer; set MEMOLOCK_TEST_PYTHON");
        return;
    };
    let server = TestServer::start_local().await.unwrap();
    let env = [("MEMOLOCK_PYTHON", python.as_str())];
    let sites = [0, 1].map(|_| Website::with(Some(server.url()), &env));
    let herd: Vec<_> = (0..10)
        .flat_map(|_| {
            sites
                .iter()
                .map(|site| site.getting("/ext/stemmer/running"))
        })
        .collect();
    for caller in herd {
        let (status, answer) = caller.join().unwrap();
        assert_eq!((status, &answer["value"]), (200, &"run".into()), "{answer}");
    }
    // The program was started once for all of them.
    assert_eq!(sites[0].computes() + sites[1].computes(), 1);
    // And it is waited for in the end.
    for site in sites {
        site.terminate();
        assert!(site.ended().success());
    }
}

#[tokio::test]
async fn a_program_that_cannot_be_started_is_a_clean_answer_at_once() {
    let server = TestServer::start_local().await.unwrap();
    let env = [("MEMOLOCK_PYTHON", "/nowhere/python")];
    let site = Website::with(Some(server.url()), &env);
    let (status, answer) = site.get("/ext/stemmer/running");
    assert_eq!(status, 503, "{answer}");
    // The lease was given back: the next one may try at once.
    let lock = server.command(&["EXISTS", "stemmer/lock:running"]);
    assert_eq!(lock.await.unwrap().as_int(), Some(0));
}
