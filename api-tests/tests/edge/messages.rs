//! HTTP/1.1 messages and the rules of RFC 9112.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    time::Duration,
};

use api_tests::{Answer, Database, Document, Method, Server, token};

/// A connection for several requests. Each answer must have a `Content-Length`.
struct Connection(BufReader<TcpStream>);

impl Connection {
    fn open(server: &Server) -> Self {
        let stream = TcpStream::connect(server.address()).unwrap();
        stream.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
        Self(BufReader::new(stream))
    }

    fn send(&mut self, text: &str) {
        self.0.get_mut().write_all(text.as_bytes()).unwrap();
    }

    /// The next answer; `None` if the connection has ended.
    fn answer(&mut self, method: &Method, path: &str) -> Option<Answer> {
        let mut text = String::new();
        while !text.ends_with("\r\n\r\n") {
            if self.0.read_line(&mut text).unwrap_or(0) == 0 {
                assert_eq!(text, "");
                return None;
            }
        }
        let length = text.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
        let mut body = vec![0; length.unwrap_or(0)];
        self.0.read_exact(&mut body).unwrap();
        text.push_str(&String::from_utf8(body).unwrap());
        Some(Answer::read(method, path, &text))
    }
}

/// Requests that are rejected before their body is read.
fn refused() -> Vec<(Method, String, &'static str, u16)> {
    let id = "0193d5a0-1111-7abc-8def-0123456789ab";
    let mut requests = vec![
        (Method::POST, "/nowhere".to_owned(), "", 404),
        (Method::POST, "/docs".to_owned(), "", 405),
        (Method::POST, "/health".to_owned(), "", 405),
        (Method::PUT, "/api/tasks".to_owned(), "", 405),
    ];
    for operation in Document::committed().operations() {
        requests.push((operation.method, operation.path.replace("{id}", id), "", 401));
    }
    requests.push((Method::PUT, format!("/api/tasks/{id}"), "If-Match: nonsense\r\n", 400));
    requests
}

#[test]
fn a_connection_continues_after_a_rejection_if_the_body_comes_later() {
    let server = Server::start(Database::Sqlite);
    for (n, (method, path, header, status)) in refused().into_iter().enumerate() {
        for framing in ["Content-Length: 13", "Transfer-Encoding: chunked"] {
            let mut connection = Connection::open(&server);
            let id = format!("{n}-{}", framing.len());
            let token = if status == 401 { String::new() } else { token("alice") };
            connection.send(&format!(
                "{method} {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n{header}X-Request-Id: {id}\r\n\
                 Content-Type: application/json\r\n{framing}\r\n\r\n"
            ));
            // The answer comes before the body.
            server.wait_for_log(|line| (line["request_id"] == id.as_str()).then_some(()));
            let body = r#"{"title":"x"}"#;
            let body = if framing.contains("chunked") { format!("d\r\n{body}\r\n0\r\n\r\n") } else { body.to_owned() };
            connection.send(&format!("{body}GET /health HTTP/1.1\r\nHost: x\r\n\r\n"));
            let answer = connection.answer(&method, &path).unwrap();
            assert_eq!(answer.status, status, "{method} {path}");
            if answer.header("connection") != "close" {
                let next = connection.answer(&Method::GET, "/health").map(|answer| answer.status);
                assert_eq!(next, Some(200), "{method} {path} {framing}");
            }
        }
    }
}

#[test]
fn a_rejection_closes_the_connection_if_the_body_does_not_come() {
    let server = Server::start(Database::Sqlite);
    for (method, path, header, status) in refused() {
        for more in ["", "Expect: 100-continue\r\n"] {
            let mut connection = Connection::open(&server);
            let token = if status == 401 { String::new() } else { token("alice") };
            connection.send(&format!(
                "{method} {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n{header}{more}\
                 Content-Type: application/json\r\nContent-Length: 13\r\n\r\n"
            ));
            let answer = connection.answer(&method, &path).unwrap();
            assert_eq!((answer.status, answer.header("connection")), (status, "close"), "{method} {path} {more}");
            assert!(connection.answer(&method, &path).is_none());
        }
    }
}

#[test]
fn a_body_that_is_too_large_does_not_close_the_connection() {
    let server = Server::start(Database::Sqlite);
    let mut connection = Connection::open(&server);
    let create = |body: &str| {
        format!(
            "POST /api/tasks HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{body}",
            token("alice"),
            body.len()
        )
    };
    connection.send(&create(&" ".repeat(1 << 20)));
    connection.send(&create(r#"{"title":"x"}"#));
    let mut statuses = || connection.answer(&Method::POST, "/api/tasks").unwrap().status;
    assert_eq!([statuses(), statuses()], [413, 201]);
}

#[test]
fn the_host_of_a_request_is_unambiguous() {
    let server = Server::start(Database::Sqlite);
    for (version, hosts, status) in [
        ("1.1", &[][..], 400),
        ("1.1", &["x", "x"], 400),
        ("1.1", &["x", "y"], 400),
        ("1.1", &["x, y"], 400),
        ("1.1", &["a b"], 400),
        ("1.1", &["user@x"], 400),
        ("1.1", &["http://x"], 400),
        ("1.1", &["x/y"], 400),
        ("1.1", &["x:port"], 400),
        ("1.1", &["x:80:80"], 400),
        ("1.1", &["[::1"], 400),
        ("1.1", &["[::1]x"], 400),
        ("1.1", &["[x]"], 400),
        ("1.1", &["::1"], 400),
        ("1.1", &["x"], 200),
        ("1.1", &[""], 200),
        ("1.1", &["x:"], 200),
        ("1.1", &["EXAMPLE.com:8000"], 200),
        ("1.1", &["[::1]:8000"], 200),
        ("1.1", &["under_score.internal"], 200),
        ("1.0", &[], 200),
        ("1.0", &["x"], 200),
        ("1.0", &["x", "x"], 400),
    ] {
        let hosts = hosts.iter().map(|host| format!("Host: {host}\r\n")).collect::<Vec<_>>().concat();
        for (method, path) in ["/api/tasks", "/health", "/docs", "/health/"].map(|path| (Method::GET, path)) {
            let status = if status == 200 && path.ends_with('/') { 404 } else { status };
            let mut connection = Connection::open(&server);
            let token = token("alice");
            connection.send(&format!(
                "{method} {path} HTTP/{version}\r\n{hosts}Authorization: Bearer {token}\r\nConnection: close\r\n\r\n"
            ));
            let answer = connection.answer(&method, path).unwrap();
            assert_eq!(answer.status, status, "HTTP/{version} {hosts} {path}");
            if status == 400 {
                assert_eq!(answer.problem(), "400 malformed_request");
                assert!(answer.json()["detail"].as_str().unwrap().contains("Host"));
            }
        }
    }
}

#[test]
fn the_end_of_a_request_is_unambiguous() {
    let server = Server::start(Database::Sqlite);
    let chunks = "d\r\n{\"title\":\"x\"}\r\n0\r\n\r\n";
    // None: rejected before it is a request.
    for (framing, body, status) in [
        ("Transfer-Encoding: chunked", chunks, Some(201)),
        ("Transfer-Encoding: Chunked", chunks, Some(201)),
        ("Transfer-Encoding: gzip, chunked", chunks, Some(400)),
        ("Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked", chunks, Some(400)),
        ("Transfer-Encoding: chunked, chunked", chunks, Some(400)),
        ("Transfer-Encoding: identity, chunked", chunks, Some(400)),
        ("Transfer-Encoding: chunked, gzip", chunks, None),
        ("Transfer-Encoding: gzip", chunks, None),
        ("Transfer-Encoding: x", chunks, None),
        ("Content-Length: 13", r#"{"title":"x"}"#, Some(201)),
        ("Content-Length: +13", r#"{"title":"x"}"#, None),
        ("Content-Length: 13\r\nContent-Length: 14", r#"{"title":"x"}"#, None),
        ("Content-Length : 13", r#"{"title":"x"}"#, None),
        ("Content-Length: 1\r\n 3", r#"{"title":"x"}"#, None),
    ] {
        let mut stream = TcpStream::connect(server.address()).unwrap();
        let head = "POST /api/tasks HTTP/1.1\r\nHost: x\r\nContent-Type: application/json";
        // The second request must never be taken for a part of the first, nor the first for two.
        let second = "GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
        let first = format!("{head}\r\nAuthorization: Bearer {}\r\n{framing}\r\n\r\n{body}", token("alice"));
        stream.write_all((first + second).as_bytes()).unwrap();
        let mut text = Vec::new();
        drop(stream.read_to_end(&mut text));
        let text = String::from_utf8(text).unwrap();
        let statuses: Vec<&str> = text.split("HTTP/1.1 ").skip(1).map(|answer| &answer[..3]).collect();
        match status {
            Some(201) => assert_eq!(statuses, ["201", "200"], "{framing}"),
            Some(_) => {
                let answer = Answer::read(&Method::POST, "/api/tasks", &text);
                assert_eq!(
                    (answer.problem().as_str(), answer.header("connection")),
                    ("400 malformed_request", "close")
                );
            }
            None => assert_eq!(statuses, ["400"], "{framing}"),
        }
    }
}

#[test]
fn a_length_beside_chunks_is_ignored_and_the_connection_closes() {
    let server = Server::start(Database::Sqlite);
    for framing in
        ["Transfer-Encoding: chunked\r\nContent-Length: 1", "Content-Length: 99\r\nTransfer-Encoding: chunked"]
    {
        let mut connection = Connection::open(&server);
        let head = "POST /api/tasks HTTP/1.1\r\nHost: x\r\nContent-Type: application/json";
        let body = "d\r\n{\"title\":\"x\"}\r\n0\r\n\r\n";
        connection.send(&format!("{head}\r\nAuthorization: Bearer {}\r\n{framing}\r\n\r\n{body}", token("alice")));
        let answer = connection.answer(&Method::POST, "/api/tasks").unwrap();
        assert_eq!((answer.status, answer.header("connection")), (201, "close"), "{framing}");
        assert!(connection.answer(&Method::POST, "/api/tasks").is_none());
    }
}

#[test]
fn options_of_the_whole_server_lists_its_methods() {
    let server = Server::start(Database::Sqlite);
    let mut connection = Connection::open(&server);
    connection.send("OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n");
    let answer = connection.answer(&Method::OPTIONS, "*").unwrap();
    assert_eq!((answer.status, answer.header("allow")), (204, "DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT"));
}

#[test]
fn too_many_or_too_large_headers_are_rejected() {
    let server = Server::start(Database::Sqlite);
    for (count, length, status) in [(100, 1, 200), (101, 1, 431), (3, 31 << 10, 200), (3, 32 << 10, 431)] {
        let mut connection = Connection::open(&server);
        let others = format!("X-Padding: {}\r\n{}", "x".repeat(length), "X-Other: 1\r\n".repeat(count - 3));
        let request = format!("GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{others}\r\n");
        // Fails if the server has rejected the request before its end.
        drop(connection.0.get_mut().write_all(request.as_bytes()));
        let mut line = String::new();
        connection.0.read_line(&mut line).unwrap();
        assert!(line.starts_with(&format!("HTTP/1.1 {status} ")), "{count} headers, {length} bytes: {line}");
    }
}
