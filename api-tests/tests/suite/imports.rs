use std::{fmt::Write as _, io::Write, process::Output, thread};

use api_tests::Server;
use serde_json::{Value, json};

use super::exports::{export, fill, key_of, lines, seen};
use crate::DATABASE;

/// An export of this many users and tasks.
pub(crate) fn synthetic(users: usize, tasks: usize) -> String {
    let counts = format!("\"users\":{users},\"tasks\":{tasks},\"keys\":0");
    let mut export = format!("{{\"export\":{{\"format\":1,{counts}}}}}\n");
    let time = "2026-11-28T00:00:00Z";
    for n in 0..users {
        writeln!(export, "{{\"user\":{{\"id\":\"user {n:04}\",\"created_at\":\"{time}\"}}}}").unwrap();
    }
    for n in 0..tasks {
        let owner = n * users / tasks;
        writeln!(
            export,
            "{{\"task\":{{\"user_id\":\"user {owner:04}\",\"id\":\"019ac000-0000-7000-8000-{n:012x}\",\"title\":\"Task {n}\",\
             \"description\":null,\"completed\":{},\"priority\":\"none\",\"tags\":[],\"due_date\":null,\"version\":1,\
             \"created_at\":\"{time}\",\"updated_at\":\"{time}\"}}}}",
            n % 3 == 0
        )
        .unwrap();
    }
    writeln!(export, "{{\"end\":{{{counts}}}}}").unwrap();
    export
}

fn import(server: &Server, export: &str) -> Output {
    server.command_reading(export.as_bytes(), &["import"])
}

/// The lines of a command that fails with status 1.
fn failure(output: Output) -> (String, Vec<String>) {
    let (stdout, stderr) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert_eq!(output.status.code(), Some(1), "{stdout}{stderr}");
    (stdout, stderr.lines().map(|line| line.strip_prefix("todo-api: ").unwrap().to_owned()).collect())
}

#[test]
fn an_imported_export_gives_the_same_lists_etags_and_replays() {
    let (from, to) = (Server::start(DATABASE), Server::start(DATABASE));
    let creates = fill(&from);
    let all = export(&from);
    let output = import(&to, &all);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(
        String::from_utf8(output.stdout).unwrap(),
        "imported 2 users, 14 tasks, 12 idempotency keys; already there: 0 rows\n"
    );
    assert_eq!(export(&to), all);
    for user in ["alice", "bob ü \"quoted\""] {
        assert_eq!(seen(&to.user(user)), seen(&from.user(user)));
    }
    for (user, body, first) in creates {
        let again = to.user(user).create_with_key(&key_of(&body), &body);
        assert_eq!((again.status, again.header("idempotency-replayed")), (201, "true"));
        assert_eq!(again.json(), first.json());
    }
}

#[test]
fn a_second_import_finds_all_rows() {
    let server = Server::start(DATABASE);
    fill(&server);
    let all = export(&server);
    let many = synthetic(700, 3000);
    assert!(import(&server, &many).status.success());
    for (export, rows) in [(&all, 28), (&many, 3700)] {
        let output = import(&server, export);
        assert!(output.status.success(), "{output:?}");
        let printed = format!("imported 0 users, 0 tasks, 0 idempotency keys; already there: {rows} rows\n");
        assert_eq!(String::from_utf8(output.stdout).unwrap(), printed);
    }
}

#[test]
fn an_import_migrates_the_database_first() {
    let mut server = Server::start(DATABASE);
    server.kill();
    server.printed(&["migrate", "down"]);
    let rows = synthetic(1, 1);
    assert!(import(&server, &rows).status.success());
    assert_eq!(export(&server), rows);
}

#[test]
fn a_row_with_different_content_is_kept_and_named() {
    let server = Server::start(DATABASE);
    fill(&server);
    let before = export(&server);
    let mut others = lines(&before);
    let mut named = Vec::new();
    for (n, line) in others.iter_mut().enumerate() {
        let (kind, row) = line.as_object_mut().unwrap().iter_mut().next().unwrap();
        match kind.as_str() {
            "user" => {
                row["created_at"] = json!("2020-01-01T00:00:00Z");
                named.push(format!(
                    "line {}: user {} exists with different content",
                    n + 1,
                    row["id"].as_str().unwrap()
                ));
            }
            "task" if row["title"] == "x" => {
                row["title"] = json!("another");
                named.push(format!(
                    "line {}: task {} exists with different content",
                    n + 1,
                    row["id"].as_str().unwrap()
                ));
            }
            "task" if row["title"] == "late" => {
                row["version"] = json!(7);
                named.push(format!(
                    "line {}: task {} exists with different content",
                    n + 1,
                    row["id"].as_str().unwrap()
                ));
            }
            "key" if row["user_id"] == "alice" => {
                row["created_at"] = json!("2026-11-28T00:00:00Z");
                let key = row["key"].as_str().unwrap();
                named
                    .push(format!("line {}: idempotency key {key} of user alice exists with different content", n + 1));
            }
            _ => {}
        }
    }
    let text: Vec<_> = others.iter().map(Value::to_string).collect();
    let text = text.join("\n");
    let (printed, errors) = failure(import(&server, &text));
    assert_eq!(printed, "imported 0 users, 0 tasks, 0 idempotency keys; already there: 16 rows\n");
    named.push("left as they are, because their content is different: 12 rows".to_owned());
    assert_eq!(errors, named);
    assert_eq!(export(&server), before);

    let many = synthetic(1, 100);
    assert!(import(&server, &many).status.success());
    let (_, errors) = failure(import(&server, &many.replace("\"version\":1", "\"version\":2")));
    assert_eq!(errors.len(), 21);
    let last = "left as they are, because their content is different: 100 rows (80 of them are not listed)";
    assert_eq!(errors[20], last);
}

#[test]
fn an_input_that_ends_early_is_noticed_and_the_whole_one_completes_it() {
    let server = Server::start(DATABASE);
    let all = synthetic(3, 2500);
    let last_line = all.trim_end().rfind('\n').unwrap() + 1;
    for end in [0, 1, 30, 60, 200, 100_000, all.len() / 2, last_line - 1, last_line, last_line + 5] {
        let (_, errors) = failure(import(&server, &all[..end]));
        assert_eq!(errors.len(), 1, "{end}: {errors:?}");
        let line = all[..end].lines().count() + usize::from(all[..end].ends_with('\n') || end == 0);
        let whole = all[end..].starts_with('\n');
        let line = if whole { line + 1 } else { line };
        let expected = format!("the input ends early, in line {line}: ");
        assert!(errors[0].starts_with(&expected), "{end}: {errors:?}, not {expected}");
    }
    assert_eq!(server.sql("SELECT count(*) FROM tasks"), 2500);
    assert!(import(&server, &all[..all.len() - 1]).status.success(), "only the last newline is missing");
    assert_eq!(export(&server), all);
}

#[test]
fn a_killed_import_leaves_whole_transactions_and_another_one_completes_it() {
    let server = Server::start(DATABASE);
    let all = synthetic(3, 9000);
    let mut child = server.begin(&["import"]);
    let mut input = child.stdin.take().unwrap();
    input.write_all(&all.as_bytes()[..all.len() / 2]).unwrap();
    let count = || server.sql("SELECT count(*) FROM tasks");
    while count() == 0 {
        assert!(child.try_wait().unwrap().is_none());
        thread::yield_now();
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let stored = count();
    assert!(stored > 0 && (stored + 3) % 2000 == 0, "{stored}");
    assert!(import(&server, &all).status.success());
    assert_eq!(export(&server), all);
}

#[test]
fn users_make_changes_while_an_import_runs() {
    let server = Server::start(DATABASE);
    let all = synthetic(20, 20_000);
    let mut made = 0;
    thread::scope(|scope| {
        let import = scope.spawn(|| import(&server, &all));
        let alice = server.user("alice");
        while !import.is_finished() || made == 0 {
            alice.create("during the import");
            made += 1;
        }
        let output = import.join().unwrap();
        assert!(output.status.success(), "{output:?}");
    });
    assert_eq!(server.user("alice").all().len(), made);
    assert_eq!(server.sql("SELECT count(*) FROM tasks"), 20_000 + i64::try_from(made).unwrap());
}

/// The first line, a user, and the end of an export with this line and those before it.
fn around(line: &str) -> String {
    let user = r#"{"user":{"id":"alice","created_at":"2026-11-28T00:00:00Z"}}"#;
    format!("{{\"export\":{{\"format\":1,\"users\":1,\"tasks\":1,\"keys\":0}}}}\n{user}\n{line}\n")
}

#[test]
fn a_line_that_is_not_valid_is_named_and_the_rows_before_it_stay() {
    let task = json!({
        "user_id": "alice", "id": "019ac000-0000-7000-8000-000000000001", "title": "x", "description": null,
        "completed": false, "priority": "none", "tags": [], "due_date": null, "version": 1,
        "created_at": "2026-11-28T00:00:00Z", "updated_at": "2026-11-28T00:00:00Z",
    });
    let answer = json!({
        "format": 1, "request": "x", "id": task["id"], "title": "x", "description": null, "completed": false, "priority": 0,
        "tags": "[]", "due_date": null, "user_id": "alice", "created_at": task["created_at"], "updated_at": task["updated_at"],
    });
    let key = json!({
        "user_id": "alice", "key": "k", "fingerprint": "f".repeat(43), "answer": answer.to_string(),
        "created_at": "2026-11-28T00:00:00Z",
    });
    let user = json!({ "id": "bob", "created_at": "2026-11-28T00:00:00Z" });
    let mut cases: Vec<(Value, String)> = Vec::new();
    for (kind, row, field, value, problem) in [
        ("task", &task, "user_id", json!(""), "must be a user id"),
        ("task", &task, "user_id", json!("a\nb"), "must be a user id"),
        ("task", &task, "user_id", json!("x".repeat(256)), "must be a user id"),
        ("task", &task, "user_id", json!(null), "is missing"),
        ("task", &task, "id", json!("SECRET"), "must be a UUID"),
        ("task", &task, "id", json!(1), "must be a UUID"),
        ("task", &task, "title", json!(null), "is missing"),
        ("task", &task, "title", json!(" \n"), "must have 1 to 255 characters"),
        ("task", &task, "title", json!("SECRET".repeat(43)), "must have 1 to 255 characters"),
        ("task", &task, "title", json!("a\0b"), "must have 1 to 255 characters"),
        ("task", &task, "description", json!("x".repeat(1001)), "must have at most 1000 characters"),
        ("task", &task, "description", json!("\0"), "must have at most 1000 characters"),
        ("task", &task, "description", json!(["SECRET"]), "must have at most 1000 characters"),
        ("task", &task, "completed", json!(1), "must be true or false"),
        ("task", &task, "priority", json!("SECRET"), "must be none, low, medium or high"),
        ("task", &task, "priority", json!(2), "must be none, low, medium or high"),
        ("task", &task, "tags", json!("SECRET"), "must be a list of at most 20 different tags"),
        ("task", &task, "tags", json!(["a", "a"]), "must be a list of at most 20 different tags"),
        ("task", &task, "tags", json!([""]), "must be a list of at most 20 different tags"),
        ("task", &task, "tags", json!(["x".repeat(51)]), "must be a list of at most 20 different tags"),
        (
            "task",
            &task,
            "tags",
            (0..21).map(|n| n.to_string()).collect(),
            "must be a list of at most 20 different tags",
        ),
        ("task", &task, "due_date", json!("tomorrow"), "must be a date and time"),
        ("task", &task, "due_date", json!("2026-11-28T00:00:00"), "must be a date and time"),
        ("task", &task, "due_date", json!("10000-11-28T00:00:00Z"), "must be a date and time"),
        ("task", &task, "version", json!(0), "must be a whole number from 1 to 9007199254740991"),
        ("task", &task, "version", json!(1_u64 << 53), "must be a whole number from 1 to 9007199254740991"),
        ("task", &task, "version", json!(1.5), "must be a whole number from 1 to 9007199254740991"),
        ("task", &task, "version", json!(u64::MAX), "must be a whole number from 1 to 9007199254740991"),
        ("task", &task, "created_at", json!(null), "is missing"),
        ("task", &task, "updated_at", json!("2026-11-27T00:00:00Z"), "must not be before created_at"),
        ("user", &user, "id", json!("\u{7f}"), "must be a user id"),
        ("user", &user, "created_at", json!(1), "must be a date and time"),
        ("key", &key, "key", json!("a b"), "must be a text of 1 to 255 visible"),
        ("key", &key, "key", json!("é"), "must be a text of 1 to 255 visible"),
        ("key", &key, "fingerprint", json!("f"), "must be a fingerprint"),
        ("key", &key, "answer", json!("SECRET"), "must be the text of an answer"),
        ("key", &key, "answer", json!(answer.to_string().replace("alice", "bob")), "must be the text of an answer"),
        ("key", &key, "answer", json!(answer.to_string().replace("\"format\":1", "\"format\":2")), "must be the text"),
        ("key", &key, "user_id", json!(7), "must be a user id"),
        ("key", &key, "created_at", json!("9999-12-31T00:00:00Z"), "must not be more than a day in the future"),
    ] {
        let mut row = row.clone();
        row[field] = value;
        cases.push((json!({ kind: row }), format!("{kind}.{field} {problem}")));
    }
    let mut unknown = task.clone();
    unknown["colour"] = json!("SECRET");
    cases.extend([
        (json!({ "task": unknown }), "has the unknown field colour".to_owned()),
        (json!({ "goal": {} }), "is of the unknown kind goal".to_owned()),
        (json!({ "task": "SECRET" }), "is not an object with one member".to_owned()),
        (json!("SECRET"), "is not an object with one member".to_owned()),
        (json!({ "task": task, "user": user }), "is not".to_owned()),
        (json!({ "export": { "format": 2, "users": 0, "tasks": 0, "keys": 0 } }), "export.format must be 1".to_owned()),
        (json!({ "export": { "format": 1, "users": 0, "tasks": 0, "keys": 0 } }), "is the first line of".to_owned()),
        (json!({ "end": { "users": 2, "tasks": 0, "keys": 0 } }), "the export has 2 users, 0 tasks, 0 ".to_owned()),
    ]);
    let mut inputs: Vec<(String, String)> =
        cases.into_iter().map(|(line, problem)| (around(&line.to_string()), format!("line 3: {problem}"))).collect();
    inputs.extend([
        (around("SECRET"), "line 3: is not valid JSON".to_owned()),
        (around(&"x".repeat(300_000)), "line 3: is longer than 262144 bytes".to_owned()),
        (json!({ "user": user }).to_string() + "\n", "line 1: is not the first line of an export".to_owned()),
        (format!("{}\n{}\n", around(""), json!({ "task": 1 })), "line 5: is not an object".to_owned()),
        (
            format!("{}\n", synthetic(0, 0) + "{\"end\":{\"users\":0,\"tasks\":0,\"keys\":0}}"),
            "line 3: is behind the end".to_owned(),
        ),
    ]);
    let server = Server::start(DATABASE);
    for (input, problem) in inputs {
        let (_, errors) = failure(import(&server, &input));
        assert_eq!(errors.len(), 1, "{errors:?}");
        assert!(errors[0].starts_with(&problem) && !errors[0].contains("SECRET"), "{errors:?}, not {problem}");
    }
    let output = server.command_reading(&[around("").as_bytes(), b"\xff\n"].concat(), &["import"]);
    assert_eq!(failure(output).1, ["line 4: is not UTF-8"]);
    assert_eq!(server.sql("SELECT count(*) FROM tasks"), 0);
    assert_eq!(server.sql("SELECT count(*) FROM users"), 1, "the user before the line");

    let orphan = around(&json!({ "task": task }).to_string().replace("\"alice\"", "\"carol\""));
    let (printed, errors) = failure(import(&server, &orphan));
    assert!(errors[0].starts_with("lines 2 to 3: a task or a key is of a user that the database does not have"));
    assert_eq!(printed, "imported 0 users, 0 tasks, 0 idempotency keys; already there: 0 rows\n");
}

#[test]
fn fields_that_a_create_may_leave_out_may_be_missing() {
    let server = Server::start(DATABASE);
    let short = json!({ "task": {
        "user_id": "alice", "id": "019AC000-0000-7000-8000-000000000001", "title": " x ",
        "created_at": "2026-11-28T01:00:00+01:00", "updated_at": "2026-11-28T00:00:00Z",
    } });
    let input = around(&short.to_string()) + "{\"end\":{\"users\":1,\"tasks\":1,\"keys\":0}}\n";
    let output = import(&server, &input);
    assert!(output.status.success(), "{output:?}");
    let task = server.user("alice").list("").pop().unwrap();
    let expected = json!({
        "id": "019ac000-0000-7000-8000-000000000001", "title": "x", "description": null, "completed": false,
        "priority": "none", "tags": [], "due_date": null, "user_id": "alice",
        "created_at": "2026-11-28T00:00:00Z", "updated_at": "2026-11-28T00:00:00Z",
    });
    assert_eq!(task, expected);
}
