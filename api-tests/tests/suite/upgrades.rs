//! The data of a release, in its database and at its clients, works after an upgrade. `api-tests/released/dump`
//! has recorded it, or the program of the release makes it.

use std::{
    fs,
    path::{Path, PathBuf},
};

use api_tests::{Database, Server, Version};
use serde_json::{Value, json};

use crate::DATABASE;

/// The first release, which had no priorities and no tags.
pub(super) const FIRST: Version = Version::Released("0.1.0");

/// A folder for each release.
fn releases() -> Vec<PathBuf> {
    let all = Path::new(env!("CARGO_MANIFEST_DIR")).join("released");
    let folders = fs::read_dir(all).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir());
    let folders: Vec<_> = folders.collect();
    assert!(!folders.is_empty());
    folders
}

/// A server on the database of the release, and the answers of the release.
fn upgraded(release: &Path) -> (Server, Value) {
    let kind = format!("{DATABASE:?}").to_lowercase();
    let read = |suffix: &str| fs::read_to_string(release.join(format!("{kind}.{suffix}"))).unwrap();
    let mut server = Server::start(DATABASE);
    server.kill();
    match DATABASE {
        Database::Sqlite => {
            let data = server.folder().join("data");
            fs::remove_dir_all(&data).unwrap();
            fs::create_dir(&data).unwrap();
            // Keys expire after a day.
            let young = "UPDATE idempotency_keys SET created_at = unixepoch() * 1000000";
            server.sqlite().execute_batch(&format!("PRAGMA foreign_keys = OFF; {} {young}", read("sql"))).unwrap();
        }
        Database::Postgres => {
            let fresh = "DROP SCHEMA public CASCADE; CREATE SCHEMA public;";
            let young = "UPDATE public.idempotency_keys SET created_at = now()";
            server.postgres().batch_execute(&format!("{fresh} {} {young}", read("sql"))).unwrap();
        }
    }
    (server.restart(), serde_json::from_str(&read("json")).unwrap())
}

/// Whether the task has the same fields as the other one; it may have more, because later releases add some.
pub(super) fn has_all_of(task: &Value, older: &Value) -> bool {
    older.as_object().unwrap().iter().all(|(name, value)| task[name] == *value)
}

#[test]
fn a_key_from_before_an_upgrade_works_after_it() {
    for release in releases() {
        let (server, answers) = upgraded(&release);
        for create in answers["creates"].as_array().unwrap() {
            let user = server.user(create["user"].as_str().unwrap());
            let key = create["key"].as_str().unwrap();
            let again = user.create_with_key(key, &create["body"]);
            assert_eq!((again.status, again.header("idempotency-replayed")), (201, "true"), "{create}");
            assert_eq!(again.header("etag"), "\"1\"");
            assert!(has_all_of(&again.json(), &create["answer"]), "{create} became {}", again.json());
            let other = user.create_with_key(key, &json!({ "title": "Another" }));
            assert_eq!(other.problem(), "422 idempotency_key_reused");
        }
    }
}

#[test]
fn a_cursor_from_before_an_upgrade_works_after_it() {
    for release in releases() {
        let (server, answers) = upgraded(&release);
        for page in answers["pages"].as_array().unwrap() {
            let answer = server.user(page["user"].as_str().unwrap()).get(page["path"].as_str().unwrap());
            assert_eq!(answer.status, 200, "{page}");
            let (tasks, older) = (answer.json(), &page["answer"]);
            let pairs = || tasks.as_array().unwrap().iter().zip(older.as_array().unwrap());
            assert_eq!(tasks.as_array().unwrap().len(), older.as_array().unwrap().len(), "{page}");
            assert!(pairs().all(|(task, older)| has_all_of(task, older)), "{page} became {tasks}");
        }
    }
}

/// Tables with their columns and constraints, and indexes.
fn schema(server: &Server) -> Vec<String> {
    let mut lines: Vec<String> = match DATABASE {
        Database::Sqlite => {
            let connection = server.sqlite();
            let query = "SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL";
            let mut query = connection.prepare(query).unwrap();
            query.query_map((), |row| row.get(0)).unwrap().map(Result::unwrap).collect()
        }
        Database::Postgres => {
            let query = "SELECT concat_ws(' ', attrelid::regclass, attname, format_type(atttypid, atttypmod), attnotnull,
                    attcollation::regcollation, pg_get_expr(adbin, adrelid))
                FROM pg_attribute LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
                WHERE attrelid IN (SELECT oid FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace)
                    AND attnum > 0 AND NOT attisdropped
                UNION ALL SELECT concat_ws(' ', conrelid::regclass, conname, pg_get_constraintdef(oid))
                FROM pg_constraint WHERE connamespace = 'public'::regnamespace
                UNION ALL SELECT indexdef FROM pg_indexes WHERE schemaname = 'public'";
            server.postgres().query(query, &[]).unwrap().iter().map(|row| row.get(0)).collect()
        }
    };
    lines.sort();
    lines
}

#[test]
fn a_database_that_is_migrated_down_has_the_schema_of_the_first_release_which_serves_it_again() {
    let mut old = Server::of(FIRST, DATABASE);
    let migrations = |version, step| {
        let output = old.command_of(version, &["migrate", step]);
        assert!(output.status.success(), "{step}: {output:?}");
        String::from_utf8(output.stdout).unwrap().lines().filter(|line| line.starts_with("applied")).count()
    };
    let (schema_before, applied_before) = (schema(&old), migrations(FIRST, "status"));
    let body = |title: &str| json!({ "title": title, "due_date": "2026-12-01T00:00:00Z" });
    let first = old.user("alice").create_with_key("old", &body("old"));
    assert_eq!(first.status, 201);

    let mut new = old.sibling_of(Version::Current);
    let alice = new.user("alice");
    let path = first.header("location");
    assert_eq!(alice.put(path, &json!({ "priority": "high", "tags": ["home"], "description": "new" })).status, 200);
    let second = alice.create_with_key("new", &body("new"));
    assert_eq!(second.status, 201);
    let mut tasks = alice.list("");
    let rejected = old.command_of(FIRST, &["serve"]);
    assert_eq!(rejected.status.code(), Some(1));
    assert!(String::from_utf8(rejected.stderr).unwrap().contains("newer than this program"));
    new.signal("TERM");
    assert!(new.wait().success());
    while migrations(Version::Current, "down") > applied_before {}
    old.kill();

    assert_eq!(schema(&old), schema_before);
    let old = old.restart();
    for task in &mut tasks {
        let fields = task.as_object_mut().unwrap();
        assert!(["priority", "tags"].iter().all(|field| fields.remove(*field).is_some()));
    }
    assert_eq!(old.user("alice").list(""), tasks);
    for (key, answer) in [("old", &first), ("new", &second)] {
        let again = old.user("alice").create_with_key(key, &body(key));
        assert_eq!((again.status, again.header("idempotency-replayed")), (201, "true"), "{key}");
        assert!(has_all_of(&answer.json(), &again.json()), "{key}");
    }

    let new = old.sibling_of(Version::Current);
    assert_eq!(new.user("alice").list("?priority=none").len(), 2);
}
