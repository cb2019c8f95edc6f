use std::{
    fs::File,
    io::{ErrorKind, Write},
    thread,
    time::{Duration, Instant},
};

use api_tests::{Answer, Client, Database, Server};
use serde_json::{Value, json};

fn write(client: &Client) -> Answer {
    client.post("/api/tasks", &json!({ "title": "x", "description": "y".repeat(1000) }))
}

#[test]
fn on_a_full_disk_writes_are_rejected_and_none_is_lost() {
    let server = Server::on_a_small_disk(2048);
    let alice = server.user("alice");
    let mut kept: Vec<Value> = (0..20).map(|_| write(&alice).json()).collect();

    let filler = server.inner_folder().join("data/filler");
    let mut file = File::create(&filler).unwrap();
    let full = std::iter::repeat_with(|| file.write_all(&[0; 4096])).find_map(Result::err).unwrap();
    assert_eq!(full.kind(), ErrorKind::StorageFull);

    // At first, the write-ahead log has some room of its own.
    let refused = loop {
        let answer = write(&alice);
        if answer.status != 201 {
            break answer;
        }
        kept.push(answer.json());
    };
    assert_eq!((refused.problem().as_str(), refused.header("retry-after")), ("503 unavailable", "1"));
    assert!(!String::from_utf8(refused.body).unwrap().contains("full"), "the cause is for the log");
    server.wait_for_log(|line| line["cause"].as_str()?.contains("full").then_some(()));
    for _ in 0..3 {
        assert_eq!(write(&alice).problem(), "503 unavailable");
        assert_eq!(alice.get("/ready").problem(), "503 unavailable", "it cannot take a change");
    }
    let sort = |mut tasks: Vec<Value>| {
        tasks.sort_by_key(|task| task["id"].as_str().unwrap().to_owned());
        tasks
    };
    assert_eq!(sort(alice.list("")), sort(kept.clone()), "reads continue, and contain the acknowledged tasks");

    drop(file);
    std::fs::remove_file(filler).unwrap();
    assert_eq!(alice.get("/ready").status, 200, "it sees by itself that there is room");
    kept.push(write(&alice).json());
    assert_eq!(sort(alice.list("")), sort(kept), "it recovers by itself");
}

#[test]
fn with_room_for_only_the_smallest_change_the_server_is_not_ready() {
    let server = Server::on_a_small_disk(2048);
    let alice = server.user("alice");
    let kept: Vec<Value> = (0..20).map(|_| write(&alice).json()).collect();
    let mut filler = File::create(server.inner_folder().join("data/filler")).unwrap();
    let written = std::iter::repeat_with(|| filler.write_all(&[0; 4096])).take_while(Result::is_ok).count();
    filler.set_len((written as u64 - 2) * 4096).unwrap();
    for _ in 0..3 {
        assert_eq!(write(&alice).problem(), "503 unavailable");
        assert_eq!(alice.get("/ready").problem(), "503 unavailable");
    }
    assert_eq!(alice.list("").len(), kept.len());
    filler.set_len(0).unwrap();
    assert_eq!(alice.get("/ready").status, 200);
    write(&alice).json();
}

#[test]
fn while_another_process_locks_the_file_writes_are_rejected_in_time_and_the_cause_is_logged() {
    let server = Server::start(Database::Sqlite);
    let task = server.user("alice").create("before");
    let held = server.hold_writes();
    thread::scope(|scope| {
        let writers: Vec<_> = (0..32)
            .map(|_| {
                let client = server.user("alice");
                scope.spawn(move || {
                    let started = Instant::now();
                    (write(&client), started.elapsed())
                })
            })
            .collect();
        for writer in writers {
            let (answer, took) = writer.join().unwrap();
            assert_eq!(answer.problem(), "503 unavailable");
            assert!(took <= Duration::from_secs(2), "{took:?}");
            let line =
                server.wait_for_log(|line| (line["request_id"] == answer.header("x-request-id")).then(|| line.clone()));
            assert_eq!((&line["level"], &line["status"]), (&json!("ERROR"), &json!(503)));
            assert!(line["cause"].as_str().unwrap().contains("locked"), "{line}");
        }
    });
    assert_eq!(server.stranger().get("/ready").problem(), "503 unavailable");
    drop(held);
    assert_eq!(server.stranger().get("/ready").status, 200);
    assert_eq!(write(&server.user("alice")).status, 201);
    assert!(server.user("alice").list("").contains(&task));
}

#[test]
fn a_server_waits_for_room_on_a_disk_that_is_full_at_the_first_start() {
    let server = Server::on_a_full_disk(1024);
    let client = server.user("alice");
    assert_eq!(client.get("/health").status, 200);
    for path in ["/ready", "/api/tasks"] {
        assert_eq!(client.get(path).problem(), "503 unavailable", "{path}");
    }
    std::fs::remove_file(server.inner_folder().join("data/filler")).unwrap();
    server.wait_for_log(|line| (line["message"] == "ready").then_some(()));
    assert_eq!(client.get("/ready").status, 200);
    client.create("there is room");
}
