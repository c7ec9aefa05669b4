//! An operator sees in `CLIENT LIST` whose connections they are, by way of the client that users have.

#![allow(clippy::unwrap_used)]

use std::io::Write;
use std::sync::{Arc, Mutex};

use memolock::fred::FredBackend;
use memolock::memory::MemoryBackend;
use memolock::postgres::PgBackend;
use memolock::redis_rs::RedisBackend;
use memolock::{Backend, Memolock};
use memolock_testkit::{PgServer, TestServer};
use memolock_tests::{Adapter, eventually, own_server};
use tracing_subscriber::util::SubscriberInitExt;

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

/// What this thread logs.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Log {
    /// The lines that name this tag and aliases.
    fn aliases(&self, tag: &str) -> Vec<String> {
        let log = self.0.lock().unwrap();
        let text = String::from_utf8_lossy(&log);
        let lines = text
            .lines()
            .filter(|line| line.contains("alias") && line.contains(tag));
        lines.map(str::to_owned).collect()
    }
}

/// Two tags of which one names values of the other are one warning, however often they are built, over every backend.
#[tokio::test]
async fn tags_that_alias_are_one_warning_over_every_backend() {
    let server = own_server().await;
    let mut backends: Vec<(String, Arc<dyn Backend>)> = Vec::new();
    for adapter in Adapter::ALL {
        let backend = adapter.connect(server.url()).await;
        backends.push((adapter.to_string(), backend));
    }
    backends.push(("memory".to_owned(), Arc::new(MemoryBackend::new())));
    let mut postgres = None;
    if PgServer::is_there() || std::env::var_os("MEMOLOCK_TEST_POSTGRES_REQUIRED").is_some() {
        let server = postgres.insert(PgServer::start_own().await.unwrap());
        let builder = PgBackend::builder(server.url());
        builder.create_table().await.unwrap();
        let backend = PgBackend::connect(server.url()).await.unwrap();
        backends.push(("postgres".to_owned(), Arc::new(backend)));
    } else {
        eprintln!("not run over PostgreSQL: there is none (apt-get install postgresql)");
    }
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_ansi(false)
        .with_max_level(tracing_subscriber::filter::LevelFilter::WARN)
        .with_writer(move || writer.clone())
        .finish();
    let _logged = subscriber.set_default();
    for (name, backend) in backends {
        let (short, long) = (format!("of-{name}"), format!("of-{name}:posts"));
        let first = memolock(&long, &backend).await;
        assert!(log.aliases(&short).is_empty(), "{name}");
        let second = memolock(&short, &backend).await;
        let again = [
            memolock(&long, &backend).await,
            memolock(&short, &backend).await,
        ];
        let lines = log.aliases(&short);
        assert_eq!(lines.len(), 1, "{name}: {lines:?}");
        let told = lines[0].contains(&format!("tag={short} ")) && lines[0].contains(&long);
        assert!(told && lines[0].contains("WARN"), "{name}: {lines:?}");
        drop((first, second, again));
        backend.close().await;
    }
}
