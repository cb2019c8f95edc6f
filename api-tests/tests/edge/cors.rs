use std::{
    io::{Read, Write},
    net::TcpStream,
};

use api_tests::{Answer, Database, Method, Server};

const ORIGINS: (&str, &str) = ("CORS_ORIGINS", "https://app.example, http://localhost:3000");
const EXPOSED: &str = "ETag, Link, Location, Retry-After, Idempotency-Replayed, X-Request-Id, X-Total-Count";
/// The headers that a preflight depends on.
const PREFLIGHT_VARY: &str =
    "Origin, Access-Control-Request-Method, Access-Control-Request-Headers, Access-Control-Request-Private-Network";

fn ask(server: &Server, method: Method, path: &str, headers: &[(&str, &str)]) -> Answer {
    let client = server.user("alice");
    let request =
        headers.iter().fold(client.request(method, path), |request, (name, value)| request.header(*name, *value));
    client.send(request)
}

fn cors_headers(answer: &Answer) -> Vec<String> {
    let names = answer.headers.keys().map(ToString::to_string);
    names.filter(|name| name.starts_with("access-control-")).collect()
}

#[test]
fn a_listed_origin_may_read_answers_with_credentials_errors_included() {
    let server = Server::with(Database::Sqlite, &[ORIGINS]);
    for origin in ["https://app.example", "http://localhost:3000"] {
        for (path, status) in
            [("/api/tasks", 200), ("/api/tasks?x=1", 422), ("/api/tasks/1", 404), ("/nope", 404), ("/health", 200)]
        {
            let answer = ask(&server, Method::GET, path, &[("Origin", origin)]);
            assert_eq!(answer.status, status, "{path}");
            assert_eq!(answer.header("access-control-allow-origin"), origin, "{path}");
            assert_eq!(answer.header("access-control-allow-credentials"), "true", "{path}");
            assert_eq!(answer.header("access-control-expose-headers"), EXPOSED, "{path}");
            assert_eq!(answer.header("vary"), "Origin", "{path}");
        }
    }
    let unauthorized = server.stranger();
    let answer =
        unauthorized.send(unauthorized.request(Method::GET, "/api/tasks").header("Origin", "https://app.example"));
    assert_eq!((answer.status, answer.header("access-control-allow-origin")), (401, "https://app.example"));
}

#[test]
fn a_preflight_of_a_listed_origin_is_permitted_on_every_path_for_any_request() {
    let server = Server::with(Database::Sqlite, &[ORIGINS]);
    let client = server.stranger();
    let paths = ["/api/tasks", "/api/tasks/1", "/api/tasks/1/complete", "/health", "/docs", "/", "/nope", "/api/%ff"];
    for path in paths {
        for method in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "PURGE", "patch", ""] {
            let request = client.request(Method::OPTIONS, path).header("Origin", "https://app.example");
            let answer = client.send(request.header("Access-Control-Request-Method", method));
            let what = format!("{method} {path}");
            assert_eq!((answer.status, answer.body.len()), (204, 0), "{what}");
            assert_eq!(answer.header("access-control-allow-origin"), "https://app.example", "{what}");
            assert_eq!(answer.header("access-control-allow-credentials"), "true", "{what}");
            assert_eq!(answer.header("access-control-allow-methods"), "GET, POST, PUT, PATCH, DELETE", "{what}");
            assert_eq!(answer.header("access-control-max-age"), "600", "{what}");
            assert_eq!(answer.header("vary"), PREFLIGHT_VARY, "{what}");
        }
    }
}

#[test]
fn a_preflight_permits_the_headers_that_it_asks_for() {
    let server = Server::with(Database::Sqlite, &[ORIGINS]);
    let own = "Authorization, Content-Type, If-Match, If-None-Match, Idempotency-Key";
    let (most, more) = ("x".repeat(1024), "x".repeat(1025));
    for (asked, permitted) in [
        (vec!["authorization,content-type,if-match"], "authorization,content-type,if-match"),
        (vec!["traceparent, baggage, sentry-trace"], "traceparent, baggage, sentry-trace"),
        (vec!["authorization", "traceparent"], "authorization, traceparent"),
        (vec![most.as_str()], most.as_str()),
        // An invalid list gets the headers of the API.
        (vec![more.as_str()], own),
        (vec!["x y"], own),
        (vec!["x: y"], own),
        (vec!["x,\u{e9}"], own),
        (vec![""], own),
        (vec![], own),
    ] {
        let preflight = [("Origin", "https://app.example"), ("Access-Control-Request-Method", "PUT")];
        let headers = asked.iter().map(|asked| ("Access-Control-Request-Headers", *asked));
        let answer =
            ask(&server, Method::OPTIONS, "/api/tasks", &preflight.into_iter().chain(headers).collect::<Vec<_>>());
        assert_eq!((answer.status, answer.header("access-control-allow-headers")), (204, permitted), "{asked:?}");
    }
}

#[test]
fn a_listed_origin_may_reach_a_server_in_a_private_network() {
    let server = Server::with(Database::Sqlite, &[ORIGINS]);
    for (origin, asked, granted) in [
        ("https://app.example", "true", "true"),
        ("https://app.example", "false", ""),
        ("https://evil.example", "true", ""),
    ] {
        let preflight = [
            ("Origin", origin),
            ("Access-Control-Request-Method", "PUT"),
            ("Access-Control-Request-Private-Network", asked),
        ];
        let answer = ask(&server, Method::OPTIONS, "/api/tasks", &preflight);
        assert_eq!(answer.header("access-control-allow-private-network"), granted, "{origin} {asked}");
    }
}

#[test]
fn options_without_a_listed_origin_is_not_a_preflight() {
    let server = Server::with(Database::Sqlite, &[ORIGINS]);
    let method = ("Access-Control-Request-Method", "PUT");
    let listed = ("Origin", "https://app.example");
    for headers in [vec![], vec![method], vec![listed], vec![("Origin", "https://evil.example"), method]] {
        let answer = ask(&server, Method::OPTIONS, "/api/tasks", &headers);
        assert_eq!((answer.status, answer.header("allow")), (204, "GET, HEAD, OPTIONS, POST"), "{headers:?}");
        assert_eq!(answer.header("access-control-allow-methods"), "", "{headers:?}");
        assert_eq!(answer.header("vary"), PREFLIGHT_VARY, "{headers:?}");
        assert_eq!(ask(&server, Method::OPTIONS, "/nope", &headers).problem(), "404 route_not_found", "{headers:?}");
    }
}

#[test]
fn a_cacheable_answer_varies_by_origin() {
    let server = Server::with(Database::Sqlite, &[ORIGINS]);
    let alice = server.user("alice");
    let task = format!("/api/tasks/{}", alice.create("x")["id"].as_str().unwrap());
    for path in ["/docs", "/openapi.yaml", "/openapi.json", "/openapi-3.0.json", "/", &task] {
        for origin in [None, Some(("Origin", "https://app.example")), Some(("Origin", "https://evil.example"))] {
            let headers: Vec<_> = origin.into_iter().collect();
            let answer = ask(&server, Method::GET, path, &headers);
            assert_eq!(answer.header("vary"), "Origin", "{path} {origin:?}");
            if answer.headers.contains_key("etag") {
                let headers = [headers, vec![("If-None-Match", answer.header("etag"))]].concat();
                let again = ask(&server, Method::GET, path, &headers);
                assert_eq!((again.status, again.header("vary")), (304, "Origin"), "{path} {origin:?}");
                let own = |answer: &Answer| answer.header("access-control-allow-origin").to_owned();
                assert_eq!(own(&again), own(&answer), "{path} {origin:?}");
            }
        }
    }
}

#[test]
fn an_unlisted_origin_is_served_without_cors_headers() {
    let server = Server::with(Database::Sqlite, &[ORIGINS]);
    for origin in [
        "https://evil.example",
        "http://app.example",
        "https://app.example:444",
        "https://app.example.evil.example",
        "https://sub.app.example",
        "HTTPS://APP.EXAMPLE",
        "null",
        "https://app.example/",
    ] {
        let answer = ask(&server, Method::GET, "/api/tasks", &[("Origin", origin)]);
        assert_eq!((answer.status, answer.header("vary")), (200, "Origin"), "{origin}");
        assert!(cors_headers(&answer).is_empty(), "{origin}");
        let preflight = [("Origin", origin), ("Access-Control-Request-Method", "PUT")];
        let answer = ask(&server, Method::OPTIONS, "/api/tasks", &preflight);
        assert_eq!((answer.status, answer.header("vary")), (204, PREFLIGHT_VARY), "{origin}");
        assert!(cors_headers(&answer).is_empty(), "{origin}");
    }
}

#[test]
fn without_configured_origins_none_is_allowed() {
    let server = Server::start(Database::Sqlite);
    for origin in ["https://app.example", "http://localhost:3000", "*"] {
        let answer = ask(&server, Method::GET, "/api/tasks", &[("Origin", origin)]);
        assert_eq!(answer.status, 200);
        assert!(cors_headers(&answer).is_empty(), "{origin}");
    }
}

#[test]
fn an_entry_is_normalized_to_the_form_of_browsers() {
    let origins = "https://Slash.example/, HTTPS://UPPER.Example, https://port.example:443, http://port.example:80/, \
                   https://other.example:8443, https://bücher.example, http://[0:0:0:0:0:0:0:1]:3000, http://127.1, \
                   capacitor://localhost, ionic://localhost, Tauri://localhost/, http://tauri.localhost, app://-, \
                   chrome-extension://nkbihfbeogaeaoehlefnkodbefgpgknn/, \
                   moz-extension://7a8b1b4e-2f0d-4c4f-9f0e-0d6f5f3f9b11, \
                   safari-web-extension://E8BEA491-9B80-45DB-8B20-3E586473BD47,";
    let server = Server::with(Database::Sqlite, &[("CORS_ORIGINS", origins)]);
    for origin in [
        "https://slash.example",
        "https://upper.example",
        "https://port.example",
        "http://port.example",
        "https://other.example:8443",
        "https://xn--bcher-kva.example",
        "http://[::1]:3000",
        "http://127.0.0.1",
        "capacitor://localhost",
        "ionic://localhost",
        "tauri://localhost",
        "http://tauri.localhost",
        "app://-",
        "chrome-extension://nkbihfbeogaeaoehlefnkodbefgpgknn",
        "moz-extension://7a8b1b4e-2f0d-4c4f-9f0e-0d6f5f3f9b11",
        "safari-web-extension://E8BEA491-9B80-45DB-8B20-3E586473BD47",
    ] {
        let answer = ask(&server, Method::GET, "/api/tasks", &[("Origin", origin)]);
        assert_eq!(answer.header("access-control-allow-origin"), origin);
    }
}

#[test]
fn an_entry_that_cannot_match_stops_the_start_with_the_reason() {
    let good = "https://app.example";
    for (entry, reason) in [
        ("*", "has a wildcard"),
        ("https://*.app.example", "has a wildcard"),
        ("null", "is null"),
        ("NULL", "is null"),
        ("app.example", "has no scheme"),
        ("localhost:3000", "has no scheme"),
        ("//app.example", "has no scheme"),
        ("\"https://app.example\"", "has no scheme"),
        ("https://", "has no host"),
        ("https:///app.example", "has no host"),
        ("https://:443", "has no host"),
        ("capacitor://", "has no host"),
        ("https://app.example/path", "has a path"),
        ("https://app.example//", "has a path"),
        ("https://app.example/*", "has a wildcard"),
        ("https://app.example\\", "has a path"),
        ("https://app.example?", "has a query or a fragment"),
        ("https://app.example/?x", "has a query or a fragment"),
        ("https://app.example#x", "has a query or a fragment"),
        ("https://user@app.example", "has a user"),
        ("https://user:PASSWORD@app.example", "has a user"),
        ("https://app.example.", "has a host that ends with a dot"),
        ("https://app.example.:8443/", "has a host that ends with a dot"),
        ("https://app.example:99999", "is not an origin"),
        ("https://app.example:x", "is not an origin"),
        ("https://[::1", "is not an origin"),
        ("https://a%zz.example", "is not an origin"),
        ("https://$DOMAIN", "is not an origin"),
        ("https://app..example", "is not an origin"),
        ("https://app.example'", "is not an origin"),
        ("http://app.example:0", "is not an origin"),
        ("capacitor://lo^calhost", "is not an origin"),
        ("capacitor://bücher", "is not an origin"),
        ("https://app.example http://localhost:3000", "holds several origins"),
        ("https://app.example;http://localhost:3000", "holds several origins"),
        ("file://localhost", "has a scheme that no page's origin has"),
        ("ws://app.example", "has a scheme that no page's origin has"),
    ] {
        let (status, line) = Server::refused(&[("CORS_ORIGINS", &format!("{good},{entry}"))]);
        assert_eq!(status, Some(2), "{entry}: {line}");
        let beginning = format!("todo-api: CORS_ORIGINS cannot be used: entry 2 {reason}");
        assert!(line.starts_with(&beginning) && !line.contains("PASSWORD"), "{entry}: {line}");
    }
}

#[test]
fn two_origins_in_one_request_count_as_none() {
    let server = Server::with(Database::Sqlite, &[ORIGINS]);
    let (one, two) = ("https://app.example", "http://localhost:3000");
    for origins in [vec![one, two], vec![one, one], vec!["https://evil.example", one]] {
        let mut stream = TcpStream::connect(server.address()).unwrap();
        let origins = origins.join("\r\nOrigin: ");
        write!(stream, "GET /health HTTP/1.1\r\nHost: x\r\nOrigin: {origins}\r\nConnection: close\r\n\r\n").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        let answer = Answer::read(&Method::GET, "/health", &text);
        assert_eq!((answer.status, answer.header("vary")), (200, "Origin"), "{origins}");
        assert!(cors_headers(&answer).is_empty(), "{origins}");
    }
    let answer = ask(&server, Method::GET, "/health", &[("Origin", "https://app.example, http://localhost:3000")]);
    assert!(cors_headers(&answer).is_empty());
}
