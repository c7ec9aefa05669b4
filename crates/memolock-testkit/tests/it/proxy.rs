//! A line to which things happen.

// Helpers are not test functions to the lint, and a failed one is a failed test.
#![allow(clippy::unwrap_used)]

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use memolock_testkit::suite::Line;
use memolock_testkit::{Arrivals, End, Faults, Proxy, Way};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};

/// A bound that only a hang would miss.
const HANG: Duration = Duration::from_secs(30);
/// Long enough to see that nothing comes.
const SILENCE: Duration = Duration::from_millis(50);

const MILLI: Duration = Duration::from_millis(1);

/// A server that sends back what it gets, and tells how each of its connections ended.
async fn echo() -> (SocketAddr, mpsc::UnboundedReceiver<io::Result<u64>>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let (ends, ended) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let ends = ends.clone();
            tokio::spawn(async move {
                let (mut from, mut to) = stream.into_split();
                let _ = ends.send(tokio::io::copy(&mut from, &mut to).await);
            });
        }
    });
    (address, ended)
}

async fn line() -> (Proxy, mpsc::UnboundedReceiver<io::Result<u64>>) {
    let (address, ended) = echo().await;
    (Proxy::start(address).await.unwrap(), ended)
}

async fn client(proxy: &Proxy) -> TcpStream {
    let stream = timeout(HANG, TcpStream::connect(proxy.address()));
    stream.await.unwrap().unwrap()
}

/// Sends `word` and reads as much.
async fn says(stream: &mut TcpStream, word: &[u8]) -> io::Result<Vec<u8>> {
    stream.write_all(word).await?;
    let mut back = vec![0; word.len()];
    timeout(HANG, stream.read_exact(&mut back))
        .await
        .expect("a hang")?;
    Ok(back)
}

/// Whatever comes until the end, and how it ends.
async fn rest(stream: &mut TcpStream) -> (Vec<u8>, io::Result<usize>) {
    let mut all = Vec::new();
    let end = timeout(HANG, stream.read_to_end(&mut all)).await;
    (all, end.expect("a hang"))
}

async fn silent(stream: &mut TcpStream) {
    let mut byte = [0];
    let read = timeout(SILENCE, stream.read(&mut byte)).await;
    assert!(read.is_err(), "something came: {read:?}");
}

async fn until(what: &str, done: impl Fn() -> bool) {
    let began = Instant::now();
    while !done() {
        assert!(began.elapsed() < HANG, "never came: {what}");
        tokio::time::sleep(MILLI).await;
    }
}

fn reset(outcome: &io::Result<usize>) -> bool {
    matches!(outcome, Err(e) if e.kind() == io::ErrorKind::ConnectionReset)
}

#[tokio::test]
async fn a_clear_line_passes_everything_and_both_ends() {
    let (proxy, mut ended) = line().await;
    let mut stream = client(&proxy).await;
    let long = vec![7; 1_000_000];
    let (mut from, mut to) = stream.split();
    let send = async {
        to.write_all(&long).await.unwrap();
        to.shutdown().await.unwrap();
    };
    let mut back = Vec::new();
    let receive = from.read_to_end(&mut back);
    let both = async { tokio::join!(send, receive) };
    timeout(HANG, both).await.unwrap().1.unwrap();
    assert_eq!(back, long);
    assert_eq!(ended.recv().await.unwrap().unwrap(), 1_000_000);
    until("the end", || proxy.tally().open == 0).await;
    let tally = proxy.tally();
    assert_eq!(
        (tally.served, tally.up, tally.down),
        (1, 1_000_000, 1_000_000)
    );
}

#[tokio::test]
async fn bytes_are_late_in_order_and_by_the_same_jitter_for_a_seed() {
    let (address, _ended) = echo().await;
    let proxy = Proxy::seeded(address, 7).await.unwrap();
    let late = Way::CLEAR.late(20 * MILLI, 10 * MILLI);
    proxy.set(Faults::both(late)).await;
    let mut stream = client(&proxy).await;
    let began = Instant::now();
    assert_eq!(says(&mut stream, b"ping").await.unwrap(), b"ping");
    assert!(began.elapsed() >= 40 * MILLI, "{:?}", began.elapsed());
    // A hundred pieces with jitter arrive as they were sent.
    let words: Vec<u8> = (0..100).collect();
    let (mut from, mut to) = stream.split();
    let send = async {
        for word in &words {
            to.write_all(&[*word]).await.unwrap();
            tokio::task::yield_now().await;
        }
    };
    let mut back = vec![0; 100];
    let both = async { tokio::join!(send, from.read_exact(&mut back)) };
    timeout(HANG, both).await.unwrap().1.unwrap();
    assert_eq!(back, words);
}

#[tokio::test]
async fn a_slow_reader_holds_up_the_sender() {
    let (proxy, _ended) = line().await;
    proxy.set(Faults::up(Way::CLEAR.slow(10, 5 * MILLI))).await;
    let mut stream = client(&proxy).await;
    let began = Instant::now();
    assert_eq!(says(&mut stream, &[1; 100]).await.unwrap(), [1; 100]);
    // Ten pieces, and nine pauses between them.
    assert!(began.elapsed() >= 45 * MILLI, "{:?}", began.elapsed());
    // Far more than all buffers on the way: nobody takes it.
    let flood = vec![0; 64 << 20];
    assert!(timeout(SILENCE, stream.write_all(&flood)).await.is_err());
}

#[tokio::test]
async fn a_stall_loses_nothing() {
    let (proxy, _ended) = line().await;
    let mut stream = client(&proxy).await;
    assert!(proxy.stall().await);
    stream.write_all(b"ping").await.unwrap();
    silent(&mut stream).await;
    proxy.heal().await;
    assert_eq!(says(&mut stream, b"pong").await.unwrap(), b"ping");
}

#[tokio::test]
async fn what_vanishes_leaves_a_connection_that_lives_and_is_mute() {
    for up in [true, false] {
        let (proxy, mut ended) = line().await;
        let way = Way::CLEAR.vanishing();
        let mut stream = client(&proxy).await;
        assert_eq!(says(&mut stream, b"ping").await.unwrap(), b"ping");
        proxy
            .set(if up {
                Faults::up(way)
            } else {
                Faults::down(way)
            })
            .await;
        stream.write_all(b"lost").await.unwrap();
        silent(&mut stream).await;
        until("the loss", || proxy.tally().vanished == 4).await;
        // Healed, new connections work. This one has a hole in it, and stays as it is.
        proxy.heal().await;
        stream.write_all(b"late").await.unwrap();
        silent(&mut stream).await;
        assert_eq!(
            says(&mut client(&proxy).await, b"new!").await.unwrap(),
            b"new!"
        );
        assert_eq!(ended.recv().await.unwrap().unwrap(), 4, "of the new one");
        drop(stream);
        let got = ended.recv().await.unwrap();
        assert!(
            got.is_err() || got.unwrap() <= 12,
            "the server hears of the end at last"
        );
    }
}

#[tokio::test]
async fn the_end_of_a_connection_vanishes_too() {
    let (proxy, mut ended) = line().await;
    let mut stream = client(&proxy).await;
    assert_eq!(says(&mut stream, b"ping").await.unwrap(), b"ping");
    proxy.set(Faults::both(Way::CLEAR.vanishing())).await;
    drop(stream);
    assert!(timeout(SILENCE, ended.recv()).await.is_err(), "half-open");
    assert_eq!(proxy.tally().open, 1);
    proxy.heal().await;
    timeout(HANG, ended.recv()).await.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn replies_are_truncated_and_closed_or_reset() {
    for end in [End::Close, End::Reset] {
        let (proxy, mut ended) = line().await;
        let mut old = client(&proxy).await;
        assert_eq!(says(&mut old, b"before").await.unwrap(), b"before");
        proxy
            .set(Faults::down(Way::CLEAR.broken_after(3, end)))
            .await;
        // Counted on each connection, and from when it was set.
        for stream in [&mut old, &mut client(&proxy).await] {
            stream.write_all(b"reply").await.unwrap();
            let (got, how) = rest(stream).await;
            assert_eq!(got, b"rep");
            assert_eq!(reset(&how), end == End::Reset, "{how:?}");
            let far = timeout(HANG, ended.recv()).await.unwrap().unwrap();
            assert_eq!(far.is_err(), end == End::Reset, "{far:?}");
        }
        assert_eq!(proxy.tally().broken, 2);
        proxy.heal().await;
        assert_eq!(
            says(&mut client(&proxy).await, b"whole").await.unwrap(),
            b"whole"
        );
    }
}

#[tokio::test]
async fn a_limit_counts_over_several_replies() {
    let (proxy, _ended) = line().await;
    proxy
        .set(Faults::down(Way::CLEAR.broken_after(7, End::Close)))
        .await;
    let mut stream = client(&proxy).await;
    assert_eq!(says(&mut stream, b"four").await.unwrap(), b"four");
    stream.write_all(b"more").await.unwrap();
    assert_eq!(rest(&mut stream).await.0, b"mor");
}

#[tokio::test]
async fn severed_connections_end_as_told_and_new_ones_are_made() {
    for end in [End::Close, End::Reset] {
        let (proxy, _ended) = line().await;
        let mut stream = client(&proxy).await;
        assert_eq!(says(&mut stream, b"ping").await.unwrap(), b"ping");
        proxy.sever(end).await;
        assert_eq!(proxy.tally().open, 0, "none is left when it returns");
        let (_, how) = rest(&mut stream).await;
        assert_eq!(reset(&how), end == End::Reset, "{how:?}");
        assert_eq!(
            says(&mut client(&proxy).await, b"pong").await.unwrap(),
            b"pong"
        );
    }
}

#[tokio::test]
async fn nobody_listens_and_then_somebody_does() {
    let (proxy, _ended) = line().await;
    let mut old = client(&proxy).await;
    assert_eq!(says(&mut old, b"ping").await.unwrap(), b"ping");
    for _ in 0..3 {
        proxy.set(Faults::arrivals(Arrivals::Refuse)).await;
        let refused = TcpStream::connect(proxy.address()).await.map(drop);
        let kind = refused.unwrap_err().kind();
        assert_eq!(kind, io::ErrorKind::ConnectionRefused);
        assert_eq!(
            says(&mut old, b"ping").await.unwrap(),
            b"ping",
            "it goes on"
        );
        proxy.heal().await;
        assert_eq!(
            says(&mut client(&proxy).await, b"pong").await.unwrap(),
            b"pong"
        );
    }
    // The port is the proxy's own all the while.
    proxy.set(Faults::arrivals(Arrivals::Refuse)).await;
    assert!(TcpListener::bind(proxy.address()).await.is_err());
}

#[tokio::test]
async fn arrivals_are_closed_or_met_with_silence() {
    let (proxy, _ended) = line().await;
    proxy.set(Faults::arrivals(Arrivals::Close)).await;
    assert!(says(&mut client(&proxy).await, b"ping").await.is_err());
    proxy.set(Faults::arrivals(Arrivals::Silence)).await;
    let mut mute = client(&proxy).await;
    mute.write_all(b"ping").await.unwrap();
    silent(&mut mute).await;
    assert_eq!(proxy.tally().turned_away, 2);
    proxy.heal().await;
    silent(&mut mute).await;
    assert_eq!(
        says(&mut client(&proxy).await, b"pong").await.unwrap(),
        b"pong"
    );
    drop(mute);
    until("nobody", || proxy.tally().open == 0).await;
}

#[tokio::test]
async fn a_cut_line_stays_cut_until_it_is_healed() {
    let (proxy, _ended) = line().await;
    let mut old = client(&proxy).await;
    assert_eq!(says(&mut old, b"ping").await.unwrap(), b"ping");
    proxy.cut().await;
    assert!(says(&mut old, b"ping").await.is_err());
    assert!(says(&mut client(&proxy).await, b"ping").await.is_err());
    proxy.heal().await;
    assert_eq!(
        says(&mut client(&proxy).await, b"pong").await.unwrap(),
        b"pong"
    );
    assert!(
        says(&mut old, b"ping").await.is_err(),
        "what was cut stays cut"
    );
}

#[tokio::test]
async fn a_dropped_proxy_ends_its_connections() {
    let (proxy, mut ended) = line().await;
    let mut stream = client(&proxy).await;
    assert_eq!(says(&mut stream, b"ping").await.unwrap(), b"ping");
    drop(proxy);
    assert!(rest(&mut stream).await.0.is_empty());
    let _ = timeout(HANG, ended.recv()).await.unwrap();
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_proxy_listens_where_it_is_told_and_nobody_else_does() {
    let (target, _ended) = echo().await;
    let wanted = SocketAddr::from(([127, 0, 77, 1], target.port()));
    let proxy = Proxy::start_at(wanted, target).await.unwrap();
    assert_eq!(proxy.address(), wanted);
    assert_eq!(
        says(&mut client(&proxy).await, b"ping").await.unwrap(),
        b"ping"
    );
    for taken in [wanted, target] {
        let refused = Proxy::start_at(taken, target).await;
        assert_eq!(refused.unwrap_err().kind(), io::ErrorKind::AddrInUse);
    }
    let elsewhere = SocketAddr::from(([192, 0, 2, 1], 0));
    assert!(Proxy::start_at(elsewhere, target).await.is_err());
}
