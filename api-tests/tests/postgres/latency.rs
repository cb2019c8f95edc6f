use std::{
    io::{Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use api_tests::{Cluster, Server};
use serde_json::json;

use super::load::{Outcome, path};

/// Forwards bytes to `port` of this machine, with a round-trip delay of 50 ms. Returns its own port.
fn slow_line(port: u16) -> u16 {
    const EACH_WAY: Duration = Duration::from_millis(25);
    fn pass(mut from: TcpStream, mut to: TcpStream) {
        let (send, receive) = mpsc::channel::<(Instant, Vec<u8>)>();
        thread::spawn(move || {
            for (due, bytes) in receive {
                thread::sleep(due.saturating_duration_since(Instant::now()));
                if to.write_all(&bytes).is_err() {
                    break;
                }
            }
            drop(to.shutdown(Shutdown::Both));
        });
        let mut buffer = [0; 16384];
        while let Ok(length @ 1..) = from.read(&mut buffer) {
            if send.send((Instant::now() + EACH_WAY, buffer[..length].to_vec())).is_err() {
                break;
            }
        }
    }
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let own = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for near in listener.incoming().map_while(Result::ok) {
            let far = TcpStream::connect(("127.0.0.1", port)).unwrap();
            near.set_nodelay(true).unwrap();
            far.set_nodelay(true).unwrap();
            let back = (far.try_clone().unwrap(), near.try_clone().unwrap());
            thread::spawn(move || pass(near, far));
            thread::spawn(move || pass(back.0, back.1));
        }
    });
    own
}

/// A server with a slow line to a database of its own.
fn far_away(cluster: &Cluster) -> Server {
    let database = cluster.database();
    let url = database.url().replace(&format!(":{}", cluster.port()), &format!(":{}", slow_line(cluster.port())));
    Server::at(&url, &[])
}

#[test]
fn with_50_ms_to_the_database_resets_lose_no_write_and_double_none() {
    let cluster = Cluster::start(&[]);
    let server = far_away(&cluster);
    let started = Instant::now();
    server.user("alice").list("");
    assert!(started.elapsed() >= Duration::from_millis(50), "the line is slow");
    crate::suite::resets::check_that_resets_neither_duplicate_nor_lose(&server);
}

#[test]
fn with_50_ms_to_the_database_a_change_that_has_waited_too_long_is_not_sent() {
    let cluster = Cluster::start(&[]);
    let server = far_away(&cluster);
    let path = path(&server.user("alice").create("hammered"));
    // More changes of one row than 1.2 s have room for: the next one in turn has always waited for long.
    let outcomes: Vec<Outcome> = thread::scope(|scope| {
        let call = || {
            let alice = server.user("alice");
            [(); 4].map(|()| Outcome::of(&alice.put(&path, &json!({ "title": "x" }))))
        };
        let callers: Vec<_> = (0..80).map(|_| scope.spawn(call)).collect();
        callers.into_iter().flat_map(|caller| caller.join().unwrap()).collect()
    });
    let count = |outcome| outcomes.iter().filter(|other| **other == outcome).count();
    assert_ne!((count(Outcome::Done), count(Outcome::Unchanged)), (0, 0));
    assert_eq!(count(Outcome::Unknown), 0, "{outcomes:?}");
    let log = server.log();
    assert!(!log.iter().any(|line| line.contains("does not answer")), "no connection was given up: {log:#?}");
}
