use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use api_tests::{Client, Database, End, Server, faults};
use serde_json::{Value, json};

fn wait_until_ready(server: &Server) {
    let started = Instant::now();
    while server.stranger().get("/ready").status != 200 {
        assert!(started.elapsed() < Duration::from_mins(1), "the server does not become ready");
    }
}

#[test]
fn servers_that_start_at_once_on_an_empty_file_with_slow_locks_all_serve() {
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            });
        }
        let _end = End(&done);
        for round in 0..20 {
            let slow = [("LD_PRELOAD", faults()), ("FAULT_LOCK_PAUSE_US", "3000")];
            let servers = Server::start_together_with(Database::Sqlite, 8, &slow);
            for server in &servers {
                wait_until_ready(server);
            }
            servers[round % 8].user("alice").create("x");
        }
    });
}

/// The outcome of the unacknowledged changes.
fn is_unknown(answer: &api_tests::Answer) -> bool {
    assert_eq!(answer.problem(), "503 unavailable");
    let detail = answer.json()["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains("unknown") != detail.contains("nothing was changed"), "{detail}");
    detail.contains("unknown")
}

#[test]
fn a_commit_that_the_disk_does_not_confirm_is_reported_as_unknown() {
    let folder = tempfile::tempdir().unwrap();
    let fault = folder.path().join("fault");
    let environment = [("LD_PRELOAD", faults()), ("FAULT_SYNC", fault.to_str().unwrap())];
    let mut server = Server::with(Database::Sqlite, &environment);
    for round in 0..20 {
        let alice = server.user("alice");
        let (kept, changed, deleted) = (alice.create("kept"), alice.create("before"), alice.create("deleted"));
        let path = |task: &Value| format!("/api/tasks/{}", task["id"].as_str().unwrap());
        fs::write(&fault, "").unwrap();
        let answer = match round % 3 {
            0 => alice.post("/api/tasks", &json!({ "title": "created" })),
            1 => alice.put(&path(&changed), &json!({ "title": "after" })),
            _ => alice.delete(&path(&deleted)),
        };
        let unknown = is_unknown(&answer);
        assert_eq!(alice.get("/ready").status, 503, "round {round}");
        if round % 2 == 0 {
            server.kill();
            fs::remove_file(&fault).unwrap();
            server = server.restart();
        } else {
            fs::remove_file(&fault).unwrap();
            assert_eq!(alice.get("/ready").status, 200, "round {round}");
        }
        let alice = server.user("alice");
        assert_eq!(alice.get(&path(&kept)).json(), kept);
        let happened = match round % 3 {
            0 => alice.all().iter().any(|task| task["title"] == "created"),
            1 => alice.get(&path(&changed)).json()["title"] == "after",
            _ => alice.get(&path(&deleted)).status == 404,
        };
        assert!(unknown || !happened, "round {round}: reported as unchanged, and yet it happened");
        for task in alice.all() {
            assert_eq!(alice.delete(&path(&task)).status, 204);
        }
    }
}

#[test]
fn a_server_with_a_locked_file_starts_and_becomes_ready_after_the_lock() {
    let mut server = Server::start(Database::Sqlite);
    let task = server.user("alice").create("before");
    server.kill();
    let lock = server.hold_writes();
    let server = server.restart();
    let started = Instant::now();
    assert_eq!(server.stranger().get("/health").status, 200);
    assert_eq!(server.stranger().get("/ready").problem(), "503 unavailable");
    assert_eq!(server.user("alice").get("/api/tasks").problem(), "503 unavailable");
    assert!(started.elapsed() < Duration::from_secs(10));
    drop(lock);
    wait_until_ready(&server);
    assert_eq!(server.user("alice").list(""), [task]);
}

#[test]
fn a_server_that_waits_for_a_locked_file_can_be_stopped() {
    let mut server = Server::start(Database::Sqlite);
    server.kill();
    let lock = server.hold_writes();
    let mut server = server.restart();
    server.signal("TERM");
    assert_eq!(server.wait().code(), Some(0));
    drop(lock);
}

#[test]
fn a_file_that_is_not_a_database_ends_the_start_with_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("todo.db");
    fs::write(&file, "no database at all, and long enough to have a header ".repeat(10)).unwrap();
    let line = Server::misuse(&format!("sqlite://{}", file.display()));
    assert!(line.contains("not a database"), "{line}");
}

#[test]
fn a_path_to_no_file_ends_the_start_with_one_line() {
    for (url, cause) in [
        ("sqlite://missing.db", "missing.db: No such file or directory (os error 2); ?mode=rwc creates a missing file"),
        ("sqlite:///dev/null/todo.db?mode=rwc", "/dev/null/todo.db: "),
    ] {
        let line = Server::misuse(url);
        assert!(line.contains(cause), "{line}");
    }
}

#[test]
fn a_file_of_another_program_is_rejected_and_not_changed() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("theirs.db");
    let theirs = rusqlite::Connection::open(&file).unwrap();
    theirs.execute_batch("CREATE TABLE Users (id); CREATE TABLE alembic_version (version_num)").unwrap();
    let line = Server::misuse(&format!("sqlite://{}", file.display()));
    assert!(line.contains("Alembic") && line.contains("users") && line.contains("another file"), "{line}");
    let tables: i64 = theirs.query_row("SELECT count(*) FROM sqlite_schema", (), |row| row.get(0)).unwrap();
    assert_eq!(tables, 2, "nothing is created");
}

fn mode(path: &Path) -> u32 {
    path.metadata().unwrap().mode() & 0o7777
}

#[test]
fn only_the_owner_can_read_the_files_that_the_server_creates() {
    let server = Server::start(Database::Sqlite);
    server.user("alice").create("x");
    let data = server.folder().join("data");
    assert_eq!(mode(&data), 0o700);
    for name in ["todo.db", "todo.db-wal", "todo.db-shm"] {
        assert_eq!(mode(&data.join(name)), 0o600, "{name}");
    }
    assert!(!server.log().iter().any(|line| line.contains("chmod")));
}

#[test]
fn an_existing_file_keeps_its_mode_and_causes_a_warning() {
    let mut server = Server::start(Database::Sqlite);
    server.kill();
    let file = server.folder().join("data/todo.db");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    let server = server.restart();
    let line = server.wait_for_log(|line| line["message"].as_str()?.contains("chmod 600").then(|| line.clone()));
    assert_eq!((&line["level"], &line["mode"]), (&json!("WARN"), &json!("0644")));
    assert_eq!(mode(&file), 0o644);
}

fn create(client: &Client) -> String {
    client.post("/api/tasks", &json!({ "title": "x" })).problem()
}

#[test]
fn a_moved_removed_or_replaced_file_gets_no_changes_until_it_is_back() {
    for name in ["todo.db", "todo.db-wal", "todo.db-shm"] {
        let server = Server::start(Database::Sqlite);
        let alice = server.user("alice");
        let task = alice.create("before");
        let (file, away) = (server.folder().join("data").join(name), server.folder().join("away"));
        fs::rename(&file, &away).unwrap();
        for replaced in [false, true] {
            if replaced {
                fs::copy(&away, &file).unwrap();
            }
            assert_eq!(create(&alice), "503 unavailable", "{name}");
            assert_eq!(alice.get("/ready").problem(), "503 unavailable", "{name}");
            server.wait_for_log(|line| line["cause"].as_str()?.contains("moved, removed or replaced").then_some(()));
            // Reads continue on all worker threads, also on those that have not read before.
            for _ in 0..20 {
                assert_eq!(server.user("alice").list(""), std::slice::from_ref(&task), "{name}");
            }
        }
        fs::rename(&away, &file).unwrap();
        assert_eq!(alice.get("/ready").status, 200, "{name}");
        assert_eq!(create(&alice), "201", "{name}");
    }
}

#[test]
fn a_server_that_stops_after_its_log_was_removed_loses_nothing() {
    let mut server = Server::start(Database::Sqlite);
    let task = server.user("alice").create("before");
    fs::remove_file(server.folder().join("data/todo.db-wal")).unwrap();
    server.signal("TERM");
    assert_eq!(server.wait().code(), Some(1), "it says so");
    assert_eq!(server.restart().user("alice").list(""), [task]);
}

#[test]
fn a_server_that_is_killed_after_it_noticed_the_removed_log_loses_nothing() {
    let mut server = Server::start(Database::Sqlite);
    let task = server.user("alice").create("stands in the log only");
    fs::remove_file(server.folder().join("data/todo.db-wal")).unwrap();
    assert_eq!(server.stranger().get("/ready").problem(), "503 unavailable");
    server.kill();
    assert_eq!(server.restart().user("alice").list(""), [task]);
}

#[test]
fn a_stopping_server_does_not_change_a_file_that_replaced_its_own() {
    let mut other = Server::start(Database::Sqlite);
    let theirs = other.user("alice").create("theirs");
    other.signal("TERM");
    assert!(other.wait().success());

    let mut server = Server::start(Database::Sqlite);
    let ours = server.user("alice").create("ours");
    let (file, away) = (server.folder().join("data/todo.db"), server.folder().join("away.db"));
    fs::rename(&file, &away).unwrap();
    fs::copy(other.folder().join("data/todo.db"), &file).unwrap();
    server.signal("TERM");
    assert_eq!(server.wait().code(), Some(1), "it says so");
    let mut server = server.restart();
    assert_eq!(server.user("alice").list(""), [theirs]);
    server.kill();

    for suffix in ["-wal", "-shm"] {
        fs::remove_file(file.with_file_name(format!("todo.db{suffix}"))).unwrap();
    }
    fs::rename(&away, &file).unwrap();
    assert_eq!(
        server.restart().user("alice").list(""),
        [ours],
        "the file that was moved has all that was acknowledged"
    );
}

#[test]
fn a_log_beside_the_target_of_a_link_is_checked_as_well() {
    let mut server = Server::start(Database::Sqlite);
    server.signal("TERM");
    assert!(server.wait().success());
    let (data, real) = (server.folder().join("data"), server.folder().join("real.db"));
    fs::rename(data.join("todo.db"), &real).unwrap();
    for name in ["todo.db-wal", "todo.db-shm"] {
        drop(fs::remove_file(data.join(name)));
    }
    std::os::unix::fs::symlink(&real, data.join("todo.db")).unwrap();
    let server = server.restart();
    let alice = server.user("alice");
    alice.create("before");
    fs::remove_file(server.folder().join("real.db-wal")).unwrap();
    assert_eq!(create(&alice), "503 unavailable");
}
