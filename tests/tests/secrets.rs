//! Neither password nor value is in any `Debug`, error, panic message or event, whatever fails.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

use memolock::codec::{Json, Text};
use memolock::core::redis::Address;
use memolock::fred::FredBackend;
use memolock::redis_rs::RedisBackend;
use memolock::{Backend, Memolock};
use memolock_testkit::unique_tag;
use memolock_tests::{Adapter, SECOND, cli, own_server};

/// As it is, in a URL and in base64.
const SECRETS: [&str; 3] = ["Hunter2@s:cret/%", ENCODED, "SHVudGVyMkBzOmNyZXQvJQ"];

const ENCODED: &str = "Hunter2%40s%3Acret%2F%25";

/// What no encoding changes.
const PART: &str = "unter2";

const VALUE: &str = "a-value-that-nobody-logs";

/// Everything that was said.
#[derive(Clone, Default)]
struct Said(Arc<Mutex<Vec<u8>>>);

impl Said {
    fn also(&self, what: impl std::fmt::Debug) {
        let _ = writeln!(&mut self.clone(), "{what:?}");
    }
}

impl Write for Said {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        said.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Puts a client over `backend` to all its work, and notes how each call ended.
async fn work(backend: Arc<dyn Backend>, said: &Said) {
    said.also(&backend);
    let tag = unique_tag("likes");
    let builder = Memolock::<String>::builder(&tag, Arc::clone(&backend)).codec(Text);
    let likes = builder.wait_timeout(SECOND).build().await;
    let likes = match likes {
        Ok(likes) => likes,
        Err(error) => return said.also((error.to_string(), error)),
    };
    let compute = |_| async { Ok::<_, String>(VALUE.to_owned()) };
    let computed = likes.get_or_compute("a", compute).await;
    said.also(computed.map(drop).map_err(|e| (e.to_string(), e)));
    let panicked = likes.get_or_compute("b", |_| async {
        match VALUE.is_empty() {
            true => Ok::<_, String>(String::new()),
            false => panic!("it went wrong"),
        }
    });
    said.also(panicked.await.map(drop).map_err(|e| (e.to_string(), e)));
    said.also(likes.put("c", &VALUE.to_owned()).await);
    said.also(likes.get("c").await.map(drop));
    // What is of another type is an error of the codec, which must not quote it.
    said.also(likes.put("d", &format!("{VALUE:?}")).await);
    let json = Memolock::<u64>::builder(&tag, Arc::clone(&backend)).codec(Json);
    if let Ok(json) = json.build().await {
        said.also(json.get("d").await.map_err(|e| (e.to_string(), e)));
    }
    said.also(likes.inspect("c").await);
    said.also(likes.invalidate("c").await);
    said.also((&likes, likes.stats(), backend.stats()));
    likes.close().await;
    backend.close().await;
}

async fn lazy(adapter: Adapter, url: &str, said: &Said) -> Option<Arc<dyn Backend>> {
    said.also(Address::parse(url));
    let backend: Result<Arc<dyn Backend>, _> = match adapter {
        Adapter::Fred => {
            let builder = FredBackend::builder(url);
            said.also(&builder);
            said.also(builder.clone().connect().await.map(drop));
            builder.connect_lazy().map(|b| Arc::new(b) as _)
        }
        Adapter::RedisRs | Adapter::Pooled => {
            let builder = RedisBackend::builder(url);
            said.also(&builder);
            said.also(builder.clone().connect().await.map(drop));
            builder.connect_lazy().map(|b| Arc::new(b) as _)
        }
    };
    backend
        .map_err(|error| said.also((error.to_string(), error)))
        .ok()
}

/// One test alone: events and panics are the process's.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_that_is_said_holds_a_password_or_a_value() {
    let said = Said::default();
    let writer = said.clone();
    tracing_subscriber::fmt()
        .with_max_level(tracing_subscriber::filter::LevelFilter::TRACE)
        .with_writer(move || writer.clone())
        .init();
    let panics = said.clone();
    std::panic::set_hook(Box::new(move |panic| panics.also(panic.to_string())));

    let server = own_server().await;
    let password = format!(">{}", SECRETS[0]);
    for words in [
        &[
            "ACL", "SETUSER", "ann", "on", &password, "~*", "&*", "+@all",
        ][..],
        &["ACL", "SETUSER", "poor", "on", &password, "~x", "+ping"],
    ] {
        cli(&server, words).await;
    }
    let port = server.port();
    for adapter in [Adapter::RedisRs, Adapter::Fred] {
        for url in [
            format!("redis://ann:{ENCODED}@127.0.0.1:{port}"),
            format!("redis://poor:{ENCODED}@127.0.0.1:{port}"),
            format!("redis://nobody:{ENCODED}@127.0.0.1:{port}"),
            format!("redis://:{ENCODED}@127.0.0.1:{port}"),
            format!("redis://:{ENCODED}@127.0.0.1:1"),
            format!("rediss://:{ENCODED}@127.0.0.1:{port}"),
            format!("redis://:{ENCODED}@127.0.0.1:port"),
            format!("redis://u:1?{}", SECRETS[0]),
        ] {
            if let Some(backend) = lazy(adapter, &url, &said).await {
                work(backend, &said).await;
            }
        }
        // It dies in the middle.
        let url = format!("redis://ann:{ENCODED}@127.0.0.1:{port}");
        if let Some(backend) = lazy(adapter, &url, &said).await {
            server.kill().await.expect("it can be killed");
            work(backend, &said).await;
            server.restart().await.expect("it comes back");
            for words in [
                &[
                    "ACL", "SETUSER", "ann", "on", &password, "~*", "&*", "+@all",
                ][..],
                &["ACL", "SETUSER", "poor", "on", &password, "~x", "+ping"],
            ] {
                cli(&server, words).await;
            }
        }
    }
    let all = said
        .0
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .clone();
    let all = String::from_utf8_lossy(&all);
    // Not in vain: it was loud.
    for needed in [
        "transition",
        "access denied",
        "it went wrong",
        "cannot connect",
    ] {
        assert!(all.contains(needed), "nobody said {needed:?}");
    }
    for secret in SECRETS.iter().chain([&PART, &VALUE]) {
        let line = all.lines().find(|line| line.contains(secret));
        assert!(line.is_none(), "{secret}: {}", line.unwrap_or_default());
    }
}
