use api_tests::{Answer, Client, Database, Document, Method, Server};
use serde_json::json;

/// Calls every operation, or every one with a body, with this content type and body.
fn each_operation(client: &Client, id: &str, body: Option<(&str, &str)>) -> Vec<(String, Answer)> {
    let operations = Document::committed().operations();
    let operations = operations.filter(|operation| body.is_none() || operation.value.get("requestBody").is_some());
    let calls = operations.map(|operation| {
        let request = client.request(operation.method.clone(), &operation.path.replace("{id}", id));
        let own = operation.value.get("requestBody").map(|_| ("application/json", r#"{"title":"x"}"#));
        let own = own.filter(|_| operation.method != Method::PATCH);
        let request = match body.or(own) {
            Some((kind, body)) => request.header("Content-Type", kind).body(body.to_owned()),
            None => request,
        };
        (format!("{} {}", operation.method, operation.path), client.send(request))
    });
    calls.collect()
}

#[test]
fn each_operation_says_500_and_no_cause_where_the_storage_is_broken() {
    let server = Server::start(Database::Sqlite);
    let alice = server.user("alice");
    let id = alice.create("x")["id"].as_str().unwrap().to_owned();
    server.sqlite().execute_batch("DROP TABLE tasks").unwrap();
    let answers = each_operation(&alice, &id, None);
    assert_eq!(answers.len(), Document::committed().operations().count());
    for (operation, answer) in answers {
        assert_eq!(answer.problem(), "500 internal_error", "{operation}");
        assert!(!String::from_utf8_lossy(&answer.body).contains("no such table"), "{operation}");
        let id = answer.header("x-request-id").to_owned();
        let cause = server.wait_for_log(|line| (line["request_id"] == id).then(|| line["cause"].clone()));
        assert!(cause.as_str().unwrap().contains("no such table"), "{operation}: {cause}");
    }
}

#[test]
fn each_operation_says_503_and_when_to_come_back_where_the_database_is_away() {
    let server = Server::at("postgresql://todo@127.0.0.1:9/todo?sslmode=disable", &[]);
    let answers = each_operation(&server.user("alice"), "0193d5a0-1111-7abc-8def-0123456789ab", None);
    assert_eq!(answers.len(), Document::committed().operations().count());
    for (operation, answer) in answers {
        assert_eq!((answer.problem().as_str(), answer.header("retry-after")), ("503 unavailable", "1"), "{operation}");
    }
}

#[test]
fn each_operation_with_a_body_rejects_a_large_one_and_another_type() {
    let server = Server::start(Database::Sqlite);
    let alice = server.user("alice");
    let id = alice.create("x")["id"].as_str().unwrap().to_owned();
    let large = format!("{{\"title\":\"{}\"}}", "x".repeat(64 << 10));
    for (kind, body, problem) in [
        ("application/json", large.as_str(), "413 payload_too_large"),
        ("text/plain", r#"{"title":"y"}"#, "415 unsupported_media_type"),
        ("application/json", "{", "400 malformed_request"),
    ] {
        let answers = each_operation(&alice, &id, Some((kind, body)));
        assert_eq!(answers.len(), 3);
        for (operation, answer) in answers {
            assert_eq!(answer.problem(), problem, "{operation}");
        }
    }
    assert_eq!(alice.all().len(), 1);
}

#[test]
fn an_unknown_path_is_not_found() {
    let server = Server::start(Database::Sqlite);
    let alice = server.user("alice");
    for path in [
        "/nope",
        "/api",
        "/api/",
        "/api/tasks/",
        "/api/tasks/x/y",
        "/API/tasks",
        "//api/tasks",
        "/docs/x",
        "/api/tasks%2f",
        "/api/tasks/%ff",
        "/%ff",
        "/api/../api/nope",
    ] {
        assert_eq!(alice.get(path).problem(), "404 route_not_found", "{path}");
    }
}

#[test]
fn a_path_with_a_slash_too_many_is_answered_with_the_path_without_it() {
    let server = Server::start(Database::Sqlite);
    let alice = server.user("alice");
    let task = format!("/api/tasks/{}", alice.create("x")["id"].as_str().unwrap());
    for path in ["/api/tasks", &task, &format!("{task}/complete"), "/docs", "/health", "/openapi.yaml", "/"] {
        for extra in [format!("{path}/"), format!("{path}//"), format!("/{path}"), format!("//{path}/")] {
            let answer = alice.get(&extra);
            assert_eq!(answer.problem(), "404 route_not_found", "{extra}");
            let detail = answer.json()["detail"].as_str().unwrap().to_owned();
            assert!(detail.ends_with(&format!(" use {path}")), "{extra}: {detail}");
        }
    }
    let empty = alice.patch("/api/tasks//complete", None);
    assert_eq!(empty.problem(), "404 task_not_found", "an id is empty");
    assert!(!empty.json()["detail"].as_str().unwrap().contains("use"));
    assert!(
        !alice.get("/nope/").json()["detail"].as_str().unwrap().contains("/nope"),
        "it is no path without it either"
    );
}

#[test]
fn an_id_may_be_percent_encoded() {
    let server = Server::start(Database::Sqlite);
    let alice = server.user("alice");
    let task = alice.create("x");
    let encoded = task["id"].as_str().unwrap().replace('-', "%2d");
    assert_eq!(alice.get(&format!("/api/tasks/{encoded}")).json(), task);
    let completed = alice.patch(&format!("/api/tasks/{encoded}/complete"), None);
    assert_eq!((completed.status, &completed.json()["id"]), (200, &task["id"]));
}

#[test]
fn an_id_that_is_not_a_canonical_uuid_is_no_task() {
    let server = Server::start(Database::Sqlite);
    let alice = server.user("alice");
    let id = alice.create("x")["id"].as_str().unwrap().to_owned();
    let variants = [
        id.to_uppercase(),
        id.replace('-', ""),
        format!("%7B{id}%7D"),
        format!("urn:uuid:{id}"),
        format!("{id}%00"),
        format!("%20{id}"),
        format!("{id}x"),
        "1".to_owned(),
        "00000000-0000-0000-0000-000000000000".to_owned(),
    ];
    for variant in variants {
        assert_eq!(alice.get(&format!("/api/tasks/{variant}")).problem(), "404 task_not_found", "{variant}");
        assert_eq!(alice.delete(&format!("/api/tasks/{variant}")).problem(), "404 task_not_found", "{variant}");
    }
    assert_eq!(alice.list("").len(), 1);
}

#[test]
fn an_unsupported_method_is_rejected_with_the_supported_ones() {
    let server = Server::start(Database::Sqlite);
    let alice = server.user("alice");
    let id = "0193d5a0-1111-7abc-8def-0123456789ab";
    for (path, allow) in [
        ("/api/tasks".to_owned(), "GET, HEAD, OPTIONS, POST"),
        (format!("/api/tasks/{id}"), "DELETE, GET, HEAD, OPTIONS, PUT"),
        (format!("/api/tasks/{id}/complete"), "OPTIONS, PATCH"),
        ("/health".to_owned(), "GET, HEAD, OPTIONS"),
        ("/docs".to_owned(), "GET, HEAD, OPTIONS"),
        ("/".to_owned(), "GET, HEAD, OPTIONS"),
    ] {
        let allowed: Vec<&str> = allow.split(", ").collect();
        for method in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PURGE"] {
            let answer = alice.send(alice.request(method.parse::<Method>().unwrap(), &path));
            assert_eq!(answer.status == 405, !allowed.contains(&method), "{method} {path}: {answer:?}");
            if answer.status == 405 {
                assert!(method == "HEAD" || answer.problem() == "405 method_not_allowed");
            }
            if answer.status == 405 || method == "OPTIONS" {
                assert_eq!(answer.header("allow"), allow, "{method} {path}");
            }
        }
    }
}

#[test]
fn head_gives_the_answer_of_get_without_its_body() {
    let server = Server::start(Database::Sqlite);
    let alice = server.user("alice");
    let path = format!("/api/tasks/{}", alice.create("x")["id"].as_str().unwrap());
    for path in ["/api/tasks", &path, "/health", "/openapi.json", "/api/tasks/1"] {
        let (get, head) = (alice.get(path), alice.send(alice.request(Method::HEAD, path)));
        assert_eq!((head.status, head.header("content-type")), (get.status, get.header("content-type")), "{path}");
        assert_eq!(head.header("content-length"), get.body.len().to_string(), "{path}");
        assert!(head.body.is_empty(), "{path}");
    }
}

#[test]
fn every_answer_has_a_request_id_and_forbids_sniffing_and_sharing() {
    let server = Server::start(Database::Sqlite);
    let alice = server.user("alice");
    for path in ["/api/tasks", "/api/tasks/1", "/nope", "/health", "/docs", "/openapi.yaml", "/"] {
        let answer = alice.get(path);
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(answer.header("x-request-id").len(), 36, "{path}");
        assert_eq!(answer.header("vary"), "Origin", "{path}");
        assert!(["private, no-store", "no-cache"].contains(&answer.header("cache-control")), "{path}");
    }
}

#[test]
fn a_valid_request_id_of_the_caller_is_kept() {
    let server = Server::start(Database::Sqlite);
    let alice = server.user("alice");
    for (id, kept) in [
        ("trace-1.2_3~4", true),
        (&"x".repeat(128), true),
        (&"x".repeat(129), false),
        ("a b", false),
        ("<x>", false),
        ("", false),
    ] {
        let answer = alice.send(alice.request(Method::GET, "/api/tasks/1").header("X-Request-Id", id));
        assert_eq!(answer.header("x-request-id") == id, kept, "{id}");
        assert_eq!(answer.problem(), "404 task_not_found");
    }
}

#[test]
fn an_error_has_the_form_of_rfc_9457() {
    let server = Server::start(Database::Sqlite);
    let answer = server.user("alice").post("/api/tasks", &json!({}));
    let problem = answer.json();
    assert_eq!(
        problem,
        json!({
            "type": "urn:todo-api:problem:validation_failed",
            "title": "The request breaks the contract",
            "status": 422,
            "detail": "title is required",
            "instance": answer.header("x-request-id"),
            "code": "validation_failed",
            "errors": [{ "pointer": "/title", "detail": "is required" }],
        })
    );
}
