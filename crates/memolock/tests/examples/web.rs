//! The web example end to end: two instances over one server, real HTTP.

use memolock_testkit::TestServer;

use crate::website::Website;

/// Callers on each of two instances.
const CALLERS: usize = 40;

/// A server of the test's own: two instances speak to it under fixed tags.
async fn server() -> TestServer {
    TestServer::start_local().await.unwrap()
}

#[tokio::test]
async fn a_herd_on_two_instances_costs_one_compute() {
    let server = server().await;
    let sites = [0, 1].map(|_| Website::start(Some(server.url())));
    let path = "/query/simple/kristoff";
    let herd: Vec<_> = (0..CALLERS)
        .flat_map(|_| sites.iter().map(|site| site.getting(path)))
        .collect();
    let mut computed = 0;
    for caller in herd {
        let (status, answer) = caller.join().unwrap();
        assert_eq!(status, 200, "{answer}");
        assert_eq!(answer["value"], "the answer to kristoff");
        computed += usize::from(answer["source"] == "computed");
    }
    assert_eq!(computed, 1);
    assert_eq!(sites[0].computes() + sites[1].computes(), 1);
    let (_, again) = sites[0].get(path);
    assert_eq!(again["source"], "hit");
}

#[tokio::test]
async fn a_report_that_renews_its_lease_outlives_it() {
    let server = server().await;
    let sites = [0, 1].map(|_| Website::start(Some(server.url())));
    let (first, second) = (
        sites[0].getting("/report/renewable/q3"),
        sites[1].getting("/report/renewable/q3"),
    );
    for caller in [first, second] {
        let (status, answer) = caller.join().unwrap();
        assert_eq!(
            (status, &answer["value"]),
            (200, &"the report on q3".into())
        );
    }
    assert_eq!(sites[0].computes() + sites[1].computes(), 1);
}

#[tokio::test]
async fn a_lost_lease_is_a_clean_503_with_the_reason() {
    let server = server().await;
    let site = Website::start(Some(server.url()));
    let (status, answer) = site.get("/report/oh-no/q3");
    assert_eq!(status, 503, "{answer}");
    let why = answer["error"].as_str().unwrap();
    assert!(why.contains("longer than its lease"), "{why}");
    assert!(why.contains("report:oh-no/q3"), "{why}");
    // Nothing is poisoned, and nothing is locked.
    assert_eq!(site.get("/report/renewable/q3").0, 200);
}

#[tokio::test]
async fn without_a_server_it_says_what_it_cannot_do() {
    let site = Website::start(None);
    let (status, health) = site.get("/health");
    assert_eq!((status, &health["backend"]), (200, &"memory".into()));
    assert_eq!(site.get("/query/simple/a").0, 200);
    let (status, answer) = site.get("/ext/stemmer/running");
    assert_eq!(status, 501);
    assert!(answer["error"].as_str().unwrap().contains("MEMOLOCK_URL"));
}

#[tokio::test]
async fn told_to_stop_it_answers_what_is_open_and_closes() {
    let server = server().await;
    let site = Website::start(Some(server.url()));
    let open = site.getting("/query/simple/kristoff");
    // It is under way once it has begun to compute.
    while site.computes() == 0 {}
    site.terminate();
    let (status, answer) = open.join().unwrap();
    assert_eq!(status, 200, "{answer}");
    assert!(site.ended().success());
    // It left no lock behind.
    let locks = server.command(&["KEYS", "*/lock:*"]).await.unwrap();
    assert_eq!(locks.items().len(), 0);
}

#[tokio::test]
async fn a_request_that_outlives_the_grace_gets_a_clean_answer_from_the_close() {
    let server = server().await;
    let site = Website::start(Some(server.url()));
    // Somebody else holds the lock for long: the request waits.
    server
        .command(&["SET", "query/lock:elsa", "a stranger", "PX", "60000"])
        .await
        .unwrap();
    let open = site.getting("/query/simple/elsa");
    while server
        .command(&["PUBSUB", "NUMSUB", "query/notif:elsa"])
        .await
        .unwrap()
        .items()[1]
        .as_int()
        != Some(1)
    {}
    site.terminate();
    let (status, answer) = open.join().unwrap();
    assert_eq!(status, 503, "{answer}");
    assert!(answer["error"].as_str().unwrap().contains("closed"));
    assert!(site.ended().success());
}
