//! Acts on certificates.

use crate::Ground;
use crate::faults::act::act;
use crate::faults::acts::clients::everybody_out;
use crate::faults::stage::Stage;
use memolock_testkit::TlsServer;

act!(
    /// A certificate of an authority that nobody was told of, and everybody has to connect anew.
    exchange, |stage| {
        let shown = tls(&stage).show_strange_certificate().await;
        shown.unwrap_or_else(|e| panic!("{e}"));
        everybody_out(&stage).await;
    }
);

act!(
    /// The old state of things.
    restore, |stage| {
        let shown = tls(&stage).show_own_certificate().await;
        shown.unwrap_or_else(|e| panic!("{e}"));
    }
);

fn tls(stage: &Stage) -> &TlsServer {
    match &stage.ground {
        Ground::Tls(tls) => tls,
        _ => panic!("a fault of servers with TLS"),
    }
}
