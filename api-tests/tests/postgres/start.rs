//! A server that starts before its database can be used.

use std::{process::Command, time::Instant};

use api_tests::{Cluster, Pooler, Proxy, SECRET, Server, binary};

use super::load::{SOON, wait_until_ready};

/// Starts a server. It listens at once, but is not ready.
fn start(url: &str) -> Server {
    let started = Instant::now();
    let server = Server::at(url, &[]);
    let stranger = server.stranger();
    assert_eq!(stranger.get("/health").status, 200);
    assert!(started.elapsed() < SOON, "/health after {:?}", started.elapsed());
    not_ready(&server);
    server
}

fn not_ready(server: &Server) {
    assert_eq!(server.stranger().get("/ready").problem(), "503 unavailable");
    assert_eq!(server.user("alice").get("/api/tasks").problem(), "503 unavailable");
    assert_eq!(server.stranger().get("/health").status, 200, "the process lives");
}

fn becomes_ready(server: &Server) {
    let took = wait_until_ready(server);
    assert!(took < SOON, "ready {took:?} after the database");
    server.user("alice").create("after");
}

#[test]
fn a_server_starts_while_its_database_accepts_connections_but_is_silent() {
    let cluster = Cluster::start(&[]);
    let database = cluster.database();
    let proxy = Proxy::silent(cluster.port());
    let server = start(&database.url_by(&[proxy.port()]));
    proxy.speak();
    becomes_ready(&server);
}

/// Makes a pooler give up after a second, and retry soon.
const IMPATIENT: [&str; 3] = ["client_login_timeout = 1", "server_connect_timeout = 1", "server_login_retry = 0.1"];

#[test]
fn a_server_starts_while_its_database_is_frozen_behind_a_pooler() {
    let cluster = Cluster::start(&[]);
    let database = cluster.database();
    let pooler = Pooler::start(&cluster, &IMPATIENT);
    cluster.tell("freeze");
    let server = start(&database.url_by(&[pooler.port()]));
    server.wait_for_log(|line| line.to_string().contains("08P01").then_some(()));
    not_ready(&server);
    cluster.tell("thaw");
    becomes_ready(&server);
}

#[test]
fn a_server_starts_while_its_database_is_stopped_behind_a_pooler() {
    let cluster = Cluster::start(&[]);
    let database = cluster.database();
    let pooler = Pooler::start(&cluster, &IMPATIENT);
    cluster.tell("stop");
    let server = start(&database.url_by(&[pooler.port()]));
    server.wait_for_log(|line| (line["level"] == "WARN").then_some(()));
    not_ready(&server);
    cluster.tell("start");
    becomes_ready(&server);
}

#[test]
fn an_error_that_ends_the_first_attempt_does_not_end_a_later_one() {
    let cluster = Cluster::start(&[]);
    cluster.tell("stop");
    let server = start(&cluster.url("later"));
    cluster.tell("start");
    server.wait_for_log(|line| line.to_string().contains("3D000").then_some(()));
    not_ready(&server);
    cluster.sql("CREATE DATABASE later");
    becomes_ready(&server);
}

#[test]
fn a_dropped_database_does_not_end_a_running_server() {
    let cluster = Cluster::start(&[]);
    cluster.sql("CREATE DATABASE here");
    let server = Server::at(&cluster.url("here"), &[]);
    wait_until_ready(&server);
    // The server may reconnect between the two.
    let moves = |from, to| {
        let end = format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{from}'");
        let rename = format!("ALTER DATABASE {from} RENAME TO {to}");
        let mut admin = cluster.connect();
        super::load::wait_until("renamed", || {
            admin.batch_execute(&end).unwrap();
            admin.batch_execute(&rename).is_ok()
        });
    };
    moves("here", "gone");
    server.wait_for_log(|line| line.to_string().contains("3D000").then_some(()));
    not_ready(&server);
    moves("gone", "here");
    let took = wait_until_ready(&server);
    assert!(took < SOON, "ready {took:?} after the database");
}

#[test]
fn a_rejected_database_is_reported_with_its_variable_in_one_line() {
    let nowhere = Cluster::shared().url("nowhere");
    for variables in [&["DATABASE_URL"][..], &["NEON_DB_URL"], &["DATABASE_URL", "NEON_DB_URL"]] {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new(binary());
        command.arg("serve").current_dir(&folder).env_clear().env("BETTER_AUTH_SECRET", SECRET).env("PORT", "0");
        // Neon's variable wins if both are set.
        let output = command.envs(variables.iter().map(|variable| (variable, &nowhere))).output().unwrap();
        let errors = String::from_utf8(output.stderr).unwrap();
        let lines: Vec<&str> = errors.lines().filter(|line| line.starts_with("todo-api: ")).collect();
        assert_eq!((output.status.code(), lines.len()), (Some(1), 1), "{errors}");
        let start = format!("todo-api: refused: {}: ", variables.last().unwrap());
        assert!(lines[0].starts_with(&start) && lines[0].contains("\"nowhere\" does not exist"), "{errors}");
    }
}
