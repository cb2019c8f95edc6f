use api_tests::{Client, Server};
use serde_json::{Value, json};

use crate::DATABASE;

/// Titles of the tasks that a list has, through all pages.
fn titles(alice: &Client, query: &str) -> Vec<String> {
    let pages = alice.pages(&format!("/api/tasks{query}"));
    pages.iter().flatten().map(|task| task["title"].as_str().unwrap().to_owned()).collect()
}

fn create(alice: &Client, body: Value) {
    assert_eq!(alice.post("/api/tasks", &body).status, 201, "{body}");
}

fn some_tasks(server: &Server) -> Client {
    let alice = server.user("alice");
    create(
        &alice,
        json!({ "title": "Buy Milk", "tags": ["shop"], "priority": "high", "due_date": "2026-12-01T00:00:00Z" }),
    );
    create(&alice, json!({ "title": "Café", "description": "Straße", "tags": ["shop", "a&b=c"], "completed": true }));
    create(&alice, json!({ "title": "cafe\u{301} again", "priority": "low", "due_date": "2026-12-02T00:00:00Z" }));
    create(&alice, json!({ "title": "100% _sure_", "description": "MILK?", "tags": ["Shop"] }));
    server.user("bob").create("Bob's milk");
    alice
}

#[test]
fn each_filter_selects_the_tasks_that_meet_it() {
    let server = Server::start(DATABASE);
    let alice = some_tasks(&server);
    for (query, expected) in [
        ("q=milk", vec!["Buy Milk", "100% _sure_"]),
        ("q=MILK%3F", vec!["100% _sure_"]),
        ("q=%C3%A9", vec!["Café", "cafe\u{301} again"]),
        ("q=cafe%CC%81", vec!["Café", "cafe\u{301} again"]),
        ("q=cafe", vec![]),
        ("q=STRASSE", vec!["Café"]),
        ("q=%25", vec!["100% _sure_"]),
        ("q=_", vec!["100% _sure_"]),
        ("q=%5C", vec![]),
        ("priority=high", vec!["Buy Milk"]),
        ("priority=none", vec!["Café", "100% _sure_"]),
        ("tag=shop", vec!["Buy Milk", "Café"]),
        ("tag=Shop", vec!["100% _sure_"]),
        ("tag=a%26b%3Dc", vec!["Café"]),
        ("tag=sho", vec![]),
        ("due_after=2026-12-01T00:00:00Z", vec!["Buy Milk", "cafe\u{301} again"]),
        ("due_after=2026-12-01T00:00:00.000001Z", vec!["cafe\u{301} again"]),
        ("due_before=2026-12-02T00:00:00Z", vec!["Buy Milk"]),
        ("due_before=2026-12-02T01:00:00%2B01:00", vec!["Buy Milk"]),
        ("due_after=2026-12-01T00:00:00Z&due_before=2026-12-01T00:00:00Z", vec![]),
        ("q=milk&tag=shop&priority=high", vec!["Buy Milk"]),
        ("q=milk&status=completed", vec![]),
    ] {
        for sort in ["created", "title", "due_date", "priority"] {
            for order in ["asc", "desc"] {
                for limit in [1, 100] {
                    let all = format!("?{query}&sort={sort}&order={order}&limit={limit}");
                    let mut found = titles(&alice, &all);
                    let whole = titles(&alice, &format!("?sort={sort}&order={order}"));
                    let kept: Vec<_> = whole.into_iter().filter(|title| expected.contains(&title.as_str())).collect();
                    assert_eq!(found, kept, "{all}: in the order of the list without filters");
                    found.sort();
                    let mut expected: Vec<_> = expected.iter().map(|title| (*title).to_owned()).collect();
                    expected.sort();
                    assert_eq!(found, expected, "{all}");
                }
            }
        }
    }
}

#[test]
fn a_count_is_of_the_whole_list_wherever_the_page_begins() {
    let server = Server::start(DATABASE);
    let alice = some_tasks(&server);
    for (query, total) in [
        ("?count=true", "4"),
        ("?count=true&status=pending", "3"),
        ("?count=true&q=milk", "2"),
        ("?count=true&tag=x", "0"),
    ] {
        for limit in [1, 2, 100] {
            let mut next = Some(format!("/api/tasks{query}&limit={limit}"));
            let mut tasks = 0;
            while let Some(path) = next {
                let answer = alice.get(&path);
                assert_eq!(answer.header("x-total-count"), total, "{path}");
                tasks += answer.json().as_array().unwrap().len();
                next = answer.next_page();
            }
            assert_eq!(tasks.to_string(), total, "{query} {limit}");
        }
    }
    assert!(!alice.get("/api/tasks?q=milk").headers.contains_key("x-total-count"));
    assert!(!alice.get("/api/tasks?count=false").headers.contains_key("x-total-count"));
}

#[test]
fn a_cursor_belongs_to_its_filters() {
    let server = Server::start(DATABASE);
    let alice = some_tasks(&server);
    let next = alice.get("/api/tasks?q=milk&tag=shop&limit=1&status=all").next_page();
    assert_eq!(next, None, "one task meets both");
    let next = alice.get("/api/tasks?q=milk&limit=1").next_page().unwrap();
    assert_eq!(alice.get(&next).status, 200);
    for (filter, other) in
        [("q=milk", "q=Milk"), ("q=milk", "x=1"), ("q=milk", "q=milk&tag=shop"), ("q=milk", "q=milk&priority=high")]
    {
        let path = next.replace(filter, other).replace("x=1&", "");
        assert_eq!(alice.get(&path).violations(), ["cursor"], "{path}");
    }
    let plain = alice.get("/api/tasks?limit=1").next_page().unwrap();
    assert_eq!(alice.get(&plain.replace("limit=1", "limit=1&q=milk")).violations(), ["cursor"]);
    assert_eq!(alice.get(&next.replace("limit=1", "limit=2&count=true")).status, 200, "neither chooses tasks");
}

#[test]
fn a_filter_keeps_its_rules() {
    let server = Server::start(DATABASE);
    let alice = server.user("alice");
    let long = "x".repeat(101);
    for (query, parameter) in [
        ("q=", "q"),
        (&*format!("q={long}"), "q"),
        ("q=a%00", "q"),
        ("priority=urgent", "priority"),
        ("priority=", "priority"),
        ("tag=", "tag"),
        (&*format!("tag={}", &long[..51]), "tag"),
        ("due_after=tomorrow", "due_after"),
        ("due_before=2026-12-01", "due_before"),
        ("due_before=0000-01-01T00:00:00Z", "due_before"),
        ("count=yes", "count"),
        ("count=1", "count"),
        ("count=", "count"),
    ] {
        assert_eq!(alice.get(&format!("/api/tasks?{query}")).violations(), [parameter], "{query}");
    }
}

#[test]
fn a_request_looks_at_a_bounded_number_of_tasks_and_leads_on() {
    let server = Server::start(DATABASE);
    let alice = server.user("alice");
    alice.create("the needle");
    let id = match DATABASE {
        api_tests::Database::Sqlite => "randomblob(16)",
        api_tests::Database::Postgres => "gen_random_uuid()",
    };
    let numbers = match DATABASE {
        api_tests::Database::Sqlite => {
            "(WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10500) SELECT i FROM n) AS n"
        }
        api_tests::Database::Postgres => "generate_series(1, 10500) AS n(i)",
    };
    let made = server.sql(&format!(
        "INSERT INTO tasks (user_id, id, title, title_key, completed, version, created_at, updated_at) \
         SELECT user_id, {id}, 'hay', 'hay', completed, 1, created_at, updated_at FROM tasks, {numbers}"
    ));
    assert_eq!(made, 10_500);
    for sort in ["created", "title", "due_date"] {
        let first = alice.get(&format!("/api/tasks?q=needle&sort={sort}&order=asc&count=true"));
        assert!(!first.headers.contains_key("x-total-count"), "{sort}: too many to count");
        let found = titles(&alice, &format!("?q=needle&sort={sort}"));
        assert_eq!(found, ["the needle"], "{sort}");
        let pages = alice.pages(&format!("/api/tasks?q=needle&sort={sort}"));
        assert_eq!(pages.len(), 2, "{sort}: the first page ends where the bound is");
    }
    assert_eq!(alice.get("/api/tasks?q=needle&count=true&status=completed").header("x-total-count"), "0");
}
