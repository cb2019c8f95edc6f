use api_tests::{Client, Server};
use serde_json::json;

use crate::DATABASE;

fn titles(client: &Client, query: &str) -> Vec<String> {
    client.list(query).iter().map(|task| task["title"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn the_newest_task_comes_first() {
    let server = Server::start(DATABASE);
    let alice = server.user("alice");
    for title in ["one", "two", "three"] {
        alice.create(title);
    }
    assert_eq!(titles(&alice, ""), ["three", "two", "one"]);
    assert_eq!(titles(&alice, "?sort=created&order=desc"), ["three", "two", "one"]);
    assert_eq!(titles(&alice, "?order=asc"), ["one", "two", "three"]);
}

#[test]
fn a_list_can_be_filtered_by_status() {
    let server = Server::start(DATABASE);
    let alice = server.user("alice");
    for (title, completed) in [("a", true), ("b", false), ("c", true)] {
        assert_eq!(alice.post("/api/tasks", &json!({ "title": title, "completed": completed })).status, 201);
    }
    assert_eq!(titles(&alice, "?status=all"), ["c", "b", "a"]);
    assert_eq!(titles(&alice, "?status=pending"), ["b"]);
    assert_eq!(titles(&alice, "?status=completed"), ["c", "a"]);
    assert_eq!(titles(&alice, "?status=completed&sort=title"), ["a", "c"]);
}

#[test]
fn titles_sort_case_insensitively_and_ties_by_id() {
    let server = Server::start(DATABASE);
    let alice = server.user("alice");
    for title in ["b", "Zebra", "ÉTÉ", "a", "été", "B", "STRASSE", "straße", "Ω", "ω", "Z"] {
        alice.create(title);
    }
    let ascending = ["a", "b", "B", "STRASSE", "straße", "Z", "Zebra", "ÉTÉ", "été", "Ω", "ω"];
    assert_eq!(titles(&alice, "?sort=title"), ascending);
    assert_eq!(titles(&alice, "?sort=title&order=asc"), ascending);
    let descending: Vec<_> = ascending.into_iter().rev().collect();
    assert_eq!(titles(&alice, "?sort=title&order=desc"), descending);
}

#[test]
fn a_changed_title_sorts_by_its_new_text() {
    let server = Server::start(DATABASE);
    let alice = server.user("alice");
    let id = alice.create("a")["id"].as_str().unwrap().to_owned();
    alice.create("b");
    assert_eq!(alice.put(&format!("/api/tasks/{id}"), &json!({ "title": "C" })).status, 200);
    assert_eq!(titles(&alice, "?sort=title"), ["b", "C"]);
}

#[test]
fn tasks_without_a_due_date_come_last_in_either_order() {
    let server = Server::start(DATABASE);
    let alice = server.user("alice");
    for (title, due_date) in [
        ("never 1", None),
        ("late", Some("9999-12-31T23:59:59.999999Z")),
        ("early", Some("0001-01-01T00:00:00Z")),
        ("never 2", None),
        ("now", Some("2026-11-21T12:00:00+12:00")),
        ("before now", Some("2026-11-20T23:59:59.999999Z")),
    ] {
        assert_eq!(alice.post("/api/tasks", &json!({ "title": title, "due_date": due_date })).status, 201);
    }
    let dated = ["early", "before now", "now", "late"];
    assert_eq!(titles(&alice, "?sort=due_date"), [&dated[..], &["never 1", "never 2"]].concat());
    let dated: Vec<_> = dated.into_iter().rev().collect();
    assert_eq!(titles(&alice, "?sort=due_date&order=desc"), [&dated[..], &["never 2", "never 1"]].concat());
}

#[test]
fn priorities_are_sorted_with_the_highest_first_unless_ascending() {
    let server = Server::start(DATABASE);
    let alice = server.user("alice");
    for (n, priority) in ["low", "none", "high", "medium", "none", "high"].into_iter().enumerate() {
        let title = format!("{priority} {n}");
        assert_eq!(alice.post("/api/tasks", &json!({ "title": title, "priority": priority })).status, 201);
    }
    let ascending = ["none 1", "none 4", "low 0", "medium 3", "high 2", "high 5"];
    assert_eq!(titles(&alice, "?sort=priority&order=asc"), ascending);
    let descending: Vec<_> = ascending.into_iter().rev().collect();
    assert_eq!(titles(&alice, "?sort=priority"), descending);
    assert_eq!(titles(&alice, "?sort=priority&order=desc"), descending);
}

#[test]
fn a_user_without_tasks_has_an_empty_list() {
    let server = Server::start(DATABASE);
    assert!(server.user("alice").list("").is_empty());
}
