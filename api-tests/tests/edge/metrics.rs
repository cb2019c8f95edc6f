//! The metrics: their values, their labels, and the listener that serves them.

use std::{
    io::{ErrorKind, Read, Write},
    net::{TcpListener, TcpStream},
    process::Command,
    time::Duration,
};

use api_tests::{
    Database::{self, Postgres, Sqlite},
    Issuer, Method, Metrics, Reply, Server, ask, now, token,
};
use serde_json::json;

use super::jwks;

pub(super) const ON: (&str, &str) = ("METRICS_ADDRESS", "127.0.0.1:0");
const REQUESTS: &str = "http_server_request_duration_seconds_count";
const STATEMENTS: &str = "db_client_operation_duration_seconds_count";
const REFUSALS: &str = "todo_api_refusals_total";
const CLOSED: &str = "todo_api_closed_connections_total";

fn start(database: Database) -> Server {
    Server::with(database, &[ON])
}

/// Reads until the server closes the connection.
fn until_closed(mut stream: TcpStream) {
    stream.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
    match stream.read_to_end(&mut Vec::new()) {
        Ok(_) => {}
        Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
    }
}

#[test]
fn requests_and_statements_are_counted_by_their_kind() {
    for database in [Sqlite, Postgres] {
        let server = start(database);
        let alice = server.user("alice");
        let id = alice.create("x")["id"].as_str().unwrap().to_owned();
        let path = format!("/api/tasks/{id}");
        for _ in 0..7 {
            assert_eq!(alice.get(&path).status, 200);
        }
        for _ in 0..3 {
            assert_eq!(alice.put(&path, &json!({ "title": "y" })).status, 200);
        }
        assert_eq!(alice.delete(&path).status, 204);
        assert_eq!(alice.get(&path).status, 404);
        let metrics = Metrics::of(&server);
        let requests = |method: &str, route: &str, status: &str| {
            let labels = [
                format!("http_request_method=\"{method}\""),
                format!("http_route=\"{route}\""),
                format!("http_response_status_code=\"{status}\""),
            ];
            metrics.count(REQUESTS, &labels.each_ref().map(String::as_str))
        };
        assert_eq!(requests("POST", "/api/tasks", "201"), 1);
        assert_eq!(requests("GET", "/api/tasks/{id}", "200"), 7);
        assert_eq!(requests("PUT", "/api/tasks/{id}", "200"), 3);
        assert_eq!(requests("DELETE", "/api/tasks/{id}", "204"), 1);
        assert_eq!(requests("GET", "/api/tasks/{id}", "404"), 1);
        assert_eq!(metrics.count(REQUESTS, &["http_route=\"/api"]), 13);
        let system = if database == Sqlite { "db_system_name=\"sqlite\"" } else { "db_system_name=\"postgresql\"" };
        let statements = |operation: &str, error: &str| metrics.count(STATEMENTS, &[system, operation, error]);
        // A read that finds nothing tells by a second one whether the task is another user's.
        assert_eq!(statements("\"SELECT\"", "error_type=\"\""), 9);
        assert_eq!(statements("\"UPDATE\"", "error_type=\"\""), 3);
        assert_eq!(statements("\"INSERT\"", "error_type=\"\""), 1);
        assert_eq!(statements("\"INSERT\"", "error_type=\"foreign_key\""), 1);
        let seconds = metrics.sum("http_server_request_duration_seconds_sum", &["http_route=\"/api/tasks/{id}\""]);
        assert!(0.0 < seconds && seconds < 60.0, "{seconds}");
        if database == Sqlite {
            let changes = metrics.count("todo_api_sqlite_commit_changes_sum", &[]);
            let commits = metrics.count("todo_api_sqlite_commit_duration_seconds_count", &[]);
            assert!(commits > 0 && commits <= changes, "{commits} commits of {changes} changes");
            for file in ["database", "wal"] {
                assert!(metrics.count("todo_api_sqlite_file_bytes", &[file]) >= 4096, "{}", metrics.0);
            }
        } else {
            assert!(!metrics.0.contains("sqlite"), "{}", metrics.0);
        }
    }
}

#[test]
fn connections_to_the_database_are_counted_by_lane_and_state() {
    let server = start(Postgres);
    let of = |metrics: &Metrics, lane: &str, state: &str| metrics.count("db_client_connections", &[lane, state]);
    let all_idle = |metrics: &Metrics| {
        (of(metrics, "read", "idle"), of(metrics, "write", "idle")) == (2, 16)
            && of(metrics, "write", "used") + of(metrics, "write", "aside") == 0
    };
    let metrics = Metrics::when(&server, all_idle);
    assert_eq!(metrics.count("db_client_connection_max", &["read"]), 2);
    assert_eq!(metrics.count("db_client_connection_max", &["write"]), 16);
    // The connection that is used last is used next, and has prepared the statement: so the change below is sent.
    Metrics::when(&server, |metrics| metrics.count(STATEMENTS, &["DELETE"]) == 1 && all_idle(metrics));
    let alice = server.user("alice");
    alice.create("x");
    alice.create("y");
    let locked = server.hold_writes();
    // Its connection is set aside until the database responds.
    assert_eq!(alice.post("/api/tasks", &json!({ "title": "z" })).status, 503);
    Metrics::when(&server, |metrics| of(metrics, "write", "aside") == 1);
    drop(locked);
    Metrics::when(&server, all_idle);
    assert_eq!(Metrics::of(&server).count(STATEMENTS, &["error_type=\"unknown_outcome\""]), 1);
}

#[test]
fn refusals_are_counted_by_their_code() {
    let server = Server::with(Sqlite, &[ON, ("BODY_LIMIT", "100"), ("CORS_ORIGINS", "https://app.example.com")]);
    let (alice, bob) = (server.user("alice"), server.user("bob"));
    let path = alice.post("/api/tasks", &json!({ "title": "x" })).header("location").to_owned();
    let before = Metrics::of(&server);
    assert_eq!(before.count(REFUSALS, &[]), 0);
    assert!(before.0.contains("reason=\"unavailable\"} 0"), "a counter begins with 0: {}", before.0);
    assert_eq!(server.stranger().get(&path).status, 401);
    assert_eq!(alice.with_token("x").get(&path).status, 401);
    assert_eq!(alice.with_token("x").get(&path).status, 401);
    assert_eq!(bob.get(&path).status, 403);
    assert_eq!(alice.get("/nope").status, 404);
    assert_eq!(alice.post("/health", &json!({})).status, 405);
    assert_eq!(alice.post("/api/tasks", &json!({ "title": "x".repeat(200) })).status, 413);
    assert_eq!(alice.post("/api/tasks", &json!({})).status, 422);
    // None of these is a refusal.
    let preflight = alice.request(Method::OPTIONS, "/nope").header("Origin", "https://app.example.com");
    assert_eq!(alice.send(preflight.header("Access-Control-Request-Method", "GET")).status, 204);
    assert_eq!(alice.send(alice.request(Method::OPTIONS, "/health")).status, 204);
    assert_eq!(alice.with_header(Method::GET, &path, ("If-None-Match", Some("\"1\"")), None).status, 304);
    let metrics = Metrics::of(&server);
    for (reason, count) in [
        ("token_missing", 1),
        ("token_invalid", 2),
        ("task_forbidden", 1),
        ("route_not_found", 1),
        ("method_not_allowed", 1),
        ("payload_too_large", 1),
        ("validation_failed", 1),
    ] {
        assert_eq!(metrics.count(REFUSALS, &[&format!("reason=\"{reason}\"")]), count);
    }
    assert_eq!(metrics.count(REFUSALS, &[]), 8);

    let server = Server::with(Sqlite, &[ON, ("RATE_LIMIT", "1")]);
    let alice = server.user("alice");
    let mut passed = 0;
    while alice.get("/api/tasks").status != 429 {
        passed += 1;
    }
    let metrics = Metrics::of(&server);
    assert_eq!(metrics.count(REFUSALS, &["rate_limited"]), 1);
    assert_eq!(metrics.count(REQUESTS, &["http_response_status_code=\"200\""]), passed);

    // Nothing listens there.
    let server = Server::at("postgresql://u@127.0.0.1:1/d", &[ON]);
    assert_eq!(server.user("alice").get("/api/tasks").status, 503);
    let metrics = Metrics::of(&server);
    assert_eq!(metrics.count(REFUSALS, &["unavailable"]), 1);
    assert_eq!(metrics.count(STATEMENTS, &["SELECT", "error_type=\"unavailable\""]), 1);
    assert_eq!(metrics.count("db_client_connections", &[]), 0);
}

#[test]
fn connections_are_counted_while_they_are_open_and_when_the_server_closes_them() {
    let server = start(Sqlite);
    let connect = |server: &Server, bytes: &[u8]| {
        let mut stream = TcpStream::connect(server.address()).unwrap();
        stream.write_all(bytes).unwrap();
        stream
    };
    let request = format!(
        "POST /api/tasks HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\n\
         Content-Length: 20\r\n\r\n{{",
        token("alice")
    );
    let (idle, active) = (connect(&server, b""), connect(&server, request.as_bytes()));
    let open = |metrics: &Metrics, state: &str| metrics.count("http_server_open_connections", &[state]);
    let metrics = Metrics::when(&server, |metrics| (open(metrics, "active"), open(metrics, "idle")) == (1, 1));
    assert_eq!(metrics.count("http_server_active_requests", &[]), 1);
    assert_eq!(metrics.count("todo_api_connections_max", &[]), 10_000);
    drop((idle, active));
    Metrics::when(&server, |metrics| open(metrics, "active") + open(metrics, "idle") == 0);
    until_closed(connect(&server, b"\x16\x03\x01 is not HTTP\r\n\r\n"));
    let metrics = Metrics::when(&server, |metrics| metrics.count(CLOSED, &["malformed"]) == 1);
    assert_eq!(metrics.count(CLOSED, &[]), 1);

    let limits = [("FIRST_BYTE_TIMEOUT", "1s"), ("HEADER_TIMEOUT", "1s"), ("KEEP_ALIVE_TIMEOUT", "1s")];
    let server = Server::with(Sqlite, &[&[ON], &limits[..]].concat());
    for begin in [&b""[..], b"GET /", b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"] {
        until_closed(connect(&server, begin));
    }
    let reasons = ["first_byte_timeout", "header_timeout", "keep_alive_timeout"];
    Metrics::when(&server, |metrics| reasons.iter().all(|reason| metrics.count(CLOSED, &[reason]) == 1));

    let server = Server::with(Sqlite, &[ON, ("MAX_CONNECTIONS", "1")]);
    let first = connect(&server, b"");
    let _second = connect(&server, b"");
    until_closed(first);
    Metrics::when(&server, |metrics| metrics.count(CLOSED, &["connection_limit"]) == 1);
}

#[test]
fn connections_of_clients_that_do_not_read_are_counted_by_the_limit_that_closes_them() {
    // More than the buffers of both sides take.
    let pages = "GET /docs HTTP/1.1\r\nHost: x\r\n\r\n".repeat(8);
    let timeout = (("WRITE_TIMEOUT", "500ms"), "write_timeout", 2);
    // The answer that has waited the longest is given up for the newest, which stays.
    let limit = (("WRITE_LIMIT", "65536"), "write_limit", 1);
    for (limit, reason, count) in [timeout, limit] {
        let server = Server::with(Sqlite, &[ON, limit]);
        let mut streams = [(); 2].map(|()| TcpStream::connect(server.address()).unwrap());
        for stream in &mut streams {
            stream.write_all(pages.as_bytes()).unwrap();
        }
        let metrics = Metrics::when(&server, |metrics| metrics.count(CLOSED, &[reason]) == count);
        assert_eq!(metrics.count(CLOSED, &[]), count);
    }
}

#[test]
fn connections_that_the_server_cannot_accept_are_counted() {
    let server = start(Sqlite);
    let limit_files = |limit: &str| {
        let process = server.pid().to_string();
        let status = Command::new("prlimit").args(["--pid", &process, &format!("--nofile={limit}:")]).status();
        assert!(status.unwrap().success());
    };
    limit_files("1");
    let _connection = TcpStream::connect(server.address()).unwrap();
    server.wait_for_log(|line| line["message"].as_str()?.contains("cannot be accepted").then_some(()));
    limit_files("1024");
    Metrics::when(&server, |metrics| metrics.count(CLOSED, &["not_accepted"]) >= 1);
}

#[test]
fn fetches_of_keys_are_counted_by_their_outcome() {
    let key = jwks::key("1");
    let issuer = Issuer::start(Reply::keys([&key]));
    let server = jwks::server(&issuer, &[ON, ("AUTH_JWKS_REFRESH", "1s")]);
    let fetches =
        |metrics: &Metrics, outcome: &str| metrics.count("todo_api_jwks_fetch_duration_seconds_count", &[outcome]);
    let metrics = Metrics::when(&server, |metrics| fetches(metrics, "success") >= 1);
    assert_eq!(fetches(&metrics, "failure"), 0);
    let last = metrics.count("todo_api_jwks_last_success_timestamp_seconds", &[]);
    assert!(now().abs_diff(last.try_into().unwrap()) < 120, "{last}");
    issuer.reply(Reply::http("500 Internal Server Error", "", "x"));
    Metrics::when(&server, |metrics| fetches(metrics, "failure") >= 1);
    assert!(!Metrics::of(&start(Sqlite)).0.contains("jwks"), "a server with a secret fetches nothing");
}

#[test]
fn no_request_adds_a_label_of_its_own() {
    let server = start(Sqlite);
    let address = server.address();
    let id = server.user("SUBJECT-1").create("TITLE-TEXT")["id"].as_str().unwrap().to_owned();
    let send = |n: u32| {
        let token = token(&format!("SUBJECT-{n}"));
        let (real, odd) = (format!("/api/tasks/{id}?q={n}"), format!("/odd-{n}"));
        for (method, path) in [
            ("GET", real.as_str()),
            ("GET", &format!("/api/tasks/{n}")),
            ("GET", &odd),
            ("GET", &format!("/api{odd}/x/y")),
            ("GET", &format!("/docs{odd}")),
            ("GET", &format!("//{n}//")),
            (&format!("ODD-{n}"), "/health"),
            (&format!("ODD-{n}"), &odd),
            ("OPTIONS", "*"),
            ("HEAD", "/health"),
        ] {
            let headers = format!("Host: x\r\nAuthorization: Bearer {token}\r\nX-Request-Id: ODD-{n}");
            let answer = ask(address, &format!("{method} {path} HTTP/1.1\r\n{headers}\r\nConnection: close\r\n\r\n"));
            assert!(answer.starts_with("HTTP/1.1 "), "{method} {path}: {answer}");
        }
        token
    };
    let first = send(1);
    let before = Metrics::of(&server);
    let tokens: Vec<_> = (2..20).map(send).collect();
    let after = Metrics::of(&server);
    assert_eq!(before.series(), after.series());
    for text in ["SUBJECT", "TITLE", "ODD", "odd", &id, &first, &tokens[0]] {
        assert!(!after.0.contains(text), "{text}: {}", after.0);
    }
    assert_eq!(after.count(REQUESTS, &["http_request_method=\"_OTHER\""]), 2 * 19);
    assert_eq!(after.count(REQUESTS, &["http_request_method=\"HEAD\""]), 19);
    assert!(after.count(REQUESTS, &["http_route=\"-\""]) >= 2 * 19);
}

#[test]
fn the_listener_has_only_the_metrics_and_ends_with_the_server() {
    let mut server = start(Sqlite);
    let address = Metrics::address(&server);
    let status = |method: &str, path: &str| {
        let request = format!("{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
        ask(&address, &request).split(' ').nth(1).unwrap().to_owned()
    };
    for (method, path, expected) in [
        ("GET", "/metrics", "200"),
        ("HEAD", "/metrics", "200"),
        ("GET", "/metrics?x=1", "200"),
        ("POST", "/metrics", "404"),
        ("GET", "/", "404"),
        ("GET", "/metrics/", "404"),
        ("GET", "/health", "404"),
        ("GET", "/api/tasks", "404"),
    ] {
        assert_eq!(status(method, path), expected, "{method} {path}");
    }
    assert_eq!(server.stranger().get("/metrics").status, 404, "the API has no metrics");
    // Connections that nobody uses give way.
    let open: Vec<_> = (0..50).map(|_| TcpStream::connect(&address).unwrap()).collect();
    Metrics::when(&server, |metrics| metrics.count("http_server_open_connections", &[]) == 0);
    server.signal("TERM");
    assert!(server.wait().success());
    drop(open);
    TcpStream::connect(&address).unwrap_err();
}

#[test]
fn a_server_without_an_address_that_it_can_use_does_not_start() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    let (status, line) = Server::refused(&[("METRICS_ADDRESS", &taken)]);
    let start = format!("todo-api: METRICS_ADDRESS: cannot listen on {taken}: ");
    assert!(status == Some(2) && line.starts_with(&start), "{line}");
    for wrong in ["9464", ":9464", "127.0.0.1", "example.com:9464", "http://127.0.0.1:9464", "127.0.0.1:9464/metrics"] {
        let (status, line) = Server::refused(&[("METRICS_ADDRESS", wrong)]);
        let error =
            "todo-api: METRICS_ADDRESS is not an IP address with a port; for example METRICS_ADDRESS=127.0.0.1:9464";
        assert_eq!((status, line.as_str()), (Some(2), error), "{wrong}");
    }
    for good in ["localhost:0", "[::1]:0", "0.0.0.0:0"] {
        let server = Server::with(Sqlite, &[("METRICS_ADDRESS", good)]);
        Metrics::address(&server);
    }
    let server = Server::start(Sqlite);
    assert!(!server.log().iter().any(|line| line.contains("serving metrics")));
}
