//! One user at one server: made, put to work, and asked what it was denied.

use memolock::core::Layout;
use memolock_testkit::{TestServer, unique_tag};
use memolock_tests::{Adapter, cli};

use crate::document::{User, extra, user};
use crate::work::{Ends, Role, work};

/// Where users are tried, one after the other: a server's scripts and its log of denials are everybody's.
pub(crate) struct Court {
    pub(crate) server: TestServer,
}

/// What came of it.
#[derive(Debug)]
pub(crate) struct Verdict {
    pub(crate) ends: Ends,
    /// What the server says it denied.
    pub(crate) denied: Vec<String>,
}

impl Verdict {
    pub(crate) fn is_clean(&self) -> bool {
        let Ends { errors, oddities } = &self.ends;
        errors.is_empty() && oddities.is_empty() && self.denied.is_empty()
    }
}

impl Court {
    pub(crate) async fn new(server: TestServer) -> Self {
        for more in [
            ["acllog-max-len", "1000"],
            ["acl-pubsub-default", "allchannels"],
        ] {
            // The document's users have no channels but theirs even so.
            let words = [&["CONFIG", "SET"], &more[..]].concat();
            cli(&server, &words).await;
        }
        Self { server }
    }

    /// The user of the document for this role and adapter.
    pub(crate) async fn user(&self, role: Role, adapter: Adapter) -> User {
        let mut more = extra("a name in `CLIENT LIST`");
        more.extend(match adapter {
            Adapter::RedisRs => Vec::new(),
            Adapter::Pooled => extra("commands through a pool (`deadpool`)"),
            Adapter::Fred => extra("the adapter for `fred`"),
        });
        if adapter != Adapter::Fred && self.knows_setinfo().await {
            more.extend(extra("Redis 7.2 or later, Valkey"));
        }
        user(role.heading()).with(&more)
    }

    /// Whether the server is young enough for `CLIENT SETINFO`.
    async fn knows_setinfo(&self) -> bool {
        let words = ["COMMAND", "INFO", "client|setinfo"];
        !cli(&self.server, &words).await.items()[0].is_nil()
    }

    /// Has a user of these rights do the work of the role.
    pub(crate) async fn judge(
        &self,
        user: &User,
        role: Role,
        adapter: Adapter,
        layout: Layout,
    ) -> Verdict {
        let (name, tag) = (unique_tag("user"), unique_tag("likes"));
        let made = user.command(&name, &tag);
        let made: Vec<&str> = made.iter().map(String::as_str).collect();
        for words in [&made[..], &["ACL", "LOG", "RESET"], &["SCRIPT", "FLUSH"]] {
            cli(&self.server, words).await;
        }
        let url = format!("redis://{name}:password@127.0.0.1:{}", self.server.port());
        let ends = work(role, adapter, &url, layout, &tag).await;
        let log = cli(&self.server, &["ACL", "LOG"]).await;
        let denied = log.items().iter().filter_map(|entry| {
            let field = |name: &str| {
                let at = entry
                    .items()
                    .iter()
                    .position(|f| f.as_str() == Some(name))?;
                entry.items().get(at + 1)?.as_str()
            };
            let (reason, object) = field("reason").zip(field("object"))?;
            Some(format!("{reason} {object}"))
        });
        let denied = denied.collect();
        cli(&self.server, &["ACL", "DELUSER", &name]).await;
        Verdict { ends, denied }
    }
}
