use std::{
    collections::HashMap,
    io::{Read, Write},
    net::TcpStream,
    sync::Mutex,
    thread,
};

use api_tests::{Server, token};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use serde_json::json;
use socket2::SockRef;

use crate::DATABASE;

const WRITES: usize = 1000;
const WORKERS: usize = 16;

/// Sends a create, and resets the connection after `sent` bytes out and `read` bytes in. Returns the received bytes.
fn create_and_reset(address: &str, request: &[u8], sent: usize, read: usize) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.write_all(&request[..sent]).unwrap();
    let mut answer = Vec::new();
    if sent == request.len() {
        let mut buffer = vec![0; read];
        while answer.len() < read {
            match stream.read(&mut buffer[answer.len()..]) {
                Ok(length @ 1..) => answer = buffer[..answer.len() + length].to_vec(),
                _ => break,
            }
        }
    }
    // Without lingering, closing sends a reset.
    SockRef::from(&stream).set_linger(Some(std::time::Duration::ZERO)).unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

#[test]
fn a_client_that_resets_at_any_moment_and_retries_with_its_key_ends_with_exactly_one_task() {
    check_that_resets_neither_duplicate_nor_lose(&Server::start(DATABASE));
}

/// A thousand creates with connections that are reset at every offset. Each is retried until it is answered.
pub(crate) fn check_that_resets_neither_duplicate_nor_lose(server: &Server) {
    let seed: u32 = std::env::var("SEED").map_or_else(|_| rand::random(), |seed| seed.parse().unwrap());
    println!("to repeat: SEED={seed}");
    let acknowledged = Mutex::new(HashMap::new());
    thread::scope(|scope| {
        for worker in 0..WORKERS {
            let acknowledged = &acknowledged;
            scope.spawn(move || {
                let mut random = StdRng::seed_from_u64(u64::from(seed) + worker as u64);
                for write in (worker..WRITES).step_by(WORKERS) {
                    let body = json!({ "title": write.to_string() }).to_string();
                    let head = format!(
                        "POST /api/tasks HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nIdempotency-Key: {write}\r\n\
                         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
                        token("alice"),
                        body.len()
                    );
                    let request = format!("{head}{body}").into_bytes();
                    // Half of them at each offset of the request, half during the write or the answer.
                    let sent = if write % 2 == 0 { write / 2 % request.len() } else { request.len() };
                    let answer = create_and_reset(server.address(), &request, sent, random.random_range(0..400));
                    // The received answer may end anywhere. A path is complete if the next line has begun.
                    let path = answer.split_once("location: ").and_then(|(_, rest)| rest.split_once("\r\n"));
                    if let Some((path, _)) = path {
                        acknowledged.lock().unwrap().insert(write, path.to_owned());
                    }
                }
            });
        }
    });
    let acknowledged = acknowledged.into_inner().unwrap();
    assert!(acknowledged.len() > WRITES / 20, "only {} answers came as far as their path", acknowledged.len());
    let alice = server.user("alice");
    let mut made = 0;
    for write in 0..WRITES {
        let answer = loop {
            let answer = alice.create_with_key(&write.to_string(), &json!({ "title": write.to_string() }));
            if answer.status != 409 {
                break answer;
            }
        };
        assert_eq!(answer.status, 201);
        if let Some(path) = acknowledged.get(&write) {
            assert_eq!((answer.header("location"), answer.header("idempotency-replayed")), (path.as_str(), "true"));
        }
        made += usize::from(answer.header("idempotency-replayed") == "true");
    }
    assert!(made > WRITES / 4, "only {made} of the requests that were reset had reached the server");
    let tasks = alice.all();
    let mut titles: Vec<usize> = tasks.iter().map(|task| task["title"].as_str().unwrap().parse().unwrap()).collect();
    titles.sort_unstable();
    assert_eq!(titles, (0..WRITES).collect::<Vec<_>>());
}
