use api_tests::{
    Database::{self, Postgres, Sqlite},
    Method, Server, token,
};
use serde_json::{Value, json};

#[test]
fn a_request_is_logged_as_one_line() {
    let server = Server::start(Database::Sqlite);
    let alice = server.user("alice");
    let id = alice.create("x")["id"].as_str().unwrap().to_owned();
    for (method, path, route, status, user) in [
        (Method::GET, format!("/api/tasks/{id}"), "/api/tasks/{id}", 200, Some("alice")),
        (Method::PATCH, format!("/api/tasks/{id}/complete"), "/api/tasks/{id}/complete", 200, Some("alice")),
        (Method::GET, "/api/tasks?x=1".to_owned(), "/api/tasks", 422, Some("alice")),
        (Method::GET, "/nope".to_owned(), "-", 404, None),
        (Method::POST, "/health".to_owned(), "/health", 405, None),
    ] {
        let request_id = format!("r-{status}-{}", path.len());
        let answer = alice.send(alice.request(method.clone(), &path).header("X-Request-Id", &request_id));
        assert_eq!(answer.status, status);
        let line = server.wait_for_log(|line| (line["request_id"] == request_id.as_str()).then(|| line.clone()));
        assert_eq!(
            (&line["method"], &line["route"], &line["status"]),
            (&json!(method.as_str()), &json!(route), &json!(status))
        );
        assert_eq!(line.get("user").and_then(Value::as_str), user);
        assert!(line["duration_ms"].as_f64().is_some_and(|duration| duration > 0.0));
        let lines = server.log().into_iter().filter(|line| line.contains(&request_id)).count();
        assert_eq!(lines, 1);
    }
}

#[test]
fn a_line_is_json_for_any_user_id() {
    let server = Server::start(Database::Sqlite);
    for user in [r#"a"b\c"#, r#"","user":"bob"#, "Zoë 🎉 \u{2028}"] {
        assert_eq!(server.user(user).get("/api/tasks").status, 200);
        server.wait_for_log(|line| (line["user"] == user).then_some(()));
    }
    assert!(server.log().iter().all(|line| serde_json::from_str::<Value>(line).is_ok()));
}

#[test]
fn no_log_line_contains_a_token_a_secret_or_the_text_of_a_task() {
    for (database, filter) in [(Sqlite, "info"), (Sqlite, "trace"), (Postgres, "info"), (Postgres, "trace")] {
        let server = Server::with(database, &[("RUST_LOG", filter)]);
        let alice = server.user("alice");
        let body = json!({ "title": "TITLE-TEXT", "description": "DESCRIPTION-TEXT" });
        let path = alice.post("/api/tasks", &body).header("location").to_owned();
        assert_eq!(alice.put(&path, &json!({ "title": "TITLE-TEXT 2" })).status, 200);
        assert_eq!(alice.get("/api/tasks?title=QUERY-TEXT").status, 422);
        assert_eq!(alice.with_token("TOKEN-TEXT.a.b").get("/api/tasks").status, 401);
        assert_eq!(alice.list("").len(), 1);
        let mut server = server;
        server.signal("TERM");
        server.wait();
        server.wait_for_log(|line| (line["message"] == "the process has ended").then_some(()));
        let log = server.log().join("\n");
        assert!(log.contains("SELECT") == (filter == "trace"), "SQL is for debugging only");
        let signature = token("alice").split('.').next_back().unwrap().to_owned();
        for secret in ["TITLE-TEXT", "DESCRIPTION-TEXT", "QUERY-TEXT", "TOKEN-TEXT", api_tests::SECRET, &signature] {
            assert!(!log.contains(secret), "{filter}: {secret}");
        }
    }
}
