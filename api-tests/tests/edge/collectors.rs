//! Collectors of traces that are elsewhere, away or slow.

use std::{
    fs,
    time::{Duration, Instant},
};

use api_tests::{Collector, Database::Sqlite, Metrics, Server};
use tempfile::tempdir;

use super::{jwks_fetches::tls, metrics::ON};

/// On a loaded machine, much longer than a server waits for its collector.
const PATIENCE: Duration = Duration::from_mins(1);
/// An hour, so that a server that waits for it never ends.
const HOUR: (&str, &str) = ("OTEL_EXPORTER_OTLP_TIMEOUT", "3600000");
const LOST: &str = "todo_api_lost_spans_total";
/// Places in the queue of spans.
const QUEUE: u64 = 2048;

/// A server that exports to this collector. It has one span of its own, of a statement: the removal of expired keys.
fn start(collector: &Collector, environment: &[(&str, &str)]) -> Server {
    let server = Server::with(Sqlite, &[&[ON, ("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url())], environment].concat());
    Metrics::when(&server, |metrics| metrics.count("db_client_operation_duration_seconds_count", &["DELETE"]) == 1);
    server
}

fn stop(server: &mut Server) {
    let began = Instant::now();
    server.signal("TERM");
    assert!(server.wait().success());
    assert!(began.elapsed() < PATIENCE, "{:?}", began.elapsed());
}

#[test]
fn spans_are_exported_over_tls_only_to_a_verified_collector() {
    let folder = tempdir().unwrap();
    let file = folder.path().join("ca.pem");
    let trusted = ("SSL_CERT_FILE", file.to_str().unwrap());
    for (name, environment, is_trusted) in
        [("localhost", &[trusted][..], true), ("localhost", &[], false), ("other.example", &[trusted], false)]
    {
        let (tls, certificate) = tls(name);
        fs::write(&file, certificate).unwrap();
        let collector = Collector::with_tls(tls);
        // The whole URL wins. Its query may be a secret.
        let url = format!("{}/own/path?key=KEY-TEXT", collector.url());
        let endpoints =
            [("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1"), ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", &url)];
        let mut server = Server::with(Sqlite, &[&endpoints, environment].concat());
        assert_eq!(server.user("alice").get("/api/tasks").status, 200);
        if is_trusted {
            collector.wait_for_more_than(0);
            assert!(collector.heads()[0].starts_with("post /own/path?key=key-text http"), "{:?}", collector.heads());
        } else {
            server.wait_for_log(|line| {
                let is_so = line["message"] == "traces cannot be exported";
                (is_so && line["error"].as_str()?.contains("certificate")).then_some(())
            });
        }
        assert!(!server.log().join("\n").contains("KEY-TEXT"));
        stop(&mut server);
        assert_eq!(collector.spans().is_empty(), !is_trusted);
    }
}

#[test]
fn a_collector_that_is_away_disturbs_no_request_and_no_stop() {
    let environment = [ON, HOUR, ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")];
    let mut server = Server::with(Sqlite, &environment);
    let alice = server.user("alice");
    for n in 0..10 {
        alice.create(&format!("{n}"));
    }
    server
        .wait_for_log(|line| (line["message"] == "traces cannot be exported" && line["level"] == "WARN").then_some(()));
    assert_eq!(alice.all().len(), 10);
    Metrics::when(&server, |metrics| metrics.count(LOST, &[]) >= 1);
    let warnings = server.log().iter().filter(|line| line.contains("cannot be exported")).count();
    assert_eq!(warnings, 1, "one for each outage");
    stop(&mut server);
}

#[test]
fn a_collector_that_rejects_spans_is_reported_and_its_return_too() {
    let collector = Collector::answering(Some("401 Unauthorized"));
    let mut server = start(&collector, &[]);
    let alice = server.user("alice");
    assert_eq!(alice.get("/api/tasks").status, 200);
    let error = server.wait_for_log(|line| {
        (line["message"] == "traces cannot be exported").then(|| line["error"].as_str().unwrap().to_owned())
    });
    assert!(error.contains("401 Unauthorized"), "{error}");
    Metrics::when(&server, |metrics| metrics.count(LOST, &[]) == 3);
    collector.answer("200 OK");
    assert_eq!(alice.get("/api/tasks").status, 200);
    server.wait_for_log(|line| (line["message"] == "traces are exported again").then_some(()));
    server.wait_for_log(|line| (line["message"] == "spans were lost" && line["lost"] == 3).then_some(()));
    stop(&mut server);
    assert_eq!(collector.spans().len(), 2);
}

#[test]
fn a_collector_that_is_busy_for_a_moment_gets_the_spans_later() {
    let collector = Collector::answering(Some("503 Service Unavailable"));
    let mut server = start(&collector, &[HOUR]);
    assert_eq!(server.user("alice").get("/api/tasks").status, 200);
    collector.wait_for_more_than(0);
    collector.answer("200 OK");
    server.wait_for_log(|line| (line["message"] == "traces are exported again").then_some(()));
    assert_eq!(Metrics::of(&server).count(LOST, &[]), 0);
    stop(&mut server);
    assert_eq!(collector.spans().len(), 3);
}

#[test]
fn a_collector_that_never_answers_fills_only_a_bounded_queue() {
    let collector = Collector::answering(None);
    let mut server = start(&collector, &[HOUR]);
    let alice = server.user("alice");
    assert_eq!(alice.get("/api/tasks").status, 200);
    collector.wait_for_more_than(0);
    // Each has two spans.
    let requests = QUEUE / 2 + 10;
    for _ in 1..requests {
        assert_eq!(alice.get("/api/tasks").status, 200);
    }
    let lost = 1 + requests * 2 - QUEUE;
    assert_eq!(Metrics::of(&server).count(LOST, &[]), lost);
    collector.answer("200 OK");
    server.wait_for_log(|line| (line["message"] == "spans were lost" && line["lost"] == lost).then_some(()));
    stop(&mut server);
    assert_eq!(u64::try_from(collector.spans().len()).unwrap(), QUEUE);

    let collector = Collector::answering(None);
    let mut server = start(&collector, &[HOUR]);
    assert_eq!(server.user("alice").get("/api/tasks").status, 200);
    collector.wait_for_more_than(0);
    stop(&mut server);
    server.wait_for_log(|line| (line["message"] == "the last spans were lost" && line["lost"] == 3).then_some(()));
}
