//! The log during an outage of the database.

use std::time::{Duration, Instant};

use api_tests::{Cluster, Server};
use serde_json::Value;

use super::load::{SOON, wait_until, wait_until_ready};

/// Warnings and errors that do not belong to a request.
fn complaints(server: &Server) -> Vec<String> {
    let complains = |line: &String| {
        let line: Value = serde_json::from_str(line).unwrap();
        (line["level"] == "WARN" || line["level"] == "ERROR") && line.get("status").is_none()
    };
    server.log().into_iter().filter(complains).collect()
}

#[test]
fn an_outage_is_logged_at_once_and_then_every_30_seconds() {
    let cluster = Cluster::start(&[]);
    let running = Server::on(cluster.database(), &[]);
    wait_until_ready(&running);
    assert_eq!(complaints(&running), [] as [String; 0]);
    cluster.tell("stop");
    let started = Instant::now();
    let starting = Server::at(&cluster.url("postgres"), &[]);
    let servers = [("running", &running), ("starting", &starting)];
    for (which, server) in servers {
        let took = wait_until("the log says so", || !complaints(server).is_empty());
        assert!(took < SOON, "{which}: {took:?}");
    }
    let look_after = |seconds, lines: std::ops::RangeInclusive<usize>| {
        while started.elapsed() < Duration::from_secs(seconds) {
            for (_, server) in servers {
                assert_eq!(server.stranger().get("/health").status, 200);
            }
        }
        for (which, server) in servers {
            let log = complaints(server);
            assert!(lines.contains(&log.len()), "{which}, after {seconds} s: {log:#?}");
        }
    };
    look_after(5, 1..=3);
    look_after(35, 2..=4);
    cluster.tell("start");
    for (which, server) in servers {
        let took = wait_until_ready(server);
        assert!(took < SOON, "{which}: ready {took:?} after the database");
    }
}
