//! A cluster loses a master, gets it back, and hands over a slot: `cargo run -p memolock-testkit --example
//! cluster`, or the same with `-- docker` for containers.

use std::time::Instant;

use memolock_testkit::{ServerError, TestCluster};

#[tokio::main]
async fn main() -> Result<(), ServerError> {
    let begun = Instant::now();
    let mut cluster = match std::env::args().nth(1).as_deref() {
        Some("docker") => TestCluster::start_docker().await?,
        _ => TestCluster::start_local().await?,
    };
    println!("formed in {:.1?}: {}", begun.elapsed(), cluster.url());

    let key = "likes:{kristoff}";
    let slot = TestCluster::slot(key);
    let master = cluster.master_of(key).await?;
    cluster.command(key, &["SET", key, "42"]).await?;
    println!(
        "node {master} has slot {slot}, replicas {:?}",
        cluster.replicas_of(master).await
    );

    let killed = Instant::now();
    cluster.nodes()[master].kill().await?;
    cluster.wait_stable().await?;
    let heir = cluster.master_of(key).await?;
    println!("killed: node {heir} took over in {:.1?}", killed.elapsed());
    cluster.nodes()[master].restart().await?;
    cluster.wait_stable().await?;
    println!(
        "restarted: its replicas are {:?}",
        cluster.replicas_of(heir).await
    );
    let back = cluster.failover(heir).await?;
    println!("asked to: node {back} took over");

    let new = cluster.add_master().await?;
    let migration = cluster.begin_migration(slot, new).await?;
    let old = &cluster.nodes()[back];
    println!("half way, it has: {:?}", old.command(&["GET", key]).await);
    migration.move_key(key).await?;
    println!("half way, it says: {:?}", old.command(&["GET", key]).await);
    migration.finish().await?;
    println!("moved, it says: {:?}", old.command(&["GET", key]).await);
    println!(
        "node {new} has it: {}",
        cluster.command(key, &["GET", key]).await?
    );
    Ok(())
}
