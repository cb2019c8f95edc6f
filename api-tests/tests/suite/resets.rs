use std::{
    io::{Read, Write},
    net::TcpStream,
    thread,
};

use api_tests::{Method, Server, token};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use serde_json::json;
use socket2::SockRef;

use crate::DATABASE;

const WRITES: usize = 1000;
const WORKERS: usize = 16;

/// Sends a create, and resets the connection when `sent` bytes are out and `read` bytes are in.
fn create_and_reset(address: &str, request: &[u8], sent: usize, read: usize) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.write_all(&request[..sent]).unwrap();
    if sent == request.len() {
        drop(stream.read_exact(&mut vec![0; read]));
    }
    // Without lingering a close is a reset.
    SockRef::from(&stream).set_linger(Some(std::time::Duration::ZERO)).unwrap();
}

#[test]
fn a_client_that_resets_at_any_moment_and_retries_with_its_key_ends_with_exactly_one_task() {
    resets_double_nothing_and_lose_nothing(&Server::start(DATABASE));
}

/// A thousand creates whose connections are reset at every offset, each retried until it is answered.
pub(crate) fn resets_double_nothing_and_lose_nothing(server: &Server) {
    let seed: u32 = rand::random();
    println!("seed {seed}");
    thread::scope(|scope| {
        for worker in 0..WORKERS {
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
                    // Half of them at each offset of the request, half while the write is under way or answered.
                    let sent = if write % 2 == 0 { write / 2 % request.len() } else { request.len() };
                    create_and_reset(server.address(), &request, sent, random.random_range(0..400));
                }
            });
        }
    });
    let alice = server.user("alice");
    let mut made = 0;
    for write in 0..WRITES {
        let answer = loop {
            let request = alice.request(Method::POST, "/api/tasks").header("Idempotency-Key", write.to_string());
            let request = request
                .header("Content-Type", "application/json")
                .body(json!({ "title": write.to_string() }).to_string());
            let answer = alice.send(request);
            if answer.status != 409 {
                break answer;
            }
        };
        assert_eq!(answer.status, 201);
        made += usize::from(answer.header("idempotency-replayed") == "true");
    }
    assert!(made > WRITES / 4, "only {made} of the requests that were reset had reached the server");
    let tasks = alice.all();
    let mut titles: Vec<usize> = tasks.iter().map(|task| task["title"].as_str().unwrap().parse().unwrap()).collect();
    titles.sort_unstable();
    assert_eq!(titles, (0..WRITES).collect::<Vec<_>>());
}
