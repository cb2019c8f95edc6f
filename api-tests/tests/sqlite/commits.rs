use std::{
    fs,
    path::PathBuf,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use api_tests::{Answer, Client, Database, Method, Server, faults};
use serde_json::{Value, json};

const FAULTS: [&str; 2] = ["sync-fails", "write-fails"];

fn server() -> Server {
    let [sync, write] = FAULTS;
    Server::with(Database::Sqlite, &[("LD_PRELOAD", faults()), ("FAULT_SYNC", sync), ("FAULT_WRITE", write)])
}

/// The meaning of the answer to a failed change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Said {
    Unchanged,
    Unknown,
}

fn said(answer: &Answer) -> Said {
    assert_eq!(answer.problem(), "503 unavailable");
    let detail = answer.json()["detail"].as_str().unwrap().to_owned();
    match (detail.contains("nothing was changed"), detail.contains("unknown")) {
        (true, false) => Said::Unchanged,
        (false, true) => Said::Unknown,
        _ => panic!("{detail}"),
    }
}

/// From now on, operations on the log fail with this errno. The server never sees a partly written file, which would
/// stand for another fault.
fn fail(server: &Server, file: &str, errno: &str) -> PathBuf {
    let fault = server.folder().join(file);
    let written = fault.with_extension("new");
    fs::write(&written, errno).unwrap();
    fs::rename(&written, &fault).unwrap();
    fault
}

fn path(task: &Value) -> String {
    format!("/api/tasks/{}", task["id"].as_str().unwrap())
}

type Change = fn(&Client, &Value) -> Answer;

/// One change of each kind, for a list with only this task.
const CHANGES: [(&str, Change); 4] = [
    ("create", |client, _| client.post("/api/tasks", &json!({ "title": "new" }))),
    ("update", |client, task| client.put(&path(task), &json!({ "title": "changed" }))),
    ("complete", |client, task| client.patch(&format!("{}/complete", path(task)), None)),
    ("delete", |client, task| client.delete(&path(task))),
];

#[test]
fn the_answer_to_a_failed_commit_is_true_after_a_kill() {
    // 5 is EIO, 28 is ENOSPC.
    for (file, errno, expected) in [
        ("sync-fails", "5", Said::Unknown),
        ("sync-fails", "28", Said::Unknown),
        ("write-fails", "5 -wal", Said::Unknown),
        ("write-fails", "28 -wal", Said::Unchanged),
    ] {
        for (change, make) in CHANGES {
            let mut server = server();
            let alice = server.user("alice");
            let before = vec![alice.create("old")];
            let fault = fail(&server, file, errno);
            let case = format!("{change} with {file} {errno}");
            assert_eq!(said(&make(&alice, &before[0])), expected, "{case}");
            assert_eq!(alice.list(""), before, "{case}");
            server.kill();
            fs::remove_file(fault).unwrap();
            let server = server.restart();
            let alice = server.user("alice");
            // If the frames of a commit could be written, the log has them, and the restart finds them.
            let stands = file == "sync-fails";
            assert_eq!(alice.list("") != before, stands, "{case}");
            alice.create("goes on");
        }
    }
}

#[test]
fn commits_after_a_failed_one_are_right_and_overwrite_its_frames_in_the_log() {
    let mut server = server();
    let alice = server.user("alice");
    let mut kept = vec![alice.create("before")];
    for (file, errno) in [("sync-fails", "5"), ("write-fails", "5 -wal"), ("write-fails", "28 -wal")] {
        let fault = fail(&server, file, errno);
        said(&alice.post("/api/tasks", &json!({ "title": "fails" })));
        assert_eq!(alice.get("/ready").problem(), "503 unavailable", "{file} {errno}");
        fs::remove_file(fault).unwrap();
        assert_eq!(alice.get("/ready").status, 200, "{file}: it sees by itself that changes can be made");
        kept.insert(0, alice.create("after"));
        assert_eq!(alice.list(""), kept);
    }
    server.kill();
    assert_eq!(server.restart().user("alice").list(""), kept);
}

#[test]
fn a_commit_on_disk_without_room_for_the_index_of_the_log_is_unknown() {
    let mut server = server();
    let alice = server.user("alice");
    alice.create("before");
    let log = server.folder().join("data/todo.db-wal");
    // A part of the index has room for 4062 frames. A reader prevents a restart of the log.
    let (reader, writer) = (server.sqlite(), server.sqlite());
    reader.execute_batch("BEGIN; SELECT count(*) FROM tasks").unwrap();
    writer.execute_batch("PRAGMA synchronous = OFF; PRAGMA wal_autocheckpoint = 0").unwrap();
    while log.metadata().unwrap().len() < 4055 * 4120 {
        writer.execute_batch("PRAGMA user_version = 0").unwrap();
    }
    fail(&server, "write-fails", "28 -shm");
    let mut acknowledged = 1;
    let failed = loop {
        let answer = alice.post("/api/tasks", &json!({ "title": "x" }));
        if answer.status != 201 {
            break answer;
        }
        acknowledged += 1;
        assert!(acknowledged < 100, "the index has more room than it should");
    };
    assert_eq!(said(&failed), Said::Unknown);
    assert_eq!(alice.list("").len(), acknowledged);
    drop((reader, writer));
    server.kill();
    fs::remove_file(server.folder().join("write-fails")).unwrap();
    assert_eq!(server.restart().user("alice").list("").len(), acknowledged + 1, "it has happened");
}

#[test]
fn while_commits_fail_under_load_every_answer_is_true_after_a_kill() {
    for round in 0..20 {
        let mut server = server();
        let (created, failed) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let answers = Mutex::new(Vec::new());
        thread::scope(|scope| {
            for writer in 0..4 {
                let client = server.user("alice");
                let (created, failed, answers) = (&created, &failed, &answers);
                scope.spawn(move || {
                    for n in 0.. {
                        let title = format!("{writer} {n}");
                        let body = json!({ "title": title }).to_string();
                        let request = client.request(Method::POST, "/api/tasks");
                        let request = request.header("Content-Type", "application/json").body(body);
                        let Ok(answer) = client.try_send(request) else { return };
                        let outcome = if answer.status == 201 { None } else { Some(said(&answer)) };
                        if outcome.is_none() { created } else { failed }.fetch_add(1, Ordering::Relaxed);
                        answers.lock().unwrap().push((title, outcome));
                    }
                });
            }
            let reached = |count: &AtomicUsize, least: usize| {
                let started = Instant::now();
                while count.load(Ordering::Relaxed) < least && started.elapsed() < Duration::from_mins(1) {
                    thread::yield_now();
                }
                count.load(Ordering::Relaxed) >= least
            };
            let begun = reached(&created, 20 + round);
            let (file, errno) = [("sync-fails", "5"), ("write-fails", "28 -wal")][round % 2];
            let fault = fail(&server, file, errno);
            let broken = reached(&failed, 10 + round);
            if round % 4 < 2 {
                fs::remove_file(fault).unwrap();
                reached(&created, created.load(Ordering::Relaxed) + round);
            }
            // The writers end together with the server.
            server.kill();
            assert!(begun && broken, "round {round}: {created:?} created, {failed:?} failed");
        });
        for file in FAULTS {
            drop(fs::remove_file(server.folder().join(file)));
        }
        let tasks = server.restart().user("alice").all();
        let stands = |title: &str| tasks.iter().any(|task| task["title"] == title);
        for (title, outcome) in answers.into_inner().unwrap() {
            match outcome {
                None => assert!(stands(&title), "round {round}: {title} was acknowledged"),
                Some(Said::Unchanged) => assert!(!stands(&title), "round {round}: {title} was reported as unchanged"),
                Some(Said::Unknown) => {}
            }
        }
    }
}
