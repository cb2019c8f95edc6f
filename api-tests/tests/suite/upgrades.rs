//! The data of a release, in its database and at its clients, works after an upgrade. `api-tests/released/dump`
//! has recorded it.

use std::{
    fs,
    path::{Path, PathBuf},
};

use api_tests::{Database, Server};
use serde_json::{Value, json};

use crate::DATABASE;

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
