//! `traceparent` in the log, and the spans that a real collector gets.

use api_tests::{
    Collector,
    Database::{self, Postgres, Sqlite},
    ExportedSpan, Issuer, Method, Reply, SECRET, Server, token,
};
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use serde_json::{Value, json};

use super::jwks;

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const SPAN: &str = "b7ad6b7169203331";

/// The `trace_id` and `span_id` in the log line of a request with these headers.
fn logged(server: &Server, path: &str, headers: &[(&str, &str)]) -> (Option<String>, Option<String>) {
    let alice = server.user("alice");
    let request = headers.iter().fold(alice.request(Method::GET, path), |request, (name, value)| {
        // Adds a second one, instead of replacing the first.
        request.header(*name, *value)
    });
    let id = alice.send(request).header("x-request-id").to_owned();
    let line = server.wait_for_log(|line| (line["request_id"] == id.as_str()).then(|| line.clone()));
    let text = |name: &str| line.get(name).and_then(Value::as_str).map(str::to_owned);
    (text("trace_id"), text("span_id"))
}

#[test]
fn the_log_line_names_the_trace_of_the_caller() {
    let server = Server::start(Sqlite);
    let good = format!("00-{TRACE}-{SPAN}-01");
    let named = (Some(TRACE.to_owned()), Some(SPAN.to_owned()));
    for path in ["/api/tasks", "/api/tasks?x=1", "/api/tasks/x", "/nope", "/health"] {
        assert_eq!(logged(&server, path, &[("traceparent", &good)]), named, "{path}");
        assert_eq!(logged(&server, path, &[]), (None, None), "{path}");
    }
    let unsampled = format!("00-{TRACE}-{SPAN}-00");
    let future = format!("7f-{TRACE}-{SPAN}-01-more");
    for headers in [&[("Traceparent", unsampled.as_str())][..], &[("traceparent", &future), ("tracestate", "=,=")]] {
        assert_eq!(logged(&server, "/api/tasks", headers), named, "{headers:?}");
    }
    let malformed = [format!("ff-{TRACE}-{SPAN}-01"), format!("{good}-x"), "00-\"-\\-01".to_owned(), String::new()];
    for value in &malformed {
        assert_eq!(logged(&server, "/api/tasks", &[("traceparent", value)]), (None, None), "{value}");
    }
    assert_eq!(logged(&server, "/api/tasks", &[("traceparent", &good), ("traceparent", &good)]), (None, None));
    assert_eq!(logged(&server, "/api/tasks", &[("tracestate", "a=1")]), (None, None));

    // Nothing listens there.
    let server = Server::at("postgresql://u@127.0.0.1:1/d", &[]);
    assert_eq!(logged(&server, "/api/tasks", &[("traceparent", &good)]), named);
    server.wait_for_log(|line| (line["trace_id"] == TRACE && line["status"] == 503).then_some(()));
}

/// A server that exports to this collector.
fn start(database: Database, collector: &Collector, environment: &[(&str, &str)]) -> Server {
    Server::with(database, &[&[("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url())], environment].concat())
}

/// Stops a server, and returns all spans that it has exported, by their start.
fn stop(mut server: Server, collector: &Collector) -> Vec<ExportedSpan> {
    server.signal("TERM");
    assert!(server.wait().success());
    let mut spans = collector.spans();
    spans.sort_by_key(|span| span.time);
    spans
}

fn named<'a>(spans: &'a [ExportedSpan], name: &str) -> Vec<&'a ExportedSpan> {
    spans.iter().filter(|span| span.name == name).collect()
}

#[test]
fn a_request_and_its_statements_are_spans_of_the_callers_trace() {
    for (database, system) in [(Sqlite, "sqlite"), (Postgres, "postgresql")] {
        let collector = Collector::start();
        let server = start(database, &collector, &[]);
        let alice = server.user("alice");
        let path = alice.post("/api/tasks", &json!({ "title": "x" })).header("location").to_owned();
        let caller = format!("00-{TRACE}-{SPAN}-01");
        let (trace, span) = logged(&server, &path, &[("traceparent", &caller), ("tracestate", "a=1,b=2")]);
        assert_eq!(alice.put(&path, &json!({ "title": "y" })).status, 200);
        assert_eq!(alice.delete(&path).status, 204);
        let spans = stop(server, &collector);

        let [request] = named(&spans, "GET /api/tasks/{id}")[..] else { panic!("{spans:?}") };
        assert_eq!((&request.trace, request.parent.as_str(), request.state.as_str()), (&TRACE.into(), SPAN, "a=1,b=2"));
        assert_eq!((trace.as_ref(), span.as_ref()), (Some(&request.trace), Some(&request.id)), "the log line");
        assert_eq!((request.kind, &request.error), (SpanKind::Server, &None));
        let attributes = [
            ("http.request.method", "GET"),
            ("http.response.status_code", "200"),
            ("http.route", "/api/tasks/{id}"),
            ("url.scheme", "http"),
            ("user.id", "alice"),
        ];
        assert_eq!(request.attributes, attributes.map(|(name, value)| (name.into(), value.into())).into());
        assert_eq!(request.resource["service.name"], "todo-api");
        assert!(!request.resource["service.version"].is_empty());

        let children: Vec<_> = spans.iter().filter(|span| span.parent == request.id).collect();
        let [select] = children[..] else { panic!("{children:?}") };
        assert_eq!((select.trace.as_str(), select.name.as_str(), select.kind), (TRACE, "SELECT", SpanKind::Client));
        assert_eq!((select.get("db.system.name"), select.get("db.operation.name")), (system, "SELECT"));
        assert!(select.get("db.query.text").contains("\"user_id\" = "), "{select:?}");
        assert!(request.time.0 <= select.time.0 && select.time.0 <= select.time.1, "{select:?}");
        assert!(select.time.1 <= request.time.1, "{select:?} {request:?}");

        // Without a caller, each request begins a trace.
        for (name, statements) in [
            // The first task of a user is inserted twice, the second time with the user.
            ("POST /api/tasks", &["INSERT", "INSERT"][..]),
            ("PUT /api/tasks/{id}", &["UPDATE"]),
            ("DELETE /api/tasks/{id}", &["DELETE"]),
        ] {
            let [request] = named(&spans, name)[..] else { panic!("{name}: {spans:?}") };
            assert!(request.parent.is_empty() && request.trace != TRACE, "{request:?}");
            let children: Vec<_> = spans.iter().filter(|span| span.parent == request.id).collect();
            assert!(children.iter().map(|span| span.name.as_str()).eq(statements.iter().copied()), "{children:?}");
            assert!(children.iter().all(|span| span.trace == request.trace), "{children:?}");
        }
        let failed: Vec<_> = spans.iter().filter(|span| span.error.is_some()).collect();
        assert!(failed.len() == 1 && failed[0].get("error.type") == "foreign_key", "{failed:?}");
    }
}

#[test]
fn a_failure_of_the_server_is_marked_and_an_error_of_the_client_is_not() {
    let collector = Collector::start();
    let endpoint = [("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url())];
    // Nothing listens there.
    let server = Server::at("postgresql://u@127.0.0.1:1/d", &endpoint);
    let alice = server.user("alice");
    assert_eq!(alice.get("/api/tasks").status, 503);
    assert_eq!(alice.get("/nope").status, 404);
    assert_eq!(alice.with_token("x").get("/api/tasks").status, 401);
    assert_eq!(alice.get("/health").status, 200);
    let spans = stop(server, &collector);
    let [failed, refused] = named(&spans, "GET /api/tasks")[..] else { panic!("{spans:?}") };
    let [select] = named(&spans, "SELECT")[..] else { panic!("{spans:?}") };
    for (span, parent) in [(failed, ""), (select, failed.id.as_str())] {
        assert_eq!((span.parent.as_str(), span.get("error.type")), (parent, "unavailable"));
        assert!(span.error.as_ref().is_some_and(|error| !error.is_empty()), "{span:?}");
    }
    assert_eq!((refused.get("error.type"), &refused.error), ("token_invalid", &None));
    let [unknown] = named(&spans, "GET")[..] else { panic!("{spans:?}") };
    assert_eq!((unknown.get("http.response.status_code"), unknown.get("http.route")), ("404", ""));
    assert_eq!(unknown.error, None);
    assert!(!spans.iter().any(|span| span.name.contains("health")), "health checks are no traces: {spans:?}");
}

#[test]
fn the_caller_and_the_sampler_decide_which_traces_are_exported() {
    let (sampled, unsampled) = (format!("00-{TRACE}-{SPAN}-01"), format!("00-{TRACE}-{SPAN}-00"));
    for (environment, expected) in [
        (&[][..], [true, false, true]),
        (&[("OTEL_TRACES_SAMPLER", "always_on")], [true, true, true]),
        (&[("OTEL_TRACES_SAMPLER", "always_off")], [false, false, false]),
        (&[("OTEL_TRACES_SAMPLER", "parentbased_always_off")], [true, false, false]),
        (
            &[("OTEL_TRACES_SAMPLER", "parentbased_traceidratio"), ("OTEL_TRACES_SAMPLER_ARG", "0")],
            [true, false, false],
        ),
    ] {
        let collector = Collector::start();
        let server = start(Sqlite, &collector, environment);
        let requests = [
            ("/api/tasks?sort=title", &[("traceparent", sampled.as_str())][..]),
            ("/api/tasks/x", &[("traceparent", unsampled.as_str())]),
            ("/api/tasks", &[]),
        ];
        let ids = requests.map(|(path, headers)| logged(&server, path, headers));
        let spans = stop(server, &collector);
        for ((id, is_exported), (path, headers)) in ids.into_iter().zip(expected).zip(requests) {
            let span = spans.iter().find(|span| Some(&span.id) == id.1.as_ref());
            assert_eq!(span.is_some(), is_exported, "{environment:?} {path}: {spans:?}");
            // The line names a trace if there is one, exported or not.
            assert_eq!(id.0.is_some(), is_exported || !headers.is_empty(), "{environment:?} {path}: {id:?}");
        }
        let roots = spans.iter().filter(|span| span.kind == SpanKind::Server).count();
        assert_eq!(roots, expected.iter().filter(|is_exported| **is_exported).count(), "{spans:?}");
    }
}

#[test]
fn a_fetch_of_keys_belongs_to_the_request_that_waits_for_it() {
    let collector = Collector::start();
    let (first, second) = (jwks::key("1"), jwks::key("2"));
    let issuer = Issuer::start(Reply::keys([&first]));
    let url = format!("{}/keys?secret=HIDDEN", issuer.url());
    let server = jwks::server(&issuer, &[("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url()), ("AUTH_JWKS_URL", &url)]);
    assert_eq!(jwks::ask(&server, &first.token(&issuer.claims("alice"))).status, 200);
    issuer.reply(Reply::keys([&first, &second]));
    assert_eq!(jwks::ask(&server, &second.token(&issuer.claims("alice"))).status, 200);
    issuer.reply(Reply::http("500 Internal Server Error", "", "x"));
    assert_eq!(jwks::ask(&server, &jwks::key("3").token(&issuer.claims("alice"))).status, 401);
    let spans = stop(server, &collector);
    let requests = named(&spans, "GET /api/tasks");
    let fetches = named(&spans, "GET");
    let ([_, second, third], [.., found, failed]) = (&requests[..], &fetches[..]) else { panic!("{spans:?}") };
    assert_eq!((&found.parent, &found.trace, &found.error), (&second.id, &second.trace, &None));
    assert_eq!((&failed.parent, failed.get("http.response.status_code")), (&third.id, "500"));
    assert!(failed.error.is_some() && failed.kind == SpanKind::Client, "{failed:?}");
    assert_eq!(found.get("url.full"), format!("{}/keys", issuer.url()));
    assert_eq!((found.get("server.address"), found.get("http.request.method")), ("localhost", "GET"));
    assert!(found.get("server.port").parse::<u16>().is_ok(), "{found:?}");
}

#[test]
fn no_span_has_a_token_a_secret_or_the_text_of_a_task_and_no_log_line_has_the_headers() {
    for database in [Sqlite, Postgres] {
        let collector = Collector::start();
        let headers = ("OTEL_EXPORTER_OTLP_HEADERS", "Api-Key=KEY%2DTEXT, x-other=1");
        let name = ("OTEL_SERVICE_NAME", "tasks of Zoë");
        let server = start(database, &collector, &[headers, name, ("RUST_LOG", "trace")]);
        let alice = server.user("alice");
        let body = json!({ "title": "TITLE-TEXT", "description": "DESCRIPTION-TEXT", "tags": ["TAG-TEXT"] });
        let path = alice.post("/api/tasks", &body).header("location").to_owned();
        alice.create_with_key("IDEMPOTENCY-TEXT", &body);
        assert_eq!(alice.put(&path, &body).status, 200);
        assert_eq!(alice.list("?q=TITLE-TEXT&tag=TAG-TEXT&sort=title&limit=1").len(), 1);
        assert_eq!(alice.get("/api/tasks?title=QUERY-TEXT").status, 422);
        assert_eq!(alice.get("/PATH-TEXT").status, 404);
        let method = Method::from_bytes(b"METHOD-TEXT").unwrap();
        assert_eq!(alice.send(alice.request(method, "/nope")).status, 404);
        assert_eq!(alice.with_token("TOKEN-TEXT.a.b").get("/api/tasks").status, 401);
        let log = server.log().join("\n");
        assert!(!log.contains("KEY-TEXT") && !log.contains("KEY%2DTEXT"), "{log}");
        let spans = stop(server, &collector);
        let exported = format!("{spans:?}");
        let signature = token("alice").split('.').next_back().unwrap().to_owned();
        assert!(
            !exported.contains("-TEXT") && !exported.contains(SECRET) && !exported.contains(&signature),
            "{exported}"
        );
        assert!(spans.iter().any(|span| span.name == "_OTHER"), "{exported}");
        assert!(spans.iter().all(|span| span.resource["service.name"] == name.1), "{exported}");
        let head = &collector.heads()[0];
        assert!(head.starts_with("post /v1/traces http/1.1\r\n"), "{head}");
        for line in ["api-key: key-text\r\n", "x-other: 1\r\n", "content-type: application/x-protobuf\r\n"] {
            assert!(head.contains(line), "{head}");
        }
    }
}

/// From the `traceparent` of a slow request to its cause, as the guide says.
#[test]
fn the_trace_of_a_slow_request_shows_its_cause() {
    for database in [Sqlite, Postgres] {
        let collector = Collector::start();
        let server = start(database, &collector, &[]);
        let alice = server.user("alice");
        let path = alice.post("/api/tasks", &json!({ "title": "x" })).header("location").to_owned();
        let locked = server.hold_writes();
        let caller = format!("00-{TRACE}-{SPAN}-01");
        let request = alice.request(Method::DELETE, &path).header("traceparent", &caller);
        assert_eq!(alice.send(request).status, 503);
        drop(locked);
        let line = server.wait_for_log(|line| (line["trace_id"] == TRACE).then(|| line.clone()));
        let spans = stop(server, &collector);
        let of_trace: Vec<_> = spans.iter().filter(|span| span.trace == TRACE).collect();
        let [request, .., delete] = of_trace[..] else { panic!("{spans:?}") };
        assert_eq!(
            (line["span_id"].as_str(), delete.parent.as_str()),
            (Some(request.id.as_str()), request.id.as_str())
        );
        assert_eq!((request.error.as_deref(), delete.name.as_str()), (line["cause"].as_str(), "DELETE"));
        // The server waits for about a second.
        let milliseconds = |span: &ExportedSpan| (span.time.1 - span.time.0) / 1_000_000;
        assert!(line["duration_ms"].as_f64().unwrap() >= 900.0, "{line}");
        assert!(milliseconds(delete) >= 900 && milliseconds(request) >= milliseconds(delete), "{of_trace:?}");
        assert!(delete.get("db.query.text").starts_with("DELETE FROM") && delete.error.is_some(), "{delete:?}");
    }
}
