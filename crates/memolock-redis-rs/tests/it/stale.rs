//! Acquiring over a value of another version.

use bytes::Bytes;
use memolock_core::{Acquired, Backend, Fulfilled, PutMode};

use crate::server::{Server, key, secs, token};

#[tokio::test]
async fn a_stale_value_counts_as_none_and_stays_until_it_is_replaced() {
    let server = Server::start();
    let backend = server.backend().await;
    let key = key("a");
    let over = async |nth, stale: &'static [u8]| {
        let stale = Bytes::from_static(stale);
        let tried = backend.acquire_over(&key, token(nth), secs(5), &stale);
        tried.await.unwrap()
    };
    for stale in [b"".as_slice(), b"\xff\0\r\n", b"42"] {
        let value = Bytes::from_static(stale);
        backend
            .put(&key, value.clone(), secs(60), PutMode::Override)
            .await
            .unwrap();
        assert_eq!(over(1, b"other").await, Acquired::Value(value.clone()));
        assert_eq!(over(1, stale).await, Acquired::Granted);
        assert_eq!(over(1, stale).await, Acquired::Granted);
        assert!(matches!(over(2, stale).await, Acquired::Held(_)));
        assert_eq!(backend.get(&key).await.unwrap(), Some(value));
        let fulfilled = backend.fulfil(&key, token(1), "new".into(), secs(60));
        assert_eq!(fulfilled.await.unwrap(), Fulfilled::Stored);
        assert_eq!(over(2, stale).await, Acquired::Value("new".into()));
    }
}
