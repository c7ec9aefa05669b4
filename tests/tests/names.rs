//! An operator sees in `CLIENT LIST` whose connections they are, by way of the client that users have.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use memolock::fred::FredBackend;
use memolock::redis_rs::RedisBackend;
use memolock::{Backend, Memolock};
use memolock_testkit::TestServer;
use memolock_tests::{eventually, own_server};

async fn named(server: &TestServer, name: &str) {
    let names = [format!("name={name} "), format!("name={name}-sub ")];
    eventually(name, || async {
        let list = server.command(&["CLIENT", "LIST"]).await.unwrap();
        let list = list.to_string();
        names.iter().all(|name| list.contains(name))
    })
    .await;
}

async fn memolock(tag: &str, backend: &Arc<dyn Backend>) -> Memolock<String> {
    let builder = Memolock::builder(tag, Arc::clone(backend));
    builder.build().await.unwrap()
}

#[tokio::test]
async fn connections_are_called_after_tags() {
    let server = own_server().await;
    let backends: [Arc<dyn Backend>; 2] = [
        Arc::new(RedisBackend::connect(server.url()).await.unwrap()),
        Arc::new(FredBackend::connect(server.url()).await.unwrap()),
    ];
    for backend in backends {
        named(&server, "memolock").await;
        let _likes = memolock("likes", &backend).await;
        named(&server, "memolock:likes").await;
        let _again = memolock("likes", &backend).await;
        let _views = memolock("views", &backend).await;
        named(&server, "memolock:2-tags").await;
        backend.close().await;
    }
}

#[tokio::test]
async fn a_name_that_was_chosen_stays() {
    let server = own_server().await;
    let backend = RedisBackend::builder(server.url()).client_name("shop");
    let backend: Arc<dyn Backend> = Arc::new(backend.connect().await.unwrap());
    let likes = memolock("likes", &backend).await;
    likes.put("a", &"v".to_owned()).await.unwrap();
    named(&server, "shop").await;
}
