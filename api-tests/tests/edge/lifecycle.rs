use std::{
    io::{Read, Write},
    net::TcpStream,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

use api_tests::{Database, Method, Server, token};
use serde_json::json;

#[test]
fn a_running_server_is_healthy_and_ready() {
    let server = Server::start(Database::Sqlite);
    let client = server.stranger();
    assert_eq!(client.get("/health").json(), json!({ "status": "ok" }));
    assert_eq!(client.get("/ready").json(), json!({ "status": "ready" }));
}

#[test]
fn readiness_fails_before_the_server_stops_accepting() {
    let mut server = Server::with(Database::Sqlite, &[("SHUTDOWN_DELAY", "60s")]);
    server.signal("TERM");
    server.wait_for_log(|line| (line["message"] == "stopping").then_some(()));
    let client = server.stranger();
    let answer = client.get("/ready");
    assert_eq!((answer.problem().as_str(), answer.header("retry-after")), ("503 unavailable", "1"));
    assert_eq!(client.get("/health").status, 200);
    assert_eq!(server.user("alice").post("/api/tasks", &json!({ "title": "still served" })).status, 201);
    server.kill();
}

#[test]
fn each_stop_signal_stops_a_server_with_idle_connections_cleanly_and_at_once() {
    for signal in ["TERM", "INT", "HUP", "QUIT", "USR1", "USR2", "ALRM"] {
        let mut server = Server::with(
            Database::Sqlite,
            &[("SHUTDOWN_GRACE", "1h"), ("KEEP_ALIVE_TIMEOUT", "1h"), ("FIRST_BYTE_TIMEOUT", "1h")],
        );
        let silent = TcpStream::connect(server.address()).unwrap();
        let client = server.user("alice");
        client.create("leaves an idle connection");
        server.signal(signal);
        assert_eq!(server.wait().code(), Some(0), "{signal}");
        server.wait_for_log(|line| (line["message"] == "stopped").then_some(()));
        drop((silent, client));
    }
}

#[test]
fn a_server_started_by_nohup_outlives_its_terminal() {
    let mut server = Server::scripted("trap '' HUP");
    server.signal("HUP");
    server.user("alice").create("x");
    server.signal("TERM");
    assert_eq!(server.wait().code(), Some(0));
}

#[test]
fn at_the_limit_of_file_sizes_changes_are_rejected_and_reads_continue() {
    // Blocks of 512 bytes.
    let mut server = Server::scripted("ulimit -f 600");
    let alice = server.user("alice");
    let mut acknowledged = 0;
    let refused = loop {
        let answer = alice.post("/api/tasks", &json!({ "title": "x", "description": "y".repeat(1000) }));
        if answer.status != 201 {
            break answer;
        }
        acknowledged += 1;
    };
    assert_eq!(refused.problem(), "503 unavailable");
    assert!(alice.all().len() >= acknowledged);
    server.signal("TERM");
    server.wait();
    server.wait_for_log(|line| (line["message"] == "stopping").then_some(()));
    assert!(server.restart().user("alice").all().len() >= acknowledged);
}

#[test]
fn a_request_in_flight_is_answered_before_the_shutdown() {
    let mut server = Server::start(Database::Sqlite);
    let mut stream = TcpStream::connect(server.address()).unwrap();
    let body = r#"{"title":"sent in two halves"}"#;
    let head = "POST /api/tasks HTTP/1.1\r\nHost: x\r\nContent-Type: application/json";
    write!(
        stream,
        "{head}\r\nContent-Length: {}\r\nAuthorization: Bearer {}\r\nExpect: 100-continue\r\n\r\n",
        body.len(),
        token("alice")
    )
    .unwrap();
    let mut go_on = [0; 25];
    stream.read_exact(&mut go_on).unwrap();
    assert_eq!(&go_on, b"HTTP/1.1 100 Continue\r\n\r\n");
    server.signal("TERM");
    server.wait_for_log(|line| (line["message"] == "stopping").then_some(()));
    stream.write_all(body.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 201 Created\r\n"), "{answer}");
    assert_eq!(server.wait().code(), Some(0));
    assert_eq!(server.restart().user("alice").list("")[0]["title"], "sent in two halves");
}

#[test]
fn a_request_that_does_not_end_is_dropped_after_the_grace_period() {
    let mut server = Server::with(Database::Sqlite, &[("SHUTDOWN_GRACE", "300ms"), ("BODY_TIMEOUT", "1h")]);
    let mut stream = TcpStream::connect(server.address()).unwrap();
    let head = "POST /api/tasks HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 9";
    write!(stream, "{head}\r\nAuthorization: Bearer {}\r\nExpect: 100-continue\r\n\r\n", token("alice")).unwrap();
    stream.read_exact(&mut [0; 25]).unwrap();
    server.signal("TERM");
    assert_eq!(server.wait().code(), Some(0));
}

#[test]
fn at_a_shutdown_under_load_every_started_write_is_answered_and_kept() {
    let mut server = Server::start(Database::Sqlite);
    let created = AtomicUsize::new(0);
    thread::scope(|scope| {
        for writer in 0..8 {
            let (client, created) = (server.user("alice"), &created);
            scope.spawn(move || {
                for n in 0.. {
                    let body = json!({ "title": format!("{writer} {n}") }).to_string();
                    let request = client.request(Method::POST, "/api/tasks").header("Content-Type", "application/json");
                    let Ok(answer) = client.try_send(request.body(body)) else { return };
                    assert_eq!(answer.status, 201);
                    created.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        while created.load(Ordering::Relaxed) < 200 {
            thread::yield_now();
        }
        server.signal("TERM");
        assert_eq!(server.wait().code(), Some(0));
    });
    let log = server.folder().join("data/todo.db-wal");
    assert!(log.metadata().map_or(true, |log| log.len() == 0), "the main file holds everything");
    assert_eq!(server.restart().user("alice").all().len(), created.into_inner(), "no write without its answer");
}
