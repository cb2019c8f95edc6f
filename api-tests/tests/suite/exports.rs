use std::{
    io::Read,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use api_tests::{Answer, Client, End, Server};
use serde_json::{Value, json};

use crate::DATABASE;

/// Gives two users tasks with every kind of content, of which some were changed. Returns the creates with a key.
pub(crate) fn fill(server: &Server) -> Vec<(&'static str, Value, Answer)> {
    let mut creates = Vec::new();
    for user in ["alice", "bob ü \"quoted\""] {
        let client = server.user(user);
        for body in [
            json!({ "title": "x" }),
            json!({ "title": "STRASSE ß İ 🦀", "description": "line\nline\t\"quote\" \\ \u{1}\u{2028}", "completed": true }),
            json!({ "title": "z".repeat(255), "description": "ü".repeat(1000), "priority": "high" }),
            json!({ "title": "dated", "due_date": "0001-01-01T00:00:00.000001Z", "tags": ["home", "a \" b", "🦀"] }),
            json!({ "title": "late", "due_date": "9999-12-31T23:59:59.999999Z", "priority": "low" }),
            json!({ "title": "empty", "description": "", "due_date": "2026-12-01T09:00:00+01:00", "priority": "medium" }),
        ] {
            let answer = client.create_with_key(&key_of(&body), &body);
            assert_eq!(answer.status, 201, "{answer:?}");
            creates.push((user, body, answer));
        }
        let changed = client.create("changed");
        let path = format!("/api/tasks/{}", changed["id"].as_str().unwrap());
        for title in ["once", "twice"] {
            assert_eq!(client.put(&path, &json!({ "title": title, "due_date": "2026-12-01T00:00:00Z" })).status, 200);
        }
        let deleted = client.create("deleted");
        assert_eq!(client.delete(&format!("/api/tasks/{}", deleted["id"].as_str().unwrap())).status, 204);
    }
    creates
}

/// The key of a create that [`fill`] has made.
pub(crate) fn key_of(body: &Value) -> String {
    let key = format!("key of {}", body["title"]).replace(' ', "-").replace('"', "");
    key.chars().filter(char::is_ascii_graphic).take(99).collect()
}

/// Everything that a client can see of its lists, with the ETag of each task.
pub(crate) fn seen(client: &Client) -> Vec<Value> {
    let mut seen = Vec::new();
    for sort in ["created", "title", "due_date", "priority"] {
        for order in ["asc", "desc"] {
            for status in ["all", "pending", "completed"] {
                let path = format!("/api/tasks?limit=3&sort={sort}&order={order}&status={status}");
                seen.extend(client.pages(&path).into_iter().map(Value::from));
            }
        }
    }
    for task in client.all() {
        let answer = client.get(&format!("/api/tasks/{}", task["id"].as_str().unwrap()));
        seen.push(json!([answer.header("etag"), answer.json()]));
    }
    seen
}

/// The export of a server's database.
pub(crate) fn export(server: &Server) -> String {
    server.printed(&["export"])
}

pub(crate) fn lines(export: &str) -> Vec<Value> {
    export.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn an_export_has_all_rows_between_two_lines_with_their_numbers() {
    let server = Server::start(DATABASE);
    let creates = fill(&server);
    let lines = lines(&export(&server));
    let (begin, end) = (&lines[0]["export"], &lines.last().unwrap()["end"]);
    assert_eq!(*begin, json!({ "format": 1, "users": 2, "tasks": 14, "keys": 12 }));
    assert_eq!(*end, json!({ "users": 2, "tasks": 14, "keys": 12 }));
    let kinds: Vec<_> = lines.iter().map(|line| line.as_object().unwrap().keys().next().unwrap().as_str()).collect();
    let expected = [vec!["export"], vec!["user"; 2], vec!["task"; 14], vec!["key"; 12], vec!["end"]].concat();
    assert_eq!(kinds, expected);
    for line in lines.iter().filter_map(|line| line.get("task")) {
        let user = server.user(line["user_id"].as_str().unwrap());
        let answer = user.get(&format!("/api/tasks/{}", line["id"].as_str().unwrap()));
        let mut task = answer.json();
        let version = answer.header("etag").trim_matches('"').parse::<i64>().unwrap();
        task.as_object_mut().unwrap().insert("version".to_owned(), version.into());
        assert_eq!(*line, task, "a task has the fields of the API, and its version");
    }
    let keys: Vec<_> = lines.iter().filter_map(|line| line.get("key")).collect();
    assert!(creates.iter().all(|(user, body, _)| {
        keys.iter().any(|key| key["user_id"] == *user && key["key"] == key_of(body).as_str())
    }));
}

#[test]
fn an_export_leaves_expired_keys_out() {
    let server = Server::start(DATABASE);
    let alice = server.user("alice");
    assert_eq!(alice.create_with_key("old", &json!({ "title": "x" })).status, 201);
    let old = match DATABASE {
        api_tests::Database::Sqlite => "UPDATE idempotency_keys SET created_at = created_at - 86401 * 1000000",
        api_tests::Database::Postgres => "UPDATE idempotency_keys SET created_at = created_at - interval '86401 s'",
    };
    server.sql(old);
    assert_eq!(alice.create_with_key("new", &json!({ "title": "x" })).status, 201);
    let lines = lines(&export(&server));
    assert_eq!(lines[0]["export"]["keys"], 1);
    assert!(lines.iter().filter_map(|line| line.get("key")).all(|key| key["key"] == "new"));
}

#[test]
fn an_export_of_one_user_has_nothing_of_others() {
    let server = Server::start(DATABASE);
    fill(&server);
    let all = export(&server);
    for user in ["alice", "bob ü \"quoted\""] {
        let name = Value::from(user);
        let theirs: Vec<_> = lines(&all)
            .into_iter()
            .filter(|line| {
                line["user"]["id"] == name || line["task"]["user_id"] == name || line["key"]["user_id"] == name
            })
            .collect();
        let printed = server.printed(&["user", "export", user]);
        let own = lines(&printed);
        assert_eq!(own[0]["export"], json!({ "format": 1, "users": 1, "tasks": 7, "keys": 6 }));
        assert_eq!(own[1..own.len() - 1], theirs);
        assert_eq!(server.printed(&["export", "--user", user]), printed);
    }
    let nobody = server.command(&["user", "export", "nobody"]);
    assert!(nobody.status.success());
    assert_eq!(lines(&String::from_utf8(nobody.stdout).unwrap()).len(), 2);
    assert_eq!(nobody.stderr, b"todo-api: the database has no such user\n");
}

#[test]
fn an_export_shows_one_moment_while_users_make_changes() {
    let server = Server::start(DATABASE);
    let users: Vec<_> = (0..2).map(|n| server.user(&format!("user {n}"))).collect();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        // Each user gets a task in turn, so at any moment they have equally many, or the first has one more.
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                for user in &users {
                    drop(user.create_with_key(&rand::random::<u64>().to_string(), &json!({ "title": "x" })));
                }
            }
        });
        let _end = End(&done);
        let (mut last, mut exports) = (0, 0);
        while exports < 5 || last < 50 {
            let lines = lines(&export(&server));
            let (begin, end) = (&lines[0]["export"], &lines.last().unwrap()["end"]);
            assert!(["users", "tasks", "keys"].iter().all(|kind| begin[kind] == end[kind]), "{begin} {end}");
            assert_eq!(end["tasks"], end["keys"]);
            let of = |user: &str| lines.iter().filter(|line| line["task"]["user_id"] == user).count();
            assert!([0, 1].contains(&(of("user 0") - of("user 1"))));
            let tasks = end["tasks"].as_u64().unwrap();
            assert!(tasks >= last);
            (last, exports) = (tasks, exports + 1);
        }
    });
}

#[test]
fn an_export_whose_reader_goes_away_ends_with_one_line() {
    let server = Server::start(DATABASE);
    let rows = super::imports::synthetic(3, 20_000);
    assert!(server.command_reading(rows.as_bytes(), &["import"]).status.success());
    let mut child = server.begin(&["export"]);
    let mut output = child.stdout.take().unwrap();
    output.read_exact(&mut [0; 1000]).unwrap();
    drop(output);
    let ended = child.wait_with_output().unwrap();
    let errors = String::from_utf8(ended.stderr).unwrap();
    assert_eq!((ended.status.code(), errors.lines().count()), (Some(1), 1), "{errors}");
    assert!(errors.starts_with("todo-api: standard output: "), "{errors}");
    assert_eq!(export(&server), rows);
}

#[test]
fn an_export_of_an_older_schema_asks_for_the_migration() {
    let mut server = Server::start(DATABASE);
    server.kill();
    server.printed(&["migrate", "down"]);
    for arguments in [&["export"][..], &["user", "export", "alice"], &["user", "delete", "alice"]] {
        let output = server.command(arguments);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        let line = "todo-api: the database has no schema yet, or an older one: run todo-api migrate up\n";
        assert_eq!(String::from_utf8(output.stderr).unwrap(), line);
    }
}
