use std::collections::BTreeSet;

use api_tests::{Database, Method, Server};
use serde_json::{Value, json};

/// The distributed tables, with their columns.
const DISTRIBUTED: [(&str, &str); 3] = [("users", "id"), ("tasks", "user_id"), ("idempotency_keys", "user_id")];

#[test]
fn each_unique_index_has_the_column_by_which_its_table_is_distributed() {
    let server = Server::start(Database::Postgres);
    let mut database = server.postgres();
    for (table, column) in DISTRIBUTED {
        let indexes = database
            .query(
                "SELECT i.indexrelid::regclass::text, i.indisunique, m.amname::text,
                        ARRAY(SELECT a.attname::text FROM unnest(i.indkey) k JOIN pg_attribute a
                              ON a.attrelid = i.indrelid AND a.attnum = k)
                 FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am m ON m.oid = c.relam
                 WHERE i.indrelid = $1::text::regclass",
                &[&table],
            )
            .unwrap();
        assert!(!indexes.is_empty());
        for index in indexes {
            let (name, unique, method): (String, bool, String) = (index.get(0), index.get(1), index.get(2));
            let columns: Vec<String> = index.get(3);
            assert!(!unique || columns.iter().any(|name| name == column), "{name} is unique: {columns:?}");
            // All others begin with it, except the indexes for the id alone and for the age of keys.
            let expected = match name.as_str() {
                "tasks_id" => ("hash", "id"),
                "idempotency_keys_by_age" => ("btree", "created_at"),
                _ => ("btree", column),
            };
            assert_eq!((method.as_str(), columns[0].as_str()), expected, "{name}");
        }
    }
}

#[test]
fn each_arm_of_each_statement_names_the_user() {
    let server = Server::with(Database::Postgres, &[("RUST_LOG", "info,todo_api=debug")]);
    for statement in crate::suite::pages::statements(&server) {
        assert_eq!(
            statement.matches("\"user_id\" = $").count(),
            statement.matches("FROM \"tasks\"").count(),
            "{statement}"
        );
    }
    let (alice, mallory) = (server.user("alice"), server.user("mallory"));
    for _ in 0..2 {
        assert_eq!(alice.create_with_key("k", &json!({ "title": "x" })).status, 201);
    }
    mallory.create("x");
    let task = alice.create("x");
    let path = format!("/api/tasks/{}", task["id"].as_str().unwrap());
    let complete = format!("{path}/complete");
    for (method, path, body) in [
        (Method::PUT, &path, Some(json!({ "title": "y", "due_date": null }))),
        (Method::PATCH, &complete, None),
        (Method::PATCH, &complete, Some(json!({ "completed": true }))),
        (Method::DELETE, &path, None),
    ] {
        for expected in ["\"9\"", "\"8\", \"9\"", "*"] {
            for client in [&mallory, &alice] {
                let request = client.request(method.clone(), path).header("If-Match", expected);
                let request = match &body {
                    Some(body) => request.header("Content-Type", "application/json").body(body.to_string()),
                    None => request,
                };
                client.send(request);
            }
        }
    }
    let lines = server.log().into_iter().map(|line| serde_json::from_str::<Value>(&line).unwrap());
    let statements: BTreeSet<String> = lines.filter_map(|line| line["sql"].as_str().map(str::to_owned)).collect();
    let exempt = |sql: &String| {
        // The query that distinguishes 403 from 404, the removal of expired keys, and the queries of `/ready`.
        (sql.starts_with("SELECT") && sql.contains("WHERE \"tasks\".\"id\" = $1"))
            || sql.contains("WHERE (\"user_id\", \"key\") IN")
    };
    let of_one_user: Vec<&String> = statements.iter().filter(|sql| !exempt(sql)).collect();
    assert!(of_one_user.len() > 30 && of_one_user.len() <= statements.len() - 2, "{statements:#?}");
    for sql in of_one_user {
        let reads = sql.matches("FROM \"tasks\"").count() + sql.matches("FROM \"idempotency_keys\"").count();
        let arms = reads + sql.matches("UPDATE \"tasks\"").count();
        assert_eq!(sql.matches("\"user_id\" = $").count(), arms, "{sql}");
        for insert in sql.split("INSERT INTO ").skip(1) {
            assert!(insert.starts_with("\"users\" (\"id\"") || insert.contains("(\"user_id\""), "{sql}");
        }
    }
}

/// The functions that `deploy/citus.sql` calls, replaced by ones that record the calls.
const STUBS: &str = "
    CREATE TABLE pg_dist_partition (logicalrelid regclass, partmethod text);
    CREATE TABLE calls (call text);
    CREATE FUNCTION create_distributed_table(relation regclass, key text, colocate_with text DEFAULT 'default')
        RETURNS void LANGUAGE sql AS $$
            INSERT INTO pg_dist_partition VALUES (relation, 'h');
            INSERT INTO calls VALUES (format('%s by %s with %s', relation, key, colocate_with)) $$;
    CREATE FUNCTION create_reference_table(relation regclass) RETURNS void LANGUAGE sql AS $$
            INSERT INTO pg_dist_partition VALUES (relation, 'n');
            INSERT INTO calls VALUES (format('%s everywhere', relation)) $$;
    CREATE FUNCTION truncate_local_data_after_distributing_table(relation regclass) RETURNS void LANGUAGE sql AS $$
            INSERT INTO calls VALUES (format('%s truncated', relation)) $$;";

#[test]
fn the_script_for_citus_distributes_each_table_once_even_if_repeated() {
    let server = Server::start(Database::Postgres);
    let mut database = server.postgres();
    database.batch_execute(STUBS).unwrap();
    let script = include_str!("../../../deploy/citus.sql");
    let mut calls = || {
        database.batch_execute(script).unwrap();
        let calls =
            database.query("SELECT call FROM calls WHERE call NOT LIKE '%truncated' ORDER BY call", &[]).unwrap();
        calls.iter().map(|row| row.get(0)).collect::<Vec<String>>()
    };
    let expected = [
        "idempotency_keys by user_id with users",
        "seaql_migrations everywhere",
        "tasks by user_id with users",
        "users by id with default",
    ];
    assert_eq!(calls(), expected);
    assert_eq!(calls(), expected);
}
