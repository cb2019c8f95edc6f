//! `RATE_LIMIT` and `RATE_LIMIT_ANONYMOUS`. Machines may be slow: a test knows how many requests pass at most, and that a
//! request passes if its bucket has had the time to get a token.

use std::{
    process::Command,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

use api_tests::{Answer, Balancer, Database, Document, End, Method, Server};
use serde_json::Value;

const OFF: [(&str, &str); 2] = [("RATE_LIMIT", ""), ("RATE_LIMIT_ANONYMOUS", "")];

fn server(limits: &[(&str, &str)]) -> Server {
    Server::with(Database::Sqlite, &[&OFF, limits].concat())
}

/// Sends requests until one is over the limit. Returns the number of those before, and the last answer.
fn flood(mut send: impl FnMut() -> Answer) -> (usize, Answer) {
    let mut passed = 0;
    loop {
        let answer = send();
        if answer.status == 429 {
            return (passed, answer);
        }
        passed += 1;
    }
}

/// The number of requests that a bucket with this rate can have let through since `start`.
fn most(rate: usize, start: Instant) -> usize {
    2 * rate + rate * usize::try_from(start.elapsed().as_secs() + 1).unwrap()
}

/// `r` of the header `RateLimit`.
fn left(answer: &Answer) -> usize {
    let header = answer.header("ratelimit");
    header
        .split_once(";r=")
        .and_then(|(_, rest)| rest.strip_suffix(";t=1")?.parse().ok())
        .unwrap_or_else(|| panic!("{header}"))
}

#[test]
fn by_default_there_is_no_limit_and_no_header_of_one() {
    let server = server(&[]);
    for client in [server.user("alice"), server.stranger()] {
        for answer in (0..100).map(|_| client.get("/api/tasks")) {
            assert!([200, 401].contains(&answer.status), "{answer:?}");
            assert!(answer.headers.keys().all(|name| !name.as_str().starts_with("ratelimit")), "{answer:?}");
        }
    }
}

#[test]
fn a_user_may_send_twice_the_rate_at_once_and_the_rate_from_then_on() {
    let server = server(&[("RATE_LIMIT", "3")]);
    let alice = server.user("alice");
    let start = Instant::now();
    let first = alice.get("/api/tasks");
    assert_eq!((first.header("ratelimit"), first.header("ratelimit-policy")), ("\"user\";r=5;t=1", "\"user\";q=6;w=2"));
    let (passed, answer) = flood(|| alice.get("/api/tasks"));
    assert!(5 <= passed && passed < most(3, start), "{passed}");
    assert_eq!((answer.problem().as_str(), answer.header("retry-after")), ("429 rate_limited", "1"));
    assert_eq!(
        (answer.header("ratelimit"), answer.header("ratelimit-policy")),
        ("\"user\";r=0;t=1", "\"user\";q=6;w=2")
    );

    thread::sleep(Duration::from_secs(answer.header("retry-after").parse().unwrap()));
    for _ in 0..3 {
        assert_eq!(alice.get("/api/tasks").status, 200, "a second is worth three requests");
    }
}

#[test]
fn each_operation_has_the_limit_and_a_refused_one_changes_nothing() {
    let server = server(&[("RATE_LIMIT", "1")]);
    let client = server.user("alice");
    for operation in Document::committed().operations() {
        let path = operation.path.replace("{id}", "0193d5a0-1111-7abc-8def-0123456789ab");
        let send = |method: &Method| {
            let request = client.request(method.clone(), &path).header("Content-Type", "application/json");
            client.send(if *method == Method::POST { request.body(r#"{"title":"x"}"#) } else { request })
        };
        let (_, answer) = flood(|| send(&operation.method));
        assert_eq!((answer.problem().as_str(), answer.header("retry-after")), ("429 rate_limited", "1"), "{path}");
        assert!(answer.json()["detail"].as_str().unwrap().contains("nothing was changed"), "{answer:?}");
    }
    let (_, head) = flood(|| client.send(client.request(Method::HEAD, "/api/tasks")));
    assert!(head.body.is_empty() && head.header("content-type") == "application/problem+json", "{head:?}");

    let bob = server.user("bob");
    let start = Instant::now();
    let (passed, _) = flood(|| bob.post("/api/tasks", &serde_json::json!({ "title": "x" })));
    assert!(passed <= most(1, start));
    assert_eq!(server.sql("SELECT count(*) FROM tasks WHERE user_id = 'bob'"), i64::try_from(passed).unwrap());
}

#[test]
fn a_flood_of_one_user_takes_nothing_from_another() {
    let server = server(&[("RATE_LIMIT", "20")]);
    let (alice, bob) = (server.user("alice"), server.user("bob"));
    flood(|| alice.get("/api/tasks"));
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while !done.load(Relaxed) {
                    alice.get("/api/tasks");
                }
            });
        }
        let _end = End(&done);
        for n in 1..=40 {
            let answer = bob.get("/api/tasks");
            assert!(answer.status == 200 && left(&answer) >= 40 - n, "request {n} at once: {answer:?}");
        }
    });
}

#[test]
fn each_request_has_one_line_in_the_log_with_the_user_who_floods() {
    let server = server(&[("RATE_LIMIT", "1")]);
    let alice = server.user("alice");
    let (passed, answer) = flood(|| alice.get("/api/tasks"));
    let lines: Vec<Value> = server.log().iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    let lines: Vec<_> = lines.iter().filter(|line| line["route"] == "/api/tasks").collect();
    assert_eq!(lines.len(), passed + 1);
    let last = lines.last().unwrap();
    assert_eq!(
        (&last["status"], &last["user"], &last["level"]),
        (&429.into(), &"alice".into(), &"INFO".into()),
        "{last}"
    );
    assert_eq!(last["request_id"], answer.header("x-request-id"));
}

#[test]
fn requests_without_a_valid_token_are_limited_by_address_and_those_with_one_are_not() {
    let server = server(&[("RATE_LIMIT_ANONYMOUS", "1")]);
    let (alice, stranger, forger) = (server.user("alice"), server.stranger(), server.stranger().with_token("x.y.z"));
    assert_eq!(stranger.get("/api/tasks").header("ratelimit"), "\"address\";r=1;t=1");
    for path in ["/api/tasks", "/nope", "/docs", "/openapi.json"] {
        for client in [&stranger, &forger] {
            let (_, answer) = flood(|| client.get(path));
            assert_eq!((answer.problem().as_str(), answer.header("retry-after")), ("429 rate_limited", "1"), "{path}");
            assert_eq!(answer.header("ratelimit-policy"), "\"address\";q=2;w=2");
        }
        for _ in 0..10 {
            let answer = alice.get("/api/tasks");
            assert_eq!((answer.status, answer.header("ratelimit")), (200, ""), "{path}");
        }
    }
    for _ in 0..10 {
        for path in ["/health", "/ready"] {
            let answer = stranger.get(path);
            assert_eq!((answer.status, answer.header("ratelimit")), (200, ""), "{path}");
        }
        assert_eq!(stranger.send(stranger.request(Method::OPTIONS, "/api/tasks")).status, 204);
    }
}

#[test]
fn with_both_limits_a_valid_token_counts_only_for_its_user() {
    let server = server(&[("RATE_LIMIT", "1"), ("RATE_LIMIT_ANONYMOUS", "1000")]);
    let alice = server.user("alice");
    let (_, answer) = flood(|| alice.get("/api/tasks"));
    assert_eq!(answer.header("ratelimit"), "\"user\";r=0;t=1");
    assert_eq!(left(&server.stranger().get("/api/tasks")), 1999, "the first one of this address");
}

/// Sends a request without a token through a chain of proxies.
fn forwarded(server: &Server, chain: &str) -> Answer {
    let client = server.stranger();
    client.send(client.request(Method::GET, "/api/tasks").header("X-Forwarded-For", chain))
}

/// Sends some requests with each of these chains. Returns the number of those within the limit.
fn passing(server: &Server, chains: &[&str]) -> usize {
    let answers = (0..40).map(|n| forwarded(server, chains[n % chains.len()]).status);
    answers.filter(|status| *status == 401).count()
}

#[test]
fn behind_a_trusted_proxy_an_address_is_the_one_that_the_proxy_has_seen() {
    let server = server(&[("RATE_LIMIT_ANONYMOUS", "1"), ("TRUSTED_PROXIES", "127.0.0.1, 10.0.0.0/8")]);
    for same in [
        &["203.0.113.7", "198.51.100.1, 203.0.113.7", "198.51.100.2, 203.0.113.7", "203.0.113.7, 10.1.2.3"][..],
        &["2001:db8::1", "2001:db8::2", "2001:db8::ffff:0:0:3", "198.51.100.1, 2001:db8::4"],
        &["192.0.2.1", "::ffff:192.0.2.1", "192.0.2.1:4711", "unknown, 192.0.2.1"],
    ] {
        let start = Instant::now();
        let passed = passing(&server, same);
        assert!(passed <= most(1, start), "{same:?} are one address: {passed}");
    }
    for other in ["203.0.113.8", "2001:db8:0:1::1", "192.0.2.2", "198.51.100.1"] {
        assert_eq!(left(&forwarded(&server, other)), 1, "{other} has its own bucket");
    }
}

#[test]
fn behind_haproxy_a_forged_address_does_not_help() {
    let server = server(&[("RATE_LIMIT_ANONYMOUS", "1"), ("TRUSTED_PROXIES", "127.0.0.1")]);
    let (_, port) = server.address().rsplit_once(':').unwrap();
    let balancer = Balancer::start(&[port.parse().unwrap()]);
    let url = format!("http://{}/api/tasks", balancer.address());
    let status = |from: &str, forged: &str| {
        let forged = format!("X-Forwarded-For: {forged}");
        let arguments = ["--silent", "--output", "/dev/null", "--write-out", "%{http_code}", "--interface", from];
        let output = Command::new("curl").args(arguments).args(["--header", &forged, &url]).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    // The first answers may be the balancer's own, until it has checked the server.
    let begin = Instant::now();
    while status("127.0.0.9", "") == "503" {
        assert!(begin.elapsed() < Duration::from_mins(1), "the balancer finds no server");
    }
    let start = Instant::now();
    let statuses: Vec<String> = (0..40).map(|n| status("127.0.0.2", &format!("198.51.100.{n}"))).collect();
    let passed = statuses.iter().filter(|status| *status == "401").count();
    assert!(passed <= most(1, start), "{statuses:?}");
    assert_eq!(statuses.iter().filter(|status| *status == "429").count(), 40 - passed, "{statuses:?}");
    assert_eq!(status("127.0.0.3", "127.0.0.2"), "401", "the address of another client has its own bucket");
}

#[test]
fn only_a_trusted_proxy_can_name_another_address() {
    let server = server(&[("RATE_LIMIT_ANONYMOUS", "1"), ("TRUSTED_PROXIES", "10.0.0.0/8")]);
    let start = Instant::now();
    let passed = passing(&server, &["203.0.113.7", "203.0.113.8", "10.0.0.1", "2001:db8::1"]);
    assert!(passed <= most(1, start), "{passed}");
}

#[test]
fn a_page_of_a_listed_origin_may_read_the_headers() {
    let server = server(&[("RATE_LIMIT", "1"), ("CORS_ORIGINS", "https://app.example")]);
    let alice = server.user("alice");
    let ask = |origin: &str| alice.send(alice.request(Method::GET, "/api/tasks").header("Origin", origin));
    let exposed = |answer: &Answer| {
        let lines = answer.headers.get_all("access-control-expose-headers").iter();
        lines.map(|line| line.to_str().unwrap().to_owned()).collect::<Vec<_>>().join(", ")
    };
    let (_, answer) = flood(|| ask("https://app.example"));
    for name in ["Retry-After", "RateLimit", "RateLimit-Policy"] {
        assert!(exposed(&answer).split(", ").any(|one| one == name), "{name}: {answer:?}");
    }
    assert_eq!(exposed(&ask("https://evil.example")), "");
}
