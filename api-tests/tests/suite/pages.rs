use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use api_tests::{Client, End, Server};
use serde_json::{Value, json};

use crate::DATABASE;

const STATUSES: [&str; 3] = ["all", "pending", "completed"];
const SORTS: [&str; 4] = ["created", "title", "due_date", "priority"];
const ORDERS: [&str; 2] = ["asc", "desc"];

fn ids(tasks: &[Value]) -> Vec<&str> {
    tasks.iter().map(|task| task["id"].as_str().unwrap()).collect()
}

/// The statements of all kinds of lists, for the first page and for later ones. The server must log SQL.
pub(crate) fn statements(server: &Server) -> Vec<String> {
    let alice = server.user("alice");
    for n in 0..16 {
        let due_date = (n % 2 == 0).then_some("2026-12-01T00:00:00Z");
        let priority = if n % 4 < 2 { "none" } else { "high" };
        let body = json!({ "title": "x", "completed": n < 8, "due_date": due_date, "priority": priority });
        assert_eq!(alice.post("/api/tasks", &body).status, 201);
    }
    for status in STATUSES {
        for sort in SORTS {
            for order in ORDERS {
                alice.pages(&format!("/api/tasks?status={status}&sort={sort}&order={order}&limit=1"));
            }
        }
    }
    let lines = server.log().into_iter().map(|line| serde_json::from_str::<Value>(&line).unwrap());
    let sql = lines.filter_map(|line| line["sql"].as_str().map(str::to_owned));
    let mut statements: Vec<String> = sql.filter(|sql| !sql.starts_with("DELETE") && sql.contains("LIMIT")).collect();
    statements.sort();
    statements.dedup();
    // In each direction, for one status and for all, the first page and a later one: by creation, by title, by due date and
    // by priority. The last two have one more, which begins among the undated tasks, or the last kind of priorities.
    assert_eq!(statements.len(), 2 * 2 * (2 * 4 + 2), "{statements:#?}");
    statements
}

/// Thirty tasks with all mixtures of status, equal and different titles, and due dates and priorities or none.
fn fill(client: &Client) {
    for n in 0..30 {
        let due_date = (n % 3 != 0).then(|| format!("2026-12-{:02}T00:00:00Z", 1 + n % 4));
        let title = ["b", "B", "a", "ä"][n % 4];
        let priority = ["none", "high", "none", "low", "medium", "none", "high"][n % 7];
        let body = json!({ "title": title, "completed": n % 5 < 2, "due_date": due_date, "priority": priority });
        assert_eq!(client.post("/api/tasks", &body).status, 201);
    }
}

#[test]
fn pages_contain_each_task_exactly_once_in_every_order_and_status() {
    let server = Server::start(DATABASE);
    let alice = server.user("alice");
    server.user("bob").create("not Alice's");
    fill(&alice);
    for status in STATUSES {
        for sort in SORTS {
            for order in ORDERS {
                let query = format!("status={status}&sort={sort}&order={order}");
                let whole = alice.list(&format!("?{query}"));
                assert_eq!(whole.len(), [30, 18, 12][STATUSES.iter().position(|s| *s == status).unwrap()]);
                for limit in [1, 4, 7] {
                    let pages = alice.pages(&format!("/api/tasks?{query}&limit={limit}"));
                    assert!(pages.iter().rev().skip(1).all(|page| page.len() == limit), "{query}");
                    assert_eq!(ids(&pages.concat()), ids(&whole), "{query}");
                }
            }
        }
    }
}

#[test]
fn a_page_has_the_requested_size_and_a_link_only_if_more_tasks_follow() {
    let server = Server::start(DATABASE);
    let alice = server.user("alice");
    for n in 0..101 {
        alice.create(&n.to_string());
    }
    for (query, length, more) in [
        ("", 100, true),
        ("?limit=101", 101, false),
        ("?limit=100", 100, true),
        ("?limit=500", 101, false),
        ("?limit=1", 1, true),
    ] {
        let answer = alice.get(&format!("/api/tasks{query}"));
        assert_eq!((answer.json().as_array().unwrap().len(), answer.next_page().is_some()), (length, more), "{query}");
    }
    for query in ["limit=0", "limit=501", "limit=-1", "limit=", "limit=1.5", "limit=x", "limit=99999999999999999999"] {
        assert_eq!(alice.get(&format!("/api/tasks?{query}")).violations(), ["limit"], "{query}");
    }
}

#[test]
fn pages_stay_exact_while_tasks_before_them_come_and_go() {
    for sort in SORTS {
        for order in ORDERS {
            let server = Server::start(DATABASE);
            let alice = server.user("alice");
            fill(&alice);
            let path = format!("/api/tasks?sort={sort}&order={order}&limit=5");
            let whole = alice.list(&format!("?sort={sort}&order={order}"));
            let first = alice.get(&path);
            let page: Vec<Value> = serde_json::from_slice(&first.body).unwrap();
            // The tasks of the page are deleted, including its last one, and others are created at both ends of the
            // order.
            for task in &page {
                assert_eq!(alice.delete(&format!("/api/tasks/{}", task["id"].as_str().unwrap())).status, 204);
            }
            let (before, behind) = (
                json!({ "title": "\u{1}", "due_date": "0001-01-01T00:00:00Z", "priority": "high" }),
                json!({ "title": "\u{10ffff}", "due_date": "9999-01-01T00:00:00Z" }),
            );
            let new = [alice.post("/api/tasks", &before).json(), alice.post("/api/tasks", &behind).json()];
            let rest = alice.pages(&first.next_page().unwrap()).concat();
            let old: Vec<&str> = ids(&rest).into_iter().filter(|id| !ids(&new).contains(id)).collect();
            assert_eq!(old, ids(&whole)[5..], "sort={sort} order={order}");
        }
    }
}

#[test]
fn a_malformed_cursor_or_one_of_another_list_is_rejected() {
    let server = Server::start(DATABASE);
    let alice = server.user("alice");
    fill(&alice);
    let cursor = |query: &str| {
        let link = alice.get(&format!("/api/tasks?{query}&limit=2")).next_page().unwrap();
        link.rsplit_once("cursor=").unwrap().1.to_owned()
    };
    let own = cursor("sort=title&status=pending");
    assert_eq!(alice.get(&format!("/api/tasks?sort=title&status=pending&cursor={own}")).status, 200);
    assert_eq!(
        alice.get(&format!("/api/tasks?sort=title&status=pending&limit=9&cursor={own}")).status,
        200,
        "limit may change"
    );
    for query in [
        "",
        "sort=title",
        "status=pending",
        "sort=due_date&status=pending",
        "sort=title&status=completed",
        "sort=title&order=desc&status=pending",
    ] {
        assert_eq!(alice.get(&format!("/api/tasks?{query}&cursor={own}")).violations(), ["cursor"], "{query}");
    }
    let created = cursor("sort=created");
    for garbled in [
        "",
        "x",
        "%00",
        "null",
        &created[1..],
        &created[..created.len() - 2],
        &format!("{created}A"),
        &format!("{created}%3D"),
        &"A".repeat(4097),
    ] {
        assert_eq!(alice.get(&format!("/api/tasks?cursor={garbled}")).violations(), ["cursor"], "{garbled}");
    }
}

#[test]
fn a_cursor_gives_no_access() {
    let server = Server::start(DATABASE);
    let (alice, mallory) = (server.user("alice"), server.user("mallory"));
    for n in 0..6 {
        alice.create(&format!("secret {n}"));
        mallory.create(&format!("own {n}"));
    }
    for sort in SORTS {
        let link = alice.get(&format!("/api/tasks?sort={sort}&limit=2")).next_page().unwrap();
        for page in mallory.pages(&link) {
            assert!(page.iter().all(|task| task["user_id"] == "mallory"), "{page:?}");
        }
    }
}

#[test]
fn a_cursor_survives_a_restart() {
    let mut server = Server::start(DATABASE);
    let alice = server.user("alice");
    fill(&alice);
    let whole = alice.list("?sort=due_date");
    let link = alice.get("/api/tasks?sort=due_date&limit=20").next_page().unwrap();
    server.kill();
    let server = server.restart();
    let rest = server.user("alice").pages(&link).concat();
    assert_eq!(ids(&rest), ids(&whole)[20..]);
}

#[test]
fn a_page_shows_each_task_once_while_due_dates_and_priorities_come_and_go() {
    let server = Server::start(DATABASE);
    let alice = server.user("alice");
    let changes =
        [("due_date", json!("2026-12-01T00:00:00Z"), Value::Null), ("priority", json!("high"), json!("none"))];
    for n in 0..10 {
        let mut body = json!({ "title": n.to_string() });
        changes.iter().filter(|_| n % 2 == 0).for_each(|(name, set, _)| body[*name] = set.clone());
        assert_eq!(alice.post("/api/tasks", &body).status, 201);
    }
    let all = alice.list("");
    let mut expected = ids(&all);
    expected.sort_unstable();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        for (task, (name, set, unset)) in ids(&all).into_iter().zip(&changes) {
            let (client, done, path) = (server.user("alice"), &done, format!("/api/tasks/{task}"));
            scope.spawn(move || {
                for value in [set, unset].iter().cycle() {
                    if done.load(Ordering::Relaxed) {
                        return;
                    }
                    assert_eq!(client.put(&path, &json!({ *name: value })).status, 200);
                }
            });
        }
        let _end = End(&done);
        for page in 0..600 {
            let (sort, order) = (changes[page / 2 % 2].0, ORDERS[page % 2]);
            let tasks = alice.list(&format!("?sort={sort}&order={order}"));
            let mut found = ids(&tasks);
            found.sort_unstable();
            assert_eq!(found, expected, "page {page}");
        }
    });
}
