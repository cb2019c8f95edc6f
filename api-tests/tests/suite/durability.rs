use std::{
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use api_tests::{Method, Server};
use serde_json::json;

use crate::DATABASE;

#[test]
fn tasks_survive_a_restart() {
    let mut server = Server::start(DATABASE);
    let task = server.user("alice").create("Still here");
    server.signal("TERM");
    assert!(server.wait().success());
    let server = server.restart();
    assert_eq!(server.user("alice").list(""), [task]);
}

#[test]
fn no_acknowledged_write_is_lost_to_a_kill_while_eight_clients_write() {
    let mut server = Server::start(DATABASE);
    for round in 0..20 {
        let acknowledged = Mutex::new(Vec::new());
        let writes = AtomicUsize::new(0);
        thread::scope(|scope| {
            for writer in 0..8 {
                let client = server.user(&format!("writer {writer}"));
                let (acknowledged, writes) = (&acknowledged, &writes);
                scope.spawn(move || {
                    for n in 0.. {
                        let body = json!({ "title": format!("{round} {n}") }).to_string();
                        let request =
                            client.request(Method::POST, "/api/tasks").header("Content-Type", "application/json");
                        let Ok(answer) = client.try_send(request.body(body)) else { return };
                        assert_eq!(answer.status, 201, "{answer:?}");
                        acknowledged.lock().unwrap().push((writer, answer.json()));
                        writes.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
            while writes.load(Ordering::Relaxed) < 100 + round {
                thread::yield_now();
            }
            server.kill();
        });
        server = server.restart();
        for (writer, task) in acknowledged.into_inner().unwrap() {
            let path = format!("/api/tasks/{}", task["id"].as_str().unwrap());
            assert_eq!(server.user(&format!("writer {writer}")).get(&path).json(), task, "round {round}");
        }
    }
}

#[test]
fn eight_servers_that_start_at_once_on_an_empty_database_all_serve() {
    let servers = Server::start_together(DATABASE, 8);
    for (n, server) in servers.iter().enumerate() {
        server.user("alice").create(&n.to_string());
    }
    for server in &servers {
        assert_eq!(server.user("alice").list("").len(), 8);
    }
}
