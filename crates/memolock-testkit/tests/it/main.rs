//! The kit against real servers; one scenario a file.

mod cleanup;
mod cluster;
mod cluster_docker;
mod commands;
mod container;
mod fronts;
mod monitor;
mod parallel;
mod pause;
mod proxy;
mod restart;
mod sentinel;
#[cfg(feature = "tls")]
mod tls;
#[cfg(feature = "tls")]
mod tls_cluster;
mod unix;
mod walkthrough;

use memolock_testkit::{ServerError, TestServer};

/// Whether nobody listens where the server was.
fn is_down(server: &TestServer) -> bool {
    std::net::TcpStream::connect(("127.0.0.1", server.port())).is_err()
}

type Outcome = Result<(), ServerError>;
