use api_tests::{Cluster, Database, Pooler, PostgresDatabase, Server};

use crate::suite::{
    exports::{export, fill, key_of, seen},
    imports::synthetic,
};

/// Moves everything from one server's database to that of the other one.
fn move_all(from: &Server, to: &Server) {
    let output = to.command_reading(export(from).as_bytes(), &["import"]);
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn a_move_from_sqlite_to_postgresql_and_back_makes_no_difference() {
    let servers = [Database::Sqlite, Database::Postgres, Database::Sqlite].map(Server::start);
    let creates = fill(&servers[0]);
    move_all(&servers[0], &servers[1]);
    move_all(&servers[1], &servers[2]);
    for to in &servers[1..] {
        assert_eq!(export(to), export(&servers[0]));
        for user in ["alice", "bob ü \"quoted\""] {
            assert_eq!(seen(&to.user(user)), seen(&servers[0].user(user)));
        }
        for (user, body, first) in &creates {
            let again = to.user(user).create_with_key(&key_of(body), body);
            assert_eq!((again.status, again.header("idempotency-replayed")), (201, "true"));
            assert_eq!(again.json(), first.json());
        }
    }
}

#[test]
fn a_move_works_through_a_transaction_pooler() {
    let cluster = Cluster::start(&[]);
    let database = cluster.database();
    let pooler = Pooler::start(&cluster, &[]);
    let server = Server::at(&database.url_by(&[pooler.port()]), &[]);
    let rows = synthetic(5, 7000);
    for _ in 0..2 {
        assert!(server.command_reading(rows.as_bytes(), &["import"]).status.success());
        assert_eq!(export(&server), rows);
    }
}

#[test]
fn a_role_with_short_limits_can_move_many_tasks() {
    let database: PostgresDatabase = Cluster::shared().database();
    let mut connection = database.connect();
    // All that this version of PostgreSQL has: since 17 also `transaction_timeout`.
    let timeouts = "SELECT name FROM pg_settings WHERE name ~ '^(statement|idle_in_transaction_session|lock|transaction)_timeout$'";
    let timeouts = connection.query(timeouts, &[]).unwrap();
    assert!(timeouts.len() >= 3);
    let timeouts = timeouts.iter().map(|row| format!("{} = 100", row.get::<_, String>(0)));
    for limit in timeouts.chain(["default_transaction_isolation = serializable".to_owned()]) {
        connection.batch_execute(&format!("ALTER DATABASE {} SET {limit}", database.name())).unwrap();
    }
    let server = Server::on(database, &[]);
    let rows = synthetic(5, 20_000);
    assert!(server.command_reading(rows.as_bytes(), &["import"]).status.success());
    assert_eq!(export(&server), rows);
}

#[test]
fn a_backup_of_postgresql_needs_its_own_tools() {
    let server = Server::start(Database::Postgres);
    for (command, tool) in [("backup", "pg_dump"), ("restore", "pg_restore")] {
        let output = server.command(&[command, "file"]);
        let errors = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{errors}");
        assert!(errors.starts_with("todo-api: DATABASE_URL: it names a PostgreSQL server; "), "{errors}");
        assert!(errors.contains(tool) && errors.lines().count() == 1, "{errors}");
    }
}

#[test]
fn the_guides_statements_move_the_tasks_of_a_fastapi_back_end() {
    let guide = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/from-fastapi.md")).unwrap();
    let statements = guide.split("```sql").nth(1).unwrap().split("```").next().unwrap();
    let old = Cluster::shared().database();
    let mut connection = old.connect();
    connection
        .batch_execute(
            "CREATE TABLE tasks (id serial PRIMARY KEY, user_id varchar NOT NULL, title varchar NOT NULL, description text,
                is_completed boolean NOT NULL, due_date timestamp, created_at timestamp NOT NULL, updated_at timestamp);
            INSERT INTO tasks (user_id, title, description, is_completed, due_date, created_at, updated_at) VALUES
                ('bob', 'first', NULL, false, NULL, '2026-11-01 10:00:00.000001', NULL),
                ('alice', 'Straße \"x\"', E'two\\nlines', true, '2026-12-01', '2026-11-01 10:00:00', '2026-10-01 10:00:00'),
                ('bob', 'second', '', false, NULL, '2026-11-01 10:00:00.000001', '2026-11-02 10:00:00.5')",
        )
        .unwrap();
    let mut rows = || {
        let mut rows = String::new();
        for message in connection.simple_query(statements).unwrap() {
            if let postgres::SimpleQueryMessage::Row(row) = message {
                rows.push_str(row.get(0).unwrap());
                rows.push('\n');
            }
        }
        connection.batch_execute("DROP TABLE moved").unwrap();
        rows
    };
    let server = Server::start(Database::Sqlite);
    for expected in
        ["imported 2 users, 3 tasks, 0 idempotency keys; already there: 0 rows", "imported 0 users, 0 tasks, 0 "]
    {
        let output = server.command_reading(rows().as_bytes(), &["import"]);
        assert!(String::from_utf8(output.stdout.clone()).unwrap().starts_with(expected), "{output:?}");
        assert!(output.status.success(), "{output:?}");
    }
    let bob = server.user("bob").list("?order=asc");
    let titles: Vec<_> = bob.iter().map(|task| task["title"].as_str().unwrap()).collect();
    assert_eq!(titles, ["first", "second"], "the order of creation");
    assert_eq!(bob[1]["updated_at"], "2026-11-02T10:00:00.500000Z");
    let alice = server.user("alice").list("").pop().unwrap();
    assert_eq!(alice["title"], "Straße \"x\"");
    assert_eq!(alice["description"], "two\nlines");
    assert_eq!((&alice["due_date"], &alice["completed"]), (&"2026-12-01T00:00:00Z".into(), &true.into()));
    assert_eq!((&alice["created_at"], &alice["updated_at"]), (&"2026-11-01T10:00:00Z".into(), &alice["created_at"]));
}
