//! Acts on the connections of a server: killed, paused, locked out.

use std::time::Duration;

use crate::cli;
use crate::faults::act::act;
use crate::faults::stage::Stage;

/// How often connections are killed: the new ones too, in the middle of being set up.
const KILLS: u32 = 8;
const BETWEEN: Duration = Duration::from_millis(40);

/// Who has no subscription, and who has one.
const CLASSES: [&str; 2] = ["normal", "pubsub"];

/// How long clients are paused, in milliseconds: longer than the bound of a command and of a reconnect.
const PAUSE_MS: &str = "2500";

act!(
    /// `CLIENT KILL TYPE normal`, again and again: what has no subscription.
    kill_normal, |stage| kill(&stage, "normal").await
);

act!(
    /// `CLIENT KILL TYPE pubsub`, again and again: what has one.
    kill_pubsub, |stage| kill(&stage, "pubsub").await
);

act!(
    /// `CLIENT PAUSE`: nobody is answered.
    pause_all, |stage| {
        stage.inside(&["CLIENT", "PAUSE", PAUSE_MS, "ALL"]).await;
    }
);

act!(
    /// `CLIENT PAUSE … WRITE`: reads are answered, scripts that write are not.
    pause_writes, |stage| {
        stage.inside(&["CLIENT", "PAUSE", PAUSE_MS, "WRITE"]).await;
    }
);

act!(
    /// Waits for the end of the pause: it is what our own word has to wait for too.
    paused, |stage| {
        stage.inside(&["SET", "unpaused", "1"]).await;
    }
);

act!(
    /// A password that nobody was told, and everybody has to connect anew.
    rotate_in, |stage| {
        stage.inside(&["CONFIG", "SET", "requirepass", "rotated"]).await;
        everybody_out(&stage).await;
    }
);

act!(
    /// The old state of things.
    rotate_back, |stage| {
        stage.inside(&["CONFIG", "SET", "requirepass", ""]).await;
    }
);

act!(
    /// `CLIENT KILL`, again and again, on every server: what has no subscription, and what has one.
    kill_everywhere, |stage| {
        for _ in 0..KILLS {
            for (server, class) in stage.ground.servers().iter().flat_map(|s| CLASSES.map(|c| (s, c))) {
                cli(server, &["CLIENT", "KILL", "TYPE", class, "SKIPME", "yes"]).await;
            }
            tokio::time::sleep(BETWEEN).await;
        }
    }
);

/// `CLIENT KILL` of all connections but our own.
pub(super) async fn everybody_out(stage: &Stage) {
    for class in CLASSES {
        let words = ["CLIENT", "KILL", "TYPE", class, "SKIPME", "yes"];
        stage.inside(&words).await;
    }
}

async fn kill(stage: &Stage, class: &str) {
    for _ in 0..KILLS {
        stage
            .inside(&["CLIENT", "KILL", "TYPE", class, "SKIPME", "yes"])
            .await;
        tokio::time::sleep(BETWEEN).await;
    }
}
