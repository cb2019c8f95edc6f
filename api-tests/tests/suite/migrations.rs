use api_tests::Server;
use serde_json::json;

use crate::DATABASE;

/// The database of a server that has ended.
fn ended() -> Server {
    let mut server = Server::start(DATABASE);
    server.kill();
    server
}

#[test]
fn migrations_go_up_down_and_up() {
    let server = ended();
    let migrate = |step: &str| {
        let output = server.command(&["migrate", step]);
        assert!(output.status.success(), "{step}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let names = |state: &str, output: &str| output.lines().filter(|line| line.starts_with(state)).count();
    let all = names("applied", &migrate("status"));
    assert!(all > 0);
    for _ in 0..2 {
        for left in (0..all).rev() {
            assert_eq!(names("applied", &migrate("down")), left);
        }
        assert_eq!(names("pending", &migrate("status")), all);
        assert_eq!(names("applied", &migrate("up")), all);
        assert_eq!(names("applied", &migrate("status")), all);
    }
    server.restart().user("alice").create("on a schema that went down and up");
}

#[test]
fn a_schema_of_the_first_two_migrations_is_updated_with_its_tasks() {
    let mut server = Server::start(DATABASE);
    let alice = server.user("alice");
    for (title, due_date) in [("b", None), ("C", Some("2026-12-02T00:00:00Z")), ("a", Some("2026-12-01T00:00:00Z"))] {
        assert_eq!(alice.post("/api/tasks", &json!({ "title": title, "due_date": due_date })).status, 201);
    }
    let lists = ["?status=pending", "?sort=title", "?sort=due_date&order=desc"];
    let before = lists.map(|list| alice.list(list));
    server.kill();
    let applied = || {
        let status = server.command(&["migrate", "status"]).stdout;
        String::from_utf8(status).unwrap().lines().filter(|line| line.starts_with("applied")).count()
    };
    while applied() > 2 {
        assert!(server.command(&["migrate", "down"]).status.success());
    }
    // Some older databases had no such index.
    server.sql("DROP INDEX tasks_by_status");
    let server = server.restart();
    assert_eq!(lists.map(|list| server.user("alice").list(list)), before);
}

#[test]
fn a_schema_newer_than_the_program_is_rejected() {
    let server = ended();
    server.sql("INSERT INTO seaql_migrations VALUES ('m29991231_000001_from_the_future', 0)");
    let output = server.command(&["serve"]);
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(errors.contains("newer than this program") && errors.contains("m29991231"), "{errors}");
}
