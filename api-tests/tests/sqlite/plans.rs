use api_tests::{Database, Server};
use rusqlite::{Connection, params_from_iter, types::Null};

/// How SQLite runs the statement, a step a line.
fn plan(database: &Connection, sql: &str) -> Vec<String> {
    let mut statement = database.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
    let parameters = params_from_iter(vec![Null; statement.parameter_count()]);
    statement.query_map(parameters, |row| row.get("detail")).unwrap().map(Result::unwrap).collect()
}

#[test]
fn every_page_is_read_off_an_index_without_sorting() {
    let server = Server::with(Database::Sqlite, &[("RUST_LOG", "info,todo_api=debug")]);
    let alice = server.user("alice");
    for n in 0..6 {
        let due_date = (n % 2 == 0).then_some("2026-12-01T00:00:00Z");
        let body = serde_json::json!({ "title": "x", "completed": n < 3, "due_date": due_date });
        assert_eq!(alice.post("/api/tasks", &body).status, 201);
    }
    for status in ["all", "pending", "completed"] {
        for sort in ["created", "title", "due_date"] {
            for order in ["asc", "desc"] {
                let mut path = Some(format!("/api/tasks?status={status}&sort={sort}&order={order}&limit=1"));
                while let Some(this) = path {
                    path = alice.get(&this).header("link").split(['<', '>']).nth(1).map(str::to_owned);
                }
            }
        }
    }
    let mut statements: Vec<String> = server
        .log()
        .iter()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["sql"].as_str().map(str::to_owned))
        .filter(|sql| sql.starts_with("SELECT") && sql.contains("LIMIT"))
        .collect();
    statements.sort();
    statements.dedup();
    // For each order: created first and behind; the same for title; due date and undated; each for one status and all.
    assert_eq!(statements.len(), 2 * 2 * (2 + 2 + 2), "{statements:#?}");
    let database = server.sqlite();
    for sql in statements {
        let plan = plan(&database, &sql);
        let merged = sql.contains("UNION ALL");
        assert_eq!(plan[0] == "MERGE (UNION ALL)", merged, "{sql}: {plan:#?}");
        let searches: Vec<&String> =
            plan.iter().filter(|step| !["MERGE (UNION ALL)", "LEFT", "RIGHT"].contains(&step.as_str())).collect();
        assert_eq!(searches.len(), 1 + usize::from(merged), "{sql}: {plan:#?}");
        for search in searches {
            assert!(search.starts_with("SEARCH tasks USING ") && search.contains("(user_id=?"), "{sql}: {plan:#?}");
            // Behind a position the index itself skips to it.
            if sql.contains("> ?") || sql.contains("< ?") || sql.contains("> (?") || sql.contains("< (?") {
                assert!(search.contains('>') || search.contains('<'), "{sql}: {plan:#?}");
            }
        }
    }
}
