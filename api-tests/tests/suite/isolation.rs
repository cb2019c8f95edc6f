use api_tests::{Document, Method, Server};
use serde_json::json;

use crate::DATABASE;

#[test]
fn no_operation_and_no_method_gives_access_to_another_users_task() {
    let server = Server::start(DATABASE);
    let (alice, mallory) = (server.user("alice"), server.user("mallory"));
    let task = alice.post("/api/tasks", &json!({ "title": "Alice's secret plan", "description": "hidden" })).json();
    let id = task["id"].as_str().unwrap();
    let paths: Vec<&str> = Document::committed().operations().map(|operation| operation.path).collect();
    let verbs = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "QUERY"];
    for path in paths {
        for verb in verbs {
            let method: Method = verb.parse().unwrap();
            let declared = Document::committed().operations().any(|o| o.path == path && o.method == method);
            for body in
                [None, Some(json!({})), Some(json!({ "completed": true })), Some(json!({ "title": "Mine now" }))]
            {
                let request = mallory.request(method.clone(), &path.replace("{id}", id));
                let request = match &body {
                    Some(body) => request.header("Content-Type", "application/json").body(body.to_string()),
                    None => request,
                };
                let answer = mallory.send(request);
                let what = format!("{verb} {path} {body:?}");
                assert!(!String::from_utf8_lossy(&answer.body).contains("secret"), "{what} contains Alice's title");
                assert!(
                    !String::from_utf8_lossy(&answer.body).contains("hidden"),
                    "{what} contains Alice's description"
                );
                if declared && path.contains("{id}") {
                    assert!([400, 403, 415, 422].contains(&answer.status), "{what} answers {}", answer.status);
                }
            }
        }
    }
    assert_eq!(alice.list(""), [task]);
}

#[test]
fn each_operation_on_another_users_task_is_forbidden() {
    let server = Server::start(DATABASE);
    let (alice, mallory) = (server.user("alice"), server.user("mallory"));
    let task = alice.create("Alice's");
    let path = format!("/api/tasks/{}", task["id"].as_str().unwrap());
    assert_eq!(mallory.get(&path).problem(), "403 task_forbidden");
    assert_eq!(mallory.put(&path, &json!({ "title": "Mine" })).problem(), "403 task_forbidden");
    assert_eq!(mallory.put(&path, &json!({})).problem(), "403 task_forbidden");
    assert_eq!(mallory.patch(&format!("{path}/complete"), None).problem(), "403 task_forbidden");
    assert_eq!(
        mallory.patch(&format!("{path}/complete"), Some(&json!({ "completed": true }))).problem(),
        "403 task_forbidden"
    );
    assert_eq!(mallory.delete(&path).problem(), "403 task_forbidden");
    assert_eq!(alice.get(&path).json(), task);
    assert!(mallory.list("").is_empty());
}

#[test]
fn every_character_of_a_user_id_counts() {
    let server = Server::start(DATABASE);
    let long = "x".repeat(255);
    let users = [
        "alice",
        "Alice",
        "alice ",
        " alice",
        "alic\u{e9}",
        "alice%",
        "ali_e",
        "ａlice",
        "1",
        "01",
        "null",
        &long,
        &long[1..],
    ];
    for user in users {
        let task = server.user(user).create(user);
        assert_eq!(task["user_id"], user);
    }
    for user in users {
        let list = server.user(user).list("");
        assert_eq!(list.iter().map(|task| task["title"].as_str().unwrap()).collect::<Vec<_>>(), [user.trim()]);
    }
}
