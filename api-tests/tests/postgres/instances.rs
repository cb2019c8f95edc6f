use std::{
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use api_tests::{Balancer, Cluster, End, Method, PostgresDatabase, Server, free_port};
use serde_json::{Value, json};

fn start(database: &PostgresDatabase, port: u16) -> Server {
    Server::at(database.url(), &[("PORT", &port.to_string()), ("SHUTDOWN_DELAY", "1500ms")])
}

#[test]
fn a_rolling_restart_of_three_instances_under_load_fails_no_request() {
    let database = Cluster::shared().database();
    let ports = [free_port(), free_port(), free_port()];
    let mut servers: Vec<Server> = ports.iter().map(|port| start(&database, *port)).collect();
    let balancer = Balancer::start(&ports);
    let (requests, done) = (AtomicUsize::new(0), AtomicBool::new(false));
    let created = Mutex::new(Vec::<Value>::new());
    thread::scope(|scope| {
        for worker in 0..6 {
            let (balancer, requests, done, created) = (&balancer, &requests, &done, &created);
            scope.spawn(move || {
                let client = balancer.user("alice");
                for n in 0.. {
                    if done.load(Ordering::Relaxed) {
                        return;
                    }
                    let answer = client.post("/api/tasks", &json!({ "title": format!("{worker} {n}") }));
                    assert_eq!(answer.status, 201, "{answer:?}");
                    let path = answer.header("location");
                    assert_eq!(client.get(path).status, 200);
                    assert_eq!(
                        client.patch(&format!("{path}/complete"), Some(&json!({ "completed": true }))).status,
                        200
                    );
                    assert_eq!(client.get("/api/tasks?limit=10").status, 200);
                    requests.fetch_add(4, Ordering::Relaxed);
                    created.lock().unwrap().push(answer.json()["id"].clone());
                }
            });
        }
        let _end = End(&done);
        let wait_for = |more: usize| {
            let (before, started) = (requests.load(Ordering::Relaxed), Instant::now());
            while requests.load(Ordering::Relaxed) < before + more {
                assert!(started.elapsed() < Duration::from_mins(1), "the load stands still");
                thread::yield_now();
            }
        };
        for (server, port) in servers.iter_mut().zip(ports) {
            wait_for(200);
            server.signal("TERM");
            assert!(server.wait().success());
            *server = start(&database, port);
            // The load balancer uses it again.
            server.wait_for_log(|line| (line["route"] == "/api/tasks").then_some(()));
        }
        wait_for(200);
    });
    let kept = balancer.user("alice").all();
    let kept: Vec<&Value> = kept.iter().map(|task| &task["id"]).collect();
    assert!(created.into_inner().unwrap().iter().all(|id| kept.contains(&id)));
}

#[test]
fn keys_and_versions_work_across_instances() {
    let first = Server::on(Cluster::shared().database(), &[]);
    let instances = [first.sibling(), first.sibling(), first];
    let body = json!({ "title": "once" });
    let create = |server: &Server| {
        let client = server.user("alice");
        loop {
            let answer = client.create_with_key("k", &body);
            if answer.status != 409 {
                break answer;
            }
        }
    };
    let answers: Vec<_> = thread::scope(|scope| {
        let create = &create;
        let creates: Vec<_> =
            instances.iter().cycle().take(24).map(|server| scope.spawn(move || create(server))).collect();
        creates.into_iter().map(|create| create.join().unwrap()).collect()
    });
    let tasks = instances[0].user("alice").list("");
    assert_eq!(tasks.len(), 1);
    assert!(answers.iter().all(|answer| answer.status == 201 && answer.json() == tasks[0]), "{answers:?}");
    assert_eq!(answers.iter().filter(|answer| answer.header("idempotency-replayed") != "true").count(), 1);

    let path = answers[0].header("location");
    let statuses: Vec<u16> = thread::scope(|scope| {
        let writers: Vec<_> = (0..24)
            .map(|n| {
                let client = instances[n % 3].user("alice");
                scope.spawn(move || {
                    let request = client.request(Method::PUT, path).header("If-Match", "\"1\"");
                    let body = json!({ "title": n.to_string() }).to_string();
                    client.send(request.header("Content-Type", "application/json").body(body)).status
                })
            })
            .collect();
        writers.into_iter().map(|writer| writer.join().unwrap()).collect()
    });
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 1);
    assert_eq!(statuses.iter().filter(|status| **status == 412).count(), 23);
}
