use api_tests::{Answer, Database, Method, Server};

const ORIGINS: (&str, &str) = ("CORS_ORIGINS", "https://app.example, http://localhost:3000");

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
            assert_eq!(
                answer.header("access-control-expose-headers"),
                "ETag, Link, Location, Retry-After, Idempotency-Replayed, X-Request-Id",
                "{path}"
            );
            assert_eq!(answer.header("vary"), "Origin", "{path}");
        }
    }
    let unauthorized = server.stranger();
    let answer =
        unauthorized.send(unauthorized.request(Method::GET, "/api/tasks").header("Origin", "https://app.example"));
    assert_eq!((answer.status, answer.header("access-control-allow-origin")), (401, "https://app.example"));
}

#[test]
fn a_preflight_of_a_listed_origin_is_permitted() {
    let server = Server::with(Database::Sqlite, &[ORIGINS]);
    for method in ["GET", "POST", "PUT", "PATCH", "DELETE"] {
        let client = server.stranger();
        let request = client.request(Method::OPTIONS, "/api/tasks/1").header("Origin", "https://app.example");
        let request = request.header("Access-Control-Request-Method", method);
        let answer =
            client.send(request.header("Access-Control-Request-Headers", "authorization,content-type,if-match"));
        assert_eq!(answer.status, 204);
        assert_eq!(answer.header("access-control-allow-origin"), "https://app.example");
        assert_eq!(answer.header("access-control-allow-credentials"), "true");
        assert_eq!(answer.header("access-control-allow-methods"), "GET, POST, PUT, PATCH, DELETE");
        assert_eq!(
            answer.header("access-control-allow-headers"),
            "Authorization, Content-Type, If-Match, If-None-Match, Idempotency-Key"
        );
        assert_eq!(answer.header("vary"), "Origin");
    }
}

#[test]
fn an_unlisted_origin_is_served_as_any_client_without_a_cors_header() {
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
        assert_eq!(answer.status, 204, "{origin}");
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
