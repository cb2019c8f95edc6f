use std::{
    io::{ErrorKind, Read, Write},
    net::TcpStream,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use api_tests::{Answer, Database, Document, End, Server, token};

fn connect(server: &Server) -> TcpStream {
    let stream = TcpStream::connect(server.address()).unwrap();
    stream.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
    stream
}

/// All that the server sends until it closes the connection.
fn read(mut stream: TcpStream) -> String {
    let mut answer = Vec::new();
    // A reset also counts as the end.
    drop(stream.read_to_end(&mut answer));
    String::from_utf8_lossy(&answer).into_owned()
}

const HEALTH: &str = "GET /health HTTP/1.1\r\nHost: x\r\n\r\n";

/// The status of the next answer. Discards the rest of the received data.
fn status(stream: &mut TcpStream) -> String {
    let mut line = [0; 12];
    stream.read_exact(&mut line).unwrap();
    assert!(stream.read(&mut [0; 1024]).unwrap() > 0);
    String::from_utf8_lossy(&line[9..]).into_owned()
}

#[test]
fn a_thousand_silent_or_slow_connections_are_closed_while_others_are_served() {
    let server = Server::with(Database::Sqlite, &[("FIRST_BYTE_TIMEOUT", "3s"), ("HEADER_TIMEOUT", "3s")]);
    let opened = Instant::now();
    let streams: Vec<TcpStream> = (0..1000)
        .map(|n| {
            let mut stream = connect(&server);
            if n % 2 == 0 {
                stream.write_all(b"GET /health HTTP/1.1\r\nHost: x\r\nX-Slow").unwrap();
            }
            stream
        })
        .collect();
    let alice = server.user("alice");
    for n in 0..50 {
        alice.create(&n.to_string());
    }
    assert!(opened.elapsed() < Duration::from_mins(1), "normal clients are served");
    for stream in streams {
        assert_eq!(read(stream), "");
    }
    assert!(opened.elapsed() >= Duration::from_secs(3));
    assert_eq!(alice.list("").len(), 50);
}

#[test]
fn sending_a_header_byte_by_byte_does_not_keep_a_connection() {
    let server = Server::with(Database::Sqlite, &[("HEADER_TIMEOUT", "1s")]);
    let mut stream = connect(&server);
    stream.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    stream.write_all(b"GET /health HTTP/1.1\r\nHost: x\r\nX: ").unwrap();
    for _ in 0..1000 {
        let sent = stream.write_all(b"y");
        match stream.read(&mut [0]) {
            Err(error) if sent.is_ok() && error.kind() == ErrorKind::WouldBlock => {}
            _ => return,
        }
    }
    panic!("the connection was never cut");
}

#[test]
fn a_body_that_does_not_come_is_answered_with_408() {
    let server = Server::with(Database::Sqlite, &[("BODY_TIMEOUT", "200ms")]);
    let mut tried = 0;
    for operation in Document::committed().operations().filter(|one| one.value.get("requestBody").is_some()) {
        let (method, path) = (operation.method, operation.path.replace("{id}", "0193d5a0-1111-7abc-8def-0123456789ab"));
        let mut stream = connect(&server);
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\n\
             Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{{",
            token("alice")
        )
        .unwrap();
        let answer = Answer::read(&method, &path, &read(stream));
        assert_eq!(answer.problem(), "408 request_timeout", "{method} {path}");
        tried += 1;
    }
    assert_eq!(tried, 3);
    assert!(server.user("alice").list("").is_empty());
}

#[test]
fn an_answer_does_not_wait_for_the_next_request() {
    let server = Server::start(Database::Sqlite);
    let create = format!(
        "POST /api/tasks HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 13\r\n\
         Authorization: Bearer {}\r\n\r\n{{\"title\":\"x\"}}",
        token("alice")
    );
    for behind in ["\r\n", "GET /hea"] {
        let mut stream = connect(&server);
        stream.write_all(format!("{create}{behind}").as_bytes()).unwrap();
        let mut status = [0; 12];
        stream.read_exact(&mut status).unwrap();
        assert_eq!(&status, b"HTTP/1.1 201", "{behind}");
    }
}

#[test]
fn a_client_that_expects_100_continue_gets_it_or_a_413() {
    let server = Server::start(Database::Sqlite);
    for (length, answer) in [(13, "HTTP/1.1 100 Continue\r\n"), (65537, "HTTP/1.1 413 Payload Too Large\r\n")] {
        let mut stream = connect(&server);
        let head = "POST /api/tasks HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nExpect: 100-continue";
        let token = token("alice");
        write!(stream, "{head}\r\nContent-Length: {length}\r\nAuthorization: Bearer {token}\r\n\r\n").unwrap();
        let mut line = vec![0; answer.len()];
        stream.read_exact(&mut line).unwrap();
        assert_eq!(String::from_utf8_lossy(&line), answer);
    }
}

#[test]
fn an_incomplete_body_creates_nothing() {
    let server = Server::start(Database::Sqlite);
    for body in
        ["Content-Length: 100\r\n\r\n{\"title\":\"x\"}", "Transfer-Encoding: chunked\r\n\r\nd\r\n{\"title\":\"x\"}\r\n"]
    {
        let mut stream = connect(&server);
        let head = "POST /api/tasks HTTP/1.1\r\nHost: x\r\nContent-Type: application/json";
        write!(stream, "{head}\r\nAuthorization: Bearer {}\r\n{body}", token("alice")).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let answer = read(stream);
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400 "), "{answer}");
    }
    assert!(server.user("alice").list("").is_empty());
}

#[test]
fn an_idle_connection_is_closed_after_its_timeout() {
    let server = Server::with(
        Database::Sqlite,
        &[("KEEP_ALIVE_TIMEOUT", "1s"), ("FIRST_BYTE_TIMEOUT", "60s"), ("HEADER_TIMEOUT", "60s")],
    );
    let mut stream = connect(&server);
    for _ in 0..2 {
        stream.write_all(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"HTTP/1.1 200");
        let mut rest = [0; 1024];
        assert!(stream.read(&mut rest).unwrap() > 0);
    }
    assert_eq!(read(stream), "");
}

#[test]
fn a_client_that_does_not_read_its_answer_is_disconnected() {
    let server = Server::with(Database::Sqlite, &[("WRITE_TIMEOUT", "500ms"), ("MAX_CONNECTIONS", "1")]);
    let mut stream = connect(&server);
    // Four pages of 1.6 MB do not fit into the buffers of both sides.
    stream.write_all("GET /docs HTTP/1.1\r\nHost: x\r\n\r\n".repeat(8).as_bytes()).unwrap();
    // With a limit of one connection, an answer here means that the other one is closed.
    assert_eq!(server.stranger().get("/health").status, 200);
    drop(stream);
}

#[test]
fn at_the_limit_the_connections_that_are_idle_the_longest_are_closed() {
    let forever = [("KEEP_ALIVE_TIMEOUT", "1h"), ("FIRST_BYTE_TIMEOUT", "1h"), ("HEADER_TIMEOUT", "1h")];
    let server = Server::with(Database::Sqlite, &[&[("MAX_CONNECTIONS", "100")], &forever[..]].concat());
    // The data that each sends, and whether it gets an answer and is then idle.
    for (request, served) in [("", false), ("GET /health HTTP/1.1\r\nHost: x\r\nX-Slow", false), (HEALTH, true)] {
        let mut idle: Vec<TcpStream> = Vec::new();
        for _ in 0..100 {
            let mut stream = connect(&server);
            stream.write_all(request.as_bytes()).unwrap();
            if served {
                assert_eq!(status(&mut stream), "200");
            }
            idle.push(stream);
        }
        for n in 0..50 {
            let mut stream = connect(&server);
            stream.write_all(HEALTH.as_bytes()).unwrap();
            assert_eq!(status(&mut stream), "200", "{request} {n}");
        }
        assert_eq!(read(idle.remove(0)), "", "the first has made room");
        let mut last = idle.pop().unwrap();
        let rest =
            HEALTH.strip_prefix(request).filter(|_| !served).unwrap_or(if served { HEALTH } else { ": y\r\n\r\n" });
        last.write_all(rest.as_bytes()).unwrap();
        assert_eq!(status(&mut last), "200", "{request}: the last goes on");
    }
}

#[test]
fn at_the_limit_no_connection_with_a_request_in_flight_is_closed() {
    let server = Server::with(Database::Sqlite, &[("MAX_CONNECTIONS", "10"), ("BODY_TIMEOUT", "1h")]);
    let body = r#"{"title":"sent in two halves"}"#;
    let mut busy: Vec<TcpStream> = (0..10)
        .map(|_| {
            let mut stream = connect(&server);
            let head = format!(
                "POST /api/tasks HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
                 Authorization: Bearer {}\r\nExpect: 100-continue\r\n\r\n",
                body.len(),
                token("alice")
            );
            stream.write_all(head.as_bytes()).unwrap();
            assert_eq!(status(&mut stream), "100");
            stream
        })
        .collect();
    let mut further = connect(&server);
    further.write_all(HEALTH.as_bytes()).unwrap();
    for stream in &mut busy {
        stream.write_all(body.as_bytes()).unwrap();
        assert_eq!(status(stream), "201");
    }
    assert_eq!(status(&mut further), "200", "its turn comes when one of them is idle");
}

#[test]
fn a_client_that_reads_its_answer_too_slowly_is_disconnected() {
    let environment = [("WRITE_TIMEOUT", "1s"), ("WRITE_RATE", "65536"), ("MAX_CONNECTIONS", "1")];
    let server = Server::with(Database::Sqlite, &environment);
    let mut stream = connect(&server);
    stream.write_all("GET /docs HTTP/1.1\r\nHost: x\r\n\r\n".repeat(8).as_bytes()).unwrap();
    assert_eq!(status(&mut stream), "200");
    let cut = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            // A tenth of the required rate.
            while !cut.load(Ordering::Relaxed) && matches!(stream.read(&mut [0; 640]), Ok(1..)) {
                std::thread::sleep(Duration::from_millis(100));
            }
        });
        let _end = End(&cut);
        // With a limit of one connection, an answer here means that the other one is closed.
        assert_eq!(server.stranger().get("/health").status, 200);
    });
}

#[test]
fn a_client_that_reads_steadily_may_take_long() {
    let environment = [("WRITE_TIMEOUT", "3s"), ("WRITE_RATE", "1024")];
    let server = Server::with(Database::Sqlite, &environment);
    let mut stream = connect(&server);
    let requests = 4;
    let close = "GET /docs HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let others = "GET /docs HTTP/1.1\r\nHost: x\r\n\r\n".repeat(requests - 1);
    stream.write_all((others + close).as_bytes()).unwrap();
    let mut taken = Vec::new();
    let mut part = vec![0; 64 * 1024];
    loop {
        match stream.read(&mut part).unwrap() {
            0 => break,
            count => taken.extend_from_slice(&part[..count]),
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    let answers = String::from_utf8(taken).unwrap().matches("HTTP/1.1 200").count();
    assert_eq!(answers, requests, "all of it, over several times WRITE_TIMEOUT");
}

#[test]
fn slow_readers_take_little_memory_and_disconnect_nobody_else() {
    let server = Server::start(Database::Sqlite);
    let alice = server.user("alice");
    alice.create("x");
    server.sql(
        "WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 499)
         INSERT INTO tasks (user_id, id, title, title_key, description, completed, version, created_at, updated_at)
         SELECT user_id, randomblob(16), title, title_key, replace(hex(zeroblob(500)), '0', char(1)), completed,
         version, created_at, updated_at FROM tasks, n",
    );
    let request =
        format!("GET /api/tasks?limit=500 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\n\r\n", token("alice"));
    let slow: Vec<TcpStream> = (0..150)
        .map(|_| {
            let mut stream = connect(&server);
            // The first of several answers has begun. The buffers of both sides have no room for all.
            stream.write_all(request.repeat(4).as_bytes()).unwrap();
            assert_eq!(status(&mut stream), "200");
            stream
        })
        .collect();
    for n in 0..20 {
        assert_eq!(alice.list("?limit=500").len(), 500, "{n}");
    }
    let memory = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let peak = memory.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")).unwrap();
    assert!(peak.parse::<usize>().unwrap() < 250_000, "{peak} kB");
    drop(slow);
}

#[test]
fn data_that_is_not_http_is_rejected_and_the_server_continues() {
    let server = Server::start(Database::Sqlite);
    let big = format!("GET / HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n", "y".repeat(1 << 20));
    let many = format!("GET / HTTP/1.1\r\nHost: x\r\n{}\r\n", "X: y\r\n".repeat(1000));
    for request in [
        "\u{16}\u{3}\u{1}\u{0}\u{0}garbage\r\n\r\n",
        "GET /health HTTP/3.0\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        &big,
        &many,
    ] {
        let mut stream = connect(&server);
        drop(stream.write_all(request.as_bytes()));
        let answer = read(stream);
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
    }
    assert_eq!(server.stranger().get("/health").status, 200);
}
