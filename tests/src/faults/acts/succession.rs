//! Acts on who is the master: it is replaced while it is out of reach, or in good order; a slot of it moves.

use memolock_testkit::TestCluster;

use crate::Ground;
use crate::faults::act::act;
use crate::faults::stage::{HELD, Stage};

act!(
    /// Waits until another server has the place of the one that was struck.
    replaced, |stage| stage.succession.done(&stage.ground).await
);

act!(
    /// It goes on once it has been replaced, and does not know.
    continue_replaced, |stage| {
        stage.succession.done(&stage.ground).await;
        done(stage.server().resume().await);
    }
);

act!(
    /// It is back on its network once it has been replaced.
    plug_replaced, |stage| {
        stage.succession.done(&stage.ground).await;
        done(stage.server().reconnect().await);
    }
);

act!(
    /// A replica takes over in good order: `CLUSTER FAILOVER`, `SENTINEL FAILOVER`.
    hand_over, |stage| match &stage.ground {
        Ground::Cluster(cluster) => done(cluster.failover(stage.succession.old).await.map(drop)),
        Ground::Sentinel(sentinel) => done(sentinel.failover().await.map(drop)),
        Ground::Server(_) | Ground::Tls(_) => panic!("there is no replica"),
    }
);

act!(
    /// The held id's slot goes to another master.
    move_slot, |stage| {
        let cluster = cluster(&stage);
        let masters = cluster.masters().await;
        let to = masters.into_iter().find(|at| *at != stage.succession.old);
        let slot = TestCluster::slot(stage.key(HELD).value_name());
        done(cluster.migrate_slot(slot, to.expect("there are several masters")).await);
    }
);

fn cluster(stage: &Stage) -> &TestCluster {
    match &stage.ground {
        Ground::Cluster(cluster) => cluster,
        _ => panic!("slots are a cluster's"),
    }
}

fn done(result: Result<(), memolock_testkit::ServerError>) {
    result.unwrap_or_else(|e| panic!("{e}"));
}
