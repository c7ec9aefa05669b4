//! A server whose role `app` has a password, perhaps with TLS, and how clients fare there.

use std::path::PathBuf;

use memolock_core::{Backend, BackendError};
use memolock_postgres::PgBackend;
use memolock_testkit::{PgOptions, PgServer};

use crate::common::{DEADLINE, key, stranger};
use crate::pki::Pair;

/// A server whose role `app` has a password, and the files of its clients.
pub(crate) struct Secure {
    pub(crate) server: PgServer,
    files: tempfile::TempDir,
}

impl Secure {
    pub(crate) async fn start(pair: Option<&Pair>) -> Self {
        let mut options = PgOptions::default();
        if let Some(pair) = pair {
            options = options
                .setting("ssl=on")
                .file("server.crt", pair.certificate.as_str())
                .file("server.key", pair.key.as_str());
        }
        Self::start_with(&options).await
    }

    pub(crate) async fn start_with(options: &PgOptions) -> Self {
        let server = PgServer::start_with(options).await.unwrap();
        let admin = stranger(server.url()).await;
        let builder = PgBackend::builder(server.url()).connect_timeout(DEADLINE);
        builder.create_table().await.unwrap();
        let sql = "CREATE ROLE app LOGIN PASSWORD 'hunter2'; \
             GRANT SELECT, INSERT, UPDATE, DELETE ON memolock TO app";
        admin.batch_execute(sql).await.unwrap();
        let files = tempfile::tempdir().unwrap();
        Self { server, files }
    }

    pub(crate) fn file(&self, name: &str, contents: &str) -> PathBuf {
        let path = self.files.path().join(name);
        std::fs::write(&path, contents).unwrap();
        path
    }

    pub(crate) fn url(&self, who: &str, host: &str, query: &str) -> String {
        let port = self.server.address().rsplit_once(':').unwrap().1;
        format!("postgres://{who}@{host}:{port}/postgres?{query}")
    }

    /// Connects as that role, and says whether the connection is encrypted, by the server's own word.
    pub(crate) async fn connect_as(
        &self,
        who: &str,
        host: &str,
        query: &str,
    ) -> Result<bool, BackendError> {
        let name = format!("probe{}", query.len());
        let builder = PgBackend::builder(self.url(who, host, query))
            .application_name(name.as_str())
            .connect_timeout(DEADLINE)
            .command_timeout(DEADLINE);
        let backend = builder.connect().await?;
        backend.get(&key("k")).await?;
        let admin = stranger(&self.url("postgres", "127.0.0.1", "sslmode=disable")).await;
        let asked = "SELECT ssl FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) \
             WHERE application_name = $1 AND usename = $2";
        let rows = admin
            .query(asked, &[&name, &who.split(':').next()])
            .await
            .unwrap();
        let encrypted = rows.iter().all(|row| row.get::<_, bool>(0));
        assert!(!rows.is_empty());
        backend.close().await;
        Ok(encrypted)
    }

    pub(crate) async fn connect(&self, query: &str) -> Result<bool, BackendError> {
        self.connect_as("app:hunter2", "localhost", query).await
    }
}
