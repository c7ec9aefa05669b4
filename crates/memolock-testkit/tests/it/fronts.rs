//! What stands before a cluster, or before sentinels, for one client: its lines break, and nobody else's.

use std::net::SocketAddr;
use std::time::Duration;

use memolock_testkit::suite::Line;
use memolock_testkit::{ClusterFront, ClusterOptions, ServerError, TestCluster, TestSentinel};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

use crate::Outcome;

/// A bound that only a hang would miss.
const HANG: Duration = Duration::from_secs(30);
/// Long enough to see that nothing comes.
const SILENCE: Duration = Duration::from_millis(50);

/// One line, and the line that answers it; nothing if the connection ends first.
async fn says(stream: &mut TcpStream, command: &str) -> String {
    let mut answer = String::new();
    if stream.write_all(command.as_bytes()).await.is_err() {
        return answer;
    }
    while !answer.ends_with('\n') {
        match timeout(HANG, stream.read_u8()).await.expect("a hang") {
            Ok(byte) => answer.push(byte.into()),
            Err(_) => return String::new(),
        }
    }
    answer
}

async fn to(address: SocketAddr) -> TcpStream {
    let stream = timeout(HANG, TcpStream::connect(address)).await;
    stream.expect("a hang").expect("a port that is open")
}

async fn ping(address: SocketAddr) -> String {
    says(&mut to(address).await, "PING\r\n").await
}

/// What each of its proxies answers.
async fn pings(front: &ClusterFront) -> Vec<String> {
    let mut answers = Vec::new();
    for proxy in front.proxies() {
        answers.push(ping(proxy.address()).await);
    }
    answers
}

fn masters(hostless: bool) -> ClusterOptions {
    ClusterOptions {
        replicas_per_master: 0,
        hostless,
        ..ClusterOptions::default()
    }
}

const PONG: &str = "+PONG\r\n";
const NOTHING: &str = "";

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_front_before_a_cluster_leads_one_client() -> Outcome {
    let cluster = TestCluster::start_local_with(masters(true)).await?;
    let (front, other) = (cluster.front().await?, cluster.front().await?);
    let addresses = front.proxies().iter().map(memolock_testkit::Proxy::address);
    for ((here, node), there) in addresses.zip(cluster.nodes()).zip(other.proxies()) {
        assert_eq!(here.port(), node.port());
        assert!(here.ip().is_loopback() && here.ip() != there.address().ip());
        assert!(front.url().contains(&here.to_string()), "{}", front.url());
    }

    // Who is sent on stays before the front: nobody tells a host.
    let key = cluster.key_on(1, "likes").await?;
    let (slot, port) = (TestCluster::slot(&key), cluster.nodes()[1].port());
    let mut stream = to(front.proxies()[0].address()).await;
    let moved = says(&mut stream, &format!("GET {key}\r\n")).await;
    assert_eq!(moved, format!("-MOVED {slot} :{port}\r\n"));

    front.cut().await;
    assert_eq!(says(&mut stream, "PING\r\n").await, NOTHING);
    assert_eq!(pings(&front).await, [NOTHING; 3]);
    assert_eq!(pings(&other).await, [PONG; 3]);
    assert!(cluster.command_all(&["PING"]).await.is_ok());
    front.heal().await;
    assert_eq!(pings(&front).await, [PONG; 3]);

    front.proxies()[2].cut().await;
    assert_eq!(pings(&front).await, [PONG, PONG, NOTHING]);
    front.heal().await;

    assert!(front.stall().await);
    for proxy in front.proxies() {
        let stalled = timeout(SILENCE, ping(proxy.address())).await;
        assert!(stalled.is_err(), "{stalled:?}");
    }
    front.heal().await;
    assert_eq!(pings(&front).await, [PONG; 3]);

    let address = front.proxies()[0].address();
    drop(front);
    let mut left = to(other.proxies()[0].address()).await;
    assert_eq!(says(&mut left, "PING\r\n").await, PONG);
    // It ends soon after, in a task of its own.
    let refused = async { while TcpStream::connect(address).await.is_ok() {} };
    timeout(HANG, refused).await.expect("nobody listens there");
    Ok(())
}

#[tokio::test]
async fn a_cluster_that_names_hosts_has_no_front() -> Outcome {
    let cluster = TestCluster::start_local_with(masters(false)).await?;
    let message = cluster.front().await.expect_err("hosts").to_string();
    let place = format!("{}:", cluster.nodes()[0].host());
    for part in [&*place, "CLUSTER SLOTS", "ClusterOptions::hostless"] {
        assert!(message.contains(part), "{message}");
    }
    assert!(!message.contains('\n'), "{message}");
    Ok(())
}

/// What a sentinel says of where the master of `name` is.
async fn named(sentinel: SocketAddr, name: &str) -> String {
    let mut stream = to(sentinel).await;
    let ask = format!("SENTINEL GET-MASTER-ADDR-BY-NAME {name}\r\n");
    let mut answer = says(&mut stream, &ask).await;
    assert_eq!(answer, "*2\r\n");
    for _ in 0..2 {
        // The length, which matters not, and the word.
        says(&mut stream, "").await;
        answer = answer + &says(&mut stream, "").await;
    }
    answer
}

#[tokio::test]
async fn a_front_before_sentinels_leads_one_client() -> Outcome {
    let all = TestSentinel::start_local().await?;
    let (front, other) = (all.front().await?, all.front().await?);
    let (master, sentinel) = (front.master().address(), front.sentinel().address());
    let (place, name) = front.url().rsplit_once('/').expect("a name in it");
    assert_eq!(place, format!("redis-sentinel://{sentinel}"));
    let expected = format!("*2\r\n127.0.0.1\r\n{}\r\n", master.port());
    assert_eq!(named(sentinel, name).await, expected);

    front.cut().await;
    assert_eq!(
        [ping(master).await, ping(sentinel).await],
        [NOTHING, NOTHING]
    );
    assert_eq!(ping(other.master().address()).await, PONG);
    assert_eq!(ping(other.sentinel().address()).await, PONG);
    // Nobody counts the sentinels of fronts, nor misses what is behind one.
    all.wait_stable().await?;
    front.heal().await;
    assert_eq!([ping(master).await, ping(sentinel).await], [PONG, PONG]);
    assert_eq!(named(sentinel, name).await, expected);

    assert!(front.stall().await);
    for address in [master, sentinel] {
        let stalled = timeout(SILENCE, ping(address)).await;
        assert!(stalled.is_err(), "{stalled:?}");
    }
    front.heal().await;
    assert_eq!([ping(master).await, ping(sentinel).await], [PONG, PONG]);
    Ok(())
}

/// Not even if it is told to.
#[tokio::test]
async fn the_sentinel_of_a_front_changes_no_master() -> Outcome {
    let all = TestSentinel::start_local().await?;
    let front = all.front().await?;
    let (_, name) = front.url().rsplit_once('/').expect("a name in it");
    let ask = format!("SENTINEL FAILOVER {name}\r\n");
    let began = Instant::now();
    // Until it has heard of the replica.
    while !says(&mut to(front.sentinel().address()).await, &ask)
        .await
        .starts_with("+OK")
    {
        assert!(began.elapsed() < HANG, "it never tries");
        sleep(SILENCE).await;
    }
    let refused = async {
        loop {
            let errors = all.servers()[1].command(&["INFO", "errorstats"]).await?;
            if errors.to_string().contains("errorstat_EXECABORT") {
                return Ok::<_, ServerError>(());
            }
            sleep(SILENCE).await;
        }
    };
    timeout(HANG, refused).await.expect("it tried")?;
    all.wait_stable().await?;
    assert_eq!(all.master().await?, 0);
    Ok(())
}
