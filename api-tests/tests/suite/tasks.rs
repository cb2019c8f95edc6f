use std::thread;

use api_tests::{Database, Server, faults};
use serde_json::{Value, json};

use crate::DATABASE;

#[test]
fn a_created_task_is_returned_completely_and_reads_the_same() {
    let server = Server::start(DATABASE);
    let alice = server.user("alice");
    let body = json!({
        "title": "Buy milk", "description": "Two litres", "completed": true, "due_date": "2026-12-01T10:00:00.5+01:00",
    });
    let created = alice.post("/api/tasks", &body);
    assert_eq!(created.status, 201);
    let task = created.json();
    let path = format!("/api/tasks/{}", task["id"].as_str().unwrap());
    assert_eq!(created.header("location"), path);
    assert_eq!(task["title"], "Buy milk");
    assert_eq!(task["description"], "Two litres");
    assert_eq!(task["completed"], true);
    assert_eq!(task["due_date"], "2026-12-01T09:00:00.500000Z");
    assert_eq!(task["user_id"], "alice");
    assert_eq!(task["created_at"], task["updated_at"]);
    assert_eq!(alice.get(&path).json(), task);
    assert_eq!(alice.list(""), [task]);
}

#[test]
fn a_task_needs_only_a_title() {
    let server = Server::start(DATABASE);
    let task = server.user("alice").create("\u{a0} Buy milk\n");
    assert_eq!(task["title"], "Buy milk", "white space around a title is removed");
    assert_eq!(task["description"], Value::Null);
    assert_eq!(task["completed"], false);
    assert_eq!(task["due_date"], Value::Null);
}

#[test]
fn tags_are_trimmed_kept_in_their_order_and_replaced_as_a_whole() {
    let server = Server::start(DATABASE);
    let alice = server.user("alice");
    let wide = "👨".repeat(50);
    let body = json!({ "title": "x", "tags": [" b ", "a", "b", "\"q\"", wide] });
    let created = alice.post("/api/tasks", &body);
    assert_eq!(created.json()["tags"], json!(["b", "a", "\"q\"", wide]), "each tag once");
    let path = created.header("location");
    for (tags, kept) in [(json!(["c"]), json!(["c"])), (json!([]), json!([])), (json!(["a", "A"]), json!(["a", "A"]))] {
        assert_eq!(alice.put(path, &json!({ "tags": tags })).json()["tags"], kept);
        assert_eq!(alice.get(path).json()["tags"], kept);
    }
    let many: Vec<_> = (0..20).map(|n| n.to_string()).collect();
    assert_eq!(alice.put(path, &json!({ "tags": many })).json()["tags"], json!(many));
}

#[test]
fn a_task_has_no_priority_and_no_tags_by_default() {
    let server = Server::start(DATABASE);
    let task = server.user("alice").create("Buy milk");
    assert_eq!((&task["priority"], &task["tags"]), (&json!("none"), &json!([])));
}

#[test]
fn an_update_changes_the_fields_it_names_and_no_other() {
    let server = Server::start(DATABASE);
    let alice = server.user("alice");
    let due = "2027-01-31T12:00:00Z";
    for (change, field, value) in [
        (json!({ "title": " Buy bread " }), "title", json!("Buy bread")),
        (json!({ "description": "Rye" }), "description", json!("Rye")),
        (json!({ "description": null }), "description", Value::Null),
        (json!({ "description": "" }), "description", json!("")),
        (json!({ "completed": true }), "completed", json!(true)),
        (json!({ "completed": false }), "completed", json!(false)),
        (json!({ "due_date": "2027-02-01T00:00:00+02:00" }), "due_date", json!("2027-01-31T22:00:00Z")),
        (json!({ "due_date": null }), "due_date", Value::Null),
        (json!({ "priority": "high" }), "priority", json!("high")),
        (json!({ "priority": "none" }), "priority", json!("none")),
        (json!({ "tags": ["a", "b"] }), "tags", json!(["a", "b"])),
    ] {
        let body = json!({ "title": "Buy milk", "description": "Two litres", "completed": false, "due_date": due });
        let mut expected = alice.post("/api/tasks", &body).json();
        let path = format!("/api/tasks/{}", expected["id"].as_str().unwrap());
        let updated = alice.put(&path, &change);
        assert_eq!(updated.status, 200, "{change}");
        let updated = updated.json();
        assert!(updated["updated_at"].as_str() > expected["updated_at"].as_str(), "{change}");
        expected[field] = value;
        expected["updated_at"] = updated["updated_at"].clone();
        assert_eq!(updated, expected, "{change}");
        assert_eq!(alice.get(&path).json(), expected, "{change}");
    }
}

#[test]
fn an_empty_update_changes_nothing() {
    let server = Server::start(DATABASE);
    let alice = server.user("alice");
    let task = alice.create("Buy milk");
    let updated = alice.put(&format!("/api/tasks/{}", task["id"].as_str().unwrap()), &json!({}));
    assert_eq!((updated.status, updated.json()), (200, task));
}

#[test]
fn completing_without_a_body_or_with_null_flips_and_with_one_sets() {
    let server = Server::start(DATABASE);
    let alice = server.user("alice");
    let task = alice.create("Buy milk");
    let path = format!("/api/tasks/{}/complete", task["id"].as_str().unwrap());
    let (set, clear) = (json!({ "completed": true }), json!({ "completed": false }));
    let mut last = task;
    for (body, completed, changes) in [
        (None, true, true),
        (None, false, true),
        (Some(&Value::Null), true, true),
        (Some(&Value::Null), false, true),
        (Some(&set), true, true),
        (Some(&set), true, false),
        (Some(&clear), false, true),
        (Some(&clear), false, false),
        (None, true, true),
    ] {
        let answer = alice.patch(&path, body);
        assert_eq!(answer.status, 200);
        let task = answer.json();
        assert_eq!(task["completed"], completed);
        assert_eq!(task["updated_at"] != last["updated_at"], changes, "a repetition is no change");
        last = task;
    }
}

#[test]
fn no_concurrent_toggle_is_lost() {
    let server = Server::start(DATABASE);
    let alice = server.user("alice");
    let id = alice.create("Flip me")["id"].as_str().unwrap().to_owned();
    let path = format!("/api/tasks/{id}/complete");
    let seen: Vec<bool> = thread::scope(|scope| {
        let flips: Vec<_> = (0..17)
            .map(|_| {
                scope
                    .spawn(|| (0..25).map(|_| alice.patch(&path, None).json()["completed"] == true).collect::<Vec<_>>())
            })
            .collect();
        flips.into_iter().flat_map(|flips| flips.join().unwrap()).collect()
    });
    assert_eq!(seen.len(), 425);
    assert_eq!(seen.iter().filter(|completed| **completed).count(), 213, "every other flip sees it done");
    assert_eq!(alice.get(&format!("/api/tasks/{id}")).json()["completed"], true, "425 is odd");
}

#[test]
fn each_concurrent_request_that_sets_the_state_gets_that_state() {
    let server = Server::start(DATABASE);
    let alice = server.user("alice");
    let path = format!("/api/tasks/{}/complete", alice.create("Set me")["id"].as_str().unwrap());
    thread::scope(|scope| {
        for client in 0..8 {
            let (alice, path) = (&alice, &path);
            scope.spawn(move || {
                for n in 0..50 {
                    let completed = (client + n) % 2 == 0;
                    let answer = alice.patch(path, Some(&json!({ "completed": completed })));
                    let version: u64 = answer.header("etag").trim_matches('"').parse().unwrap();
                    // It began pending, with version 1, and every change toggles it.
                    assert_eq!(answer.json()["completed"], completed);
                    assert_eq!(version.is_multiple_of(2), completed, "version {version}");
                }
            });
        }
    });
}

#[test]
fn a_deleted_task_is_gone() {
    let server = Server::start(DATABASE);
    let alice = server.user("alice");
    let path = format!("/api/tasks/{}", alice.create("Buy milk")["id"].as_str().unwrap());
    assert_eq!(alice.delete(&path).status, 204);
    assert_eq!(alice.get(&path).problem(), "404 task_not_found");
    assert_eq!(alice.put(&path, &json!({ "title": "x" })).problem(), "404 task_not_found");
    assert_eq!(alice.put(&path, &json!({})).problem(), "404 task_not_found");
    assert_eq!(alice.patch(&format!("{path}/complete"), None).problem(), "404 task_not_found");
    assert_eq!(alice.delete(&path).problem(), "404 task_not_found");
    assert!(alice.list("").is_empty());
}

#[test]
fn ids_are_uuids_of_version_7_and_sort_by_creation() {
    let server = Server::start(DATABASE);
    let alice = server.user("alice");
    let ids: Vec<String> = (0..20).map(|n| alice.create(&n.to_string())["id"].as_str().unwrap().to_owned()).collect();
    assert!(ids.is_sorted());
    assert!(ids.iter().all(|id| id.len() == 36 && id.as_bytes()[14] == b'7'));
}

#[test]
fn text_comes_back_as_it_was_sent() {
    let server = Server::start(DATABASE);
    let alice = server.user("alice");
    for text in [
        "'; DROP TABLE tasks; --",
        "\"\\/\u{8}\u{1}",
        "日本語 🎉👨‍👩‍👧",
        "e\u{301} ≠ é",
        "%_\\%",
        "\u{ffff}\u{10ffff}",
        "a\r\nb",
    ] {
        let created = alice.post("/api/tasks", &json!({ "title": text, "description": text }));
        assert_eq!(created.status, 201, "{text}");
        let read = alice.get(created.header("location")).json();
        assert_eq!((&read["title"], &read["description"]), (&json!(text), &json!(text)));
    }
}

#[test]
fn updated_at_never_goes_back_even_if_the_clock_does() {
    let server = Server::start(DATABASE);
    let alice = server.user("alice");
    let task = alice.create("changed by an instance whose clock is ahead");
    let path = format!("/api/tasks/{}", task["id"].as_str().unwrap());
    server.sql(match DATABASE {
        Database::Sqlite => "UPDATE tasks SET updated_at = updated_at + 5000000",
        Database::Postgres => "UPDATE tasks SET updated_at = updated_at + interval '5 seconds'",
    });
    let ahead = alice.get(&path).json()["updated_at"].clone();
    assert!(ahead.as_str() > task["updated_at"].as_str());
    for answer in [
        alice.put(&path, &json!({ "title": "x" })),
        alice.patch(&format!("{path}/complete"), None),
        alice.patch(&format!("{path}/complete"), Some(&json!({ "completed": false }))),
    ] {
        assert_eq!((answer.status, &answer.json()["updated_at"]), (200, &ahead));
    }
}

#[test]
fn updated_at_never_goes_back_between_instances_whose_clocks_differ() {
    let slow = Server::start(DATABASE);
    let fast = slow.sibling_with(&[("LD_PRELOAD", faults()), ("FAULT_CLOCK_S", "5")]);
    let behind = slow.sibling_with(&[("LD_PRELOAD", faults()), ("FAULT_CLOCK_S", "-5")]);
    let mut task = fast.user("alice").create("x");
    let path = format!("/api/tasks/{}", task["id"].as_str().unwrap());
    let created = task["created_at"].clone();
    for n in 0..90 {
        let alice = [&slow, &behind, &fast][n % 3].user("alice");
        let answer = match n % 2 {
            0 => alice.put(&path, &json!({ "title": n.to_string() })),
            _ => alice.patch(&format!("{path}/complete"), None),
        };
        assert_eq!(answer.status, 200);
        let changed = answer.json();
        let time = |task: &Value| task["updated_at"].as_str().unwrap().to_owned();
        assert!(time(&changed) >= time(&task) && time(&changed).as_str() >= created.as_str().unwrap(), "change {n}");
        task = changed;
    }
}
