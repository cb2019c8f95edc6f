use std::{
    io::{Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use api_tests::{Cluster, Server};

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

#[test]
fn with_50_ms_to_the_database_resets_lose_no_write_and_double_none() {
    let cluster = Cluster::start(&[]);
    let database = cluster.database();
    let url = database.url().replace(&format!(":{}", cluster.port()), &format!(":{}", slow_line(cluster.port())));
    let server = Server::at(&url, &[]);
    let started = Instant::now();
    server.user("alice").list("");
    assert!(started.elapsed() >= Duration::from_millis(50), "the line is slow");
    crate::suite::resets::check_that_resets_neither_duplicate_nor_lose(&server);
}
