//! Who has the held id before a fault, and how one knows that another has taken its place.

use memolock_testkit::{ServerError, Switches};
use tokio::sync::Mutex;

use crate::{Ground, HANG, eventually};

/// Made before the fault, so that its end is not missed.
pub(super) struct Succession {
    /// The index of the server that is struck.
    pub(super) old: usize,
    heir: Heir,
}

/// How one knows.
enum Heir {
    /// There is none.
    Nobody,
    /// A node of a cluster, which is asked itself: questions to all would wait for the one that is silent.
    Replica(usize),
    /// Sentinels announce it.
    Announced(Box<Mutex<Switches>>),
}

impl Succession {
    /// That of the server with this name.
    pub(super) async fn of(ground: &Ground, name: &str) -> Result<Self, ServerError> {
        let (old, heir) = match ground {
            Ground::Server(_) | Ground::Tls(_) => (0, Heir::Nobody),
            Ground::Cluster(cluster) => {
                let old = cluster.master_of(name).await?;
                let replicas = cluster.replicas_of(old).await;
                let heir = replicas
                    .first()
                    .map_or(Heir::Nobody, |at| Heir::Replica(*at));
                (old, heir)
            }
            Ground::Sentinel(sentinel) => {
                let switches = Box::new(Mutex::new(sentinel.switches().await?));
                (sentinel.master().await?, Heir::Announced(switches))
            }
        };
        Ok(Self { old, heir })
    }

    /// Returns once another server has the place.
    ///
    /// # Panics
    /// If none comes to have it.
    pub(super) async fn done(&self, ground: &Ground) {
        match &self.heir {
            Heir::Nobody => panic!("there is nobody to take over"),
            Heir::Replica(heir) => {
                let heir = &ground.servers()[*heir];
                eventually("a replica in its master's place", || async {
                    let role = heir.command(&["ROLE"]).await;
                    let state = heir.command(&["CLUSTER", "INFO"]).await;
                    role.is_ok_and(|role| role.items()[0] == "master")
                        && state.is_ok_and(|state| {
                            let state = state.as_str().unwrap_or_default();
                            state.contains("cluster_state:ok")
                        })
                })
                .await;
            }
            Heir::Announced(switches) => {
                let mut switches = switches.lock().await;
                let next = tokio::time::timeout(HANG, switches.next()).await;
                let next = next.expect("a replica in its master's place");
                let switch = next.unwrap_or_else(|e| panic!("{e}"));
                assert_eq!(switch.from, self.old, "another master was replaced");
            }
        }
    }
}
