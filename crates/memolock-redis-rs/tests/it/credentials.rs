//! Passwords that are rotated while a service runs.

use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

use memolock_core::redis::Credentials;
use memolock_core::{Backend, ErrorKind};

use crate::server::{Admin, Server, eventually, key};
use crate::subject::Subject;

/// Where a service keeps its password: a file, or a vault.
#[derive(Clone)]
struct Vault {
    holds: Arc<Mutex<Result<Credentials, String>>>,
    asked: Arc<AtomicU32>,
}

impl Vault {
    fn new(credentials: Credentials) -> Self {
        let holds = Arc::new(Mutex::new(Ok(credentials)));
        let asked = Arc::default();
        Self { holds, asked }
    }

    fn set(&self, now: Result<Credentials, &str>) {
        *self.holds.lock().unwrap() = now.map_err(str::to_owned);
    }

    fn asked(&self) -> u32 {
        self.asked.load(SeqCst)
    }

    async fn connect(&self, url: String) -> Result<Subject, memolock_core::BackendError> {
        let vault = self.clone();
        let provider = move || {
            let vault = vault.clone();
            async move {
                vault.asked.fetch_add(1, SeqCst);
                tokio::task::yield_now().await;
                let holds = vault.holds.lock().unwrap();
                holds.clone()
            }
        };
        Subject::builder(url).credentials(provider).connect().await
    }
}

async fn kill_all(admin: &mut Admin) {
    let _: i64 = admin.run(&["CLIENT", "KILL", "TYPE", "normal"]).await;
    let _: i64 = admin.run(&["CLIENT", "KILL", "TYPE", "pubsub"]).await;
}

async fn works(backend: &Subject) {
    eventually("it is served", || async {
        backend.get(&key("a")).await.is_ok() && backend.subscribe(&key("a")).await.is_ok()
    })
    .await;
}

#[tokio::test]
async fn a_rotated_password_is_used_by_the_next_connection() {
    let server = Server::with_password(Some("hunter2"));
    let mut admin = server.admin().await;
    let vault = Vault::new(Credentials::password("hunter2"));
    // What the URL says is not used.
    let url = format!("redis://nobody:hunter1@127.0.0.1:{}", server.port());
    let backend = vault.connect(url).await.unwrap();
    works(&backend).await;
    let asked = vault.asked();

    // With what ends a word or a command where it is not counted.
    let next = "hunter 3\" '\r\nFLUSHALL\r\n\0\u{e9}";
    let _: () = admin.run(&["CONFIG", "SET", "requirepass", next]).await;
    vault.set(Ok(Credentials::password(next)));
    works(&backend).await;
    assert_eq!(
        vault.asked(),
        asked,
        "connections that stand are left alone"
    );
    kill_all(&mut admin).await;
    works(&backend).await;
    assert!(vault.asked() > asked);
    assert!(!format!("{backend:?}").contains("hunter"));
}

/// Not the default user, who may do more.
#[tokio::test]
async fn a_user_without_a_password_is_that_user() {
    let server = Server::start();
    let mut admin = server.admin().await;
    let user = "ACL SETUSER ann on nopass ~likes:a &* +@all";
    let user: Vec<&str> = user.split(' ').collect();
    let _: () = admin.run(&user).await;
    for given in [Credentials::new("ann", ""), Credentials::new("ann", "any")] {
        let backend = Vault::new(given).connect(server.url()).await.unwrap();
        works(&backend).await;
        let other = backend.get(&key("b")).await.unwrap_err();
        assert_eq!(other.kind(), ErrorKind::Denied, "{other}");
        // The next connections are no other's.
        let _: i64 = admin.run(&["CLIENT", "KILL", "USER", "ann"]).await;
        works(&backend).await;
        let other = backend.get(&key("b")).await.unwrap_err();
        assert_eq!(other.kind(), ErrorKind::Denied, "{other}");
    }
    let bob = Vault::new(Credentials::new("bob", ""));
    let error = bob.connect(server.url()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied);
}

#[tokio::test]
async fn while_it_is_wrong_it_is_denied_and_asked_for_again() {
    let server = Server::start();
    let mut admin = server.admin().await;
    let user = [
        "ACL", "SETUSER", "ann", "on", ">hunter2", "~*", "&*", "+@all",
    ];
    let _: () = admin.run(&user).await;
    let vault = Vault::new(Credentials::new("ann", "hunter2"));
    let backend = vault.connect(server.url()).await.unwrap();
    works(&backend).await;

    let rotated = ["ACL", "SETUSER", "ann", "resetpass", ">hunter3"];
    let _: () = admin.run(&rotated).await;
    let _: i64 = admin.run(&["CLIENT", "KILL", "USER", "ann"]).await;
    eventually("it is denied", || async {
        match backend.get(&key("a")).await {
            Err(error) if error.kind() == ErrorKind::Denied => {
                let line = format!("{error} {error:?}");
                assert!(
                    !line.contains("hunter") && line.contains("127.0.0.1"),
                    "{line}"
                );
                true
            }
            _ => false,
        }
    })
    .await;
    let asked = vault.asked();
    eventually("it asks again", || async { vault.asked() > asked }).await;
    vault.set(Ok(Credentials::new("ann", "hunter3")));
    works(&backend).await;
}

#[tokio::test]
async fn a_provider_that_fails_or_panics_is_no_end() {
    let server = Server::with_password(Some("hunter2"));
    let vault = Vault::new(Credentials::password("hunter2"));
    vault.set(Err("the vault\nis sealed"));
    let error = vault.connect(server.url()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    let line = error.to_string();
    assert!(
        line.contains("the vault is sealed") && !line.contains('\n'),
        "{line}"
    );

    let calls = Arc::new(AtomicU32::new(0));
    let provider = {
        let calls = Arc::clone(&calls);
        move || {
            // Both connections meet it once.
            assert!(calls.fetch_add(1, SeqCst) >= 2, "a provider that panics");
            async { Ok::<_, String>(Credentials::password("hunter2")) }
        }
    };
    let builder = Subject::builder(server.url()).credentials(provider);
    let backend = builder.connect_lazy().unwrap();
    let error = backend.get(&key("a")).await.unwrap_err();
    assert!(error.to_string().contains("panicked"), "{error}");
    works(&backend).await;
}

#[tokio::test]
async fn a_wrong_password_is_denied_at_once() {
    let server = Server::with_password(Some("hunter2"));
    let vault = Vault::new(Credentials::new("ann", "hunter3"));
    let error = vault.connect(server.url()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
    assert!(!format!("{error} {error:?}").contains("hunter"));
}
