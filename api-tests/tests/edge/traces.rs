//! `traceparent` in the log.

use api_tests::{Database::Sqlite, Method, Server};
use serde_json::Value;

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
