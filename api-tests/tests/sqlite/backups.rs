use std::{
    fs,
    os::unix::fs::PermissionsExt,
    process::{Command, Output},
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use api_tests::{Database, End, Server, binary};
use serde_json::Value;

use crate::suite::exports::{export, fill, seen};

/// The line of a command that fails with status 1.
fn failure(output: Output) -> String {
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), errors.lines().count()), (Some(1), 1), "{errors}");
    errors.trim_end().strip_prefix("todo-api: ").unwrap().to_owned()
}

/// The names of all files in the server's folder that are there for a moment only.
fn leftovers(server: &Server) -> Vec<String> {
    let names = |folder: &str| {
        let files = fs::read_dir(server.folder().join(folder)).unwrap();
        files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect::<Vec<_>>()
    };
    [names("."), names("data")].concat().into_iter().filter(|name| name.contains("partial")).collect()
}

/// Restores the file as the database of another server.
fn restored(from: &Server, file: &str) -> Server {
    let mut server = Server::start(Database::Sqlite);
    server.kill();
    fs::remove_dir_all(server.folder().join("data")).unwrap();
    let printed = server.printed(&["restore", from.folder().join(file).to_str().unwrap()]);
    assert!(printed.ends_with(&format!(" to {}/data/todo.db\n", server.folder().display())), "{printed}");
    let path = server.folder().join("data/todo.db");
    assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::read_dir(server.folder().join("data")).unwrap().count(), 1);
    server.restart()
}

#[test]
fn a_backup_of_a_serving_server_has_all_tasks_from_before_and_can_be_restored() {
    let server = Server::start(Database::Sqlite);
    let alice = server.user("alice");
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                server.user("bob").create("while the backup runs");
            }
        });
        let _end = End(&done);
        for round in 0..3 {
            alice.create(&format!("before {round}"));
            let before: Vec<Value> = alice.all();
            let file = format!("backup {round}.db");
            let printed = server.printed(&["backup", &file]);
            let (folder, base) = (server.folder().display(), format!("{}/{file}", server.folder().display()));
            assert_eq!(printed, format!("copied {folder}/data/todo.db to {base}\n"));
            let mode = fs::metadata(server.folder().join(&file)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
            let copy = restored(&server, &file);
            assert_eq!(copy.user("alice").all(), before);
            copy.user("alice").create("after");
        }
    });
    assert_eq!(leftovers(&server), [""; 0]);
}

#[test]
fn a_restored_database_makes_no_difference() {
    let server = Server::start(Database::Sqlite);
    fill(&server);
    server.printed(&["backup", "copy.db"]);
    let copy = restored(&server, "copy.db");
    assert_eq!(export(&copy), export(&server));
    for user in ["alice", "bob ü \"quoted\""] {
        assert_eq!(seen(&copy.user(user)), seen(&server.user(user)));
    }
}

#[test]
fn a_backup_never_replaces_a_file() {
    let server = Server::start(Database::Sqlite);
    fs::write(server.folder().join("mine"), "mine").unwrap();
    std::os::unix::fs::symlink("nowhere", server.folder().join("link")).unwrap();
    for name in ["mine", "link", "data/todo.db", "."] {
        let line = failure(server.command(&["backup", name]));
        assert_eq!(line, format!("{name}: exists already, and is kept; name another file"));
    }
    assert_eq!(fs::read_to_string(server.folder().join("mine")).unwrap(), "mine");
    assert!(fs::symlink_metadata(server.folder().join("nowhere")).is_err());
    assert_eq!(leftovers(&server), [""; 0]);
}

#[test]
fn a_name_that_looks_like_a_uri_is_a_name() {
    let server = Server::start(Database::Sqlite);
    fill(&server);
    server.printed(&["backup", "file:copy.db?mode=memory"]);
    assert_eq!(export(&restored(&server, "file:copy.db?mode=memory")), export(&server));
    assert_eq!(leftovers(&server), [""; 0]);
}

#[test]
fn only_a_database_of_this_program_is_backed_up() {
    let mut server = Server::start(Database::Sqlite);
    server.kill();
    let database = server.folder().join("data/todo.db");
    for content in [&b""[..], &b"x".repeat(10_000)] {
        fs::remove_dir_all(server.folder().join("data")).unwrap();
        fs::create_dir(server.folder().join("data")).unwrap();
        fs::write(&database, content).unwrap();
        let line = failure(server.command(&["backup", "copy.db"]));
        assert!(line.starts_with("data/todo.db: "), "{line}");
        assert!(!server.folder().join("copy.db").exists());
    }
}

#[test]
fn a_backup_on_a_full_disk_leaves_no_file() {
    let server = Server::start(Database::Sqlite);
    server.user("alice").create(&"x".repeat(200));
    let script = format!(
        "mkdir small; mount -t tmpfs -o size=16k tmpfs small; {} backup small/copy.db; echo $?; ls -A small",
        binary().display()
    );
    let mut shell = Command::new("unshare");
    shell.args(["--map-root-user", "--mount", "sh", "-c", &script]).current_dir(server.folder());
    let output = shell.output().unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(errors.starts_with("todo-api: small/copy.db: ") && errors.contains("full"), "{errors}");
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "1\n");
}

#[test]
fn commands_that_read_a_database_do_not_create_one() {
    let mut server = Server::start(Database::Sqlite);
    server.kill();
    fs::remove_dir_all(server.folder().join("data")).unwrap();
    for arguments in [&["export"][..], &["backup", "copy.db"], &["user", "export", "x"], &["user", "delete", "x"]] {
        let output = server.command(arguments);
        let errors = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{errors}");
        assert!(errors.starts_with("todo-api: DATABASE_URL: data/todo.db: No such file"), "{errors}");
    }
    assert_eq!(fs::read_dir(server.folder()).unwrap().count(), 0);
}

#[test]
fn a_restore_never_replaces_a_database() {
    let mut server = Server::start(Database::Sqlite);
    server.user("alice").create("x");
    server.printed(&["backup", "copy.db"]);
    let all = export(&server);
    let remedy = "exists already; stop the server, and move the file away together with its -wal, -shm and -journal";
    assert_eq!(failure(server.command(&["restore", "copy.db"])), format!("data/todo.db: {remedy}"));
    server.kill();
    assert_eq!(failure(server.command(&["restore", "copy.db"])), format!("data/todo.db: {remedy}"));
    assert_eq!(export(&server), all);

    let data = server.folder().join("data");
    fs::remove_file(data.join("todo.db")).unwrap();
    for suffix in ["-wal", "-shm", "-journal"] {
        let left = format!("todo.db{suffix}");
        drop(fs::remove_file(data.join(&left)));
        fs::write(data.join(&left), "old").unwrap();
        assert_eq!(failure(server.command(&["restore", "copy.db"])), format!("data/{left}: {remedy}"));
        fs::remove_file(data.join(&left)).unwrap();
    }
    server.printed(&["restore", "copy.db"]);
    assert_eq!(export(&server), all);
}

#[test]
fn only_an_intact_database_of_this_program_is_restored() {
    let mut server = Server::start(Database::Sqlite);
    let alice = server.user("alice");
    for n in 0..200 {
        alice.create(&format!("{n} {}", "x".repeat(200)));
    }
    server.printed(&["backup", "copy.db"]);
    let folder = server.folder().to_owned();
    let file = |name: &str| folder.join(name);
    let copy = fs::read(file("copy.db")).unwrap();
    let sql = |name: &str, sql: &str| {
        fs::copy(file("copy.db"), file(name)).unwrap();
        let database = rusqlite::Connection::open(file(name)).unwrap();
        database.execute_batch(sql).unwrap();
    };
    fs::write(file("garbage"), "x".repeat(100_000)).unwrap();
    fs::write(file("empty"), "").unwrap();
    fs::write(file("truncated"), &copy[..copy.len() / 2]).unwrap();
    let mut flipped = copy.clone();
    let half = copy.len() / 2;
    flipped[half..half + 4096].fill(0xaa);
    fs::write(file("flipped"), flipped).unwrap();
    rusqlite::Connection::open(file("foreign")).unwrap().execute_batch("CREATE TABLE tasks (id)").unwrap();
    rusqlite::Connection::open(file("other")).unwrap().execute_batch("CREATE TABLE cake (id)").unwrap();
    sql("newer", "INSERT INTO seaql_migrations VALUES ('m20990101_000001_x', 0)");
    sql("orphan", "PRAGMA foreign_keys = OFF; DELETE FROM users");
    fs::copy(file("data/todo.db"), file("live")).unwrap();
    fs::copy(file("data/todo.db-wal"), file("live-wal")).unwrap();
    std::os::unix::fs::symlink("live", file("link")).unwrap();
    fs::write(file("torn"), &copy).unwrap();
    fs::write(file("torn-journal"), "x").unwrap();
    let all = export(&server);
    server.kill();
    fs::remove_dir_all(file("data")).unwrap();
    for (name, problem) in [
        ("missing", "missing: No such file or directory"),
        (".", ".: is not a file"),
        ("garbage", "garbage: is not an intact SQLite database: file is not a database"),
        ("empty", "empty: is not a database of todo-api"),
        ("truncated", "truncated: is not an intact SQLite database"),
        ("flipped", "flipped: is not an intact SQLite database"),
        ("foreign", "foreign: the database seems to belong to another program"),
        ("other", "other: is not a database of todo-api"),
        ("newer", "newer: the schema is newer than this program"),
        ("orphan", "orphan: is not an intact SQLite database: some rows belong to no user"),
        ("link", "live-wal: belongs to a database in use; make a backup of it with todo-api backup"),
        ("torn", "torn-journal: belongs to a database in use; make a backup of it with todo-api backup"),
        ("live", "live-wal: belongs to a database in use; make a backup of it with todo-api backup"),
    ] {
        let line = failure(server.command(&["restore", name]));
        assert!(line.contains(problem), "{name}: {line}");
        let left = fs::read_dir(file("data")).map_or(0, Iterator::count);
        assert_eq!(left, 0, "{name}");
    }
    // SQLite's own shell makes backups that ask for a log, and a backup may be of an older release.
    sql("wal", "PRAGMA journal_mode = WAL");
    server.printed(&["restore", "wal"]);
    assert_eq!(export(&server), all);
    fs::remove_dir_all(file("data")).unwrap();
    fs::write(file("before"), &copy).unwrap();
    server.printed(&["restore", "before"]);
    server.printed(&["migrate", "down"]);
    fs::copy(file("data/todo.db"), file("older")).unwrap();
    fs::remove_dir_all(file("data")).unwrap();
    server.printed(&["restore", "older"]);
    assert_eq!(server.restart().user("alice").all().len(), 200);
}
