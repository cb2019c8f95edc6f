use api_tests::{Document, Method, Server};
use serde_json::{Value, json};

use crate::DATABASE;

#[test]
fn a_body_with_five_violations_gets_all_five() {
    let server = Server::start(DATABASE);
    let alice = server.user("alice");
    let body = json!({ "title": " ", "description": "x".repeat(1001), "completed": "yes", "due_date": "tomorrow", "priority": 1 });
    let places = ["/completed", "/description", "/due_date", "/priority", "/title"];
    assert_eq!(alice.post("/api/tasks", &body).violations(), places);
    let path = format!("/api/tasks/{}", alice.create("Buy milk")["id"].as_str().unwrap());
    assert_eq!(alice.put(&path, &body).violations(), places);
}

#[test]
fn each_rule_of_a_field_is_enforced() {
    let server = Server::start(DATABASE);
    let alice = server.user("alice");
    let with = |field: &str, value: Value| {
        let mut body = json!({ "title": "Buy milk" });
        body[field] = value;
        body
    };
    let wide = "👨".repeat(255);
    for (body, place) in [
        (json!({}), "/title"),
        (json!({ "description": "no title" }), "/title"),
        (with("title", Value::Null), "/title"),
        (with("title", json!(1)), "/title"),
        (with("title", json!(["a"])), "/title"),
        (with("title", json!("")), "/title"),
        (with("title", json!(" \t\r\n\u{a0}\u{2003}\u{feff}")), "/title"),
        (with("title", json!("x".repeat(256))), "/title"),
        (with("title", json!(format!("{wide}x"))), "/title"),
        (with("title", json!("a\0b")), "/title"),
        (with("title", json!("a\0")), "/title"),
        (with("description", json!("👨".repeat(1001))), "/description"),
        (with("description", json!("\0")), "/description"),
        (with("description", json!(false)), "/description"),
        (with("completed", Value::Null), "/completed"),
        (with("completed", json!("true")), "/completed"),
        (with("completed", json!(1)), "/completed"),
        (with("due_date", json!(1_795_254_030)), "/due_date"),
        (with("due_date", json!("2026-12-01")), "/due_date"),
        (with("due_date", json!("2026-12-01T00:00:00")), "/due_date"),
        (with("due_date", json!("9999-12-31T23:59:59-23:59")), "/due_date"),
        (with("due_date", json!("")), "/due_date"),
        (with("priority", Value::Null), "/priority"),
        (with("priority", json!("urgent")), "/priority"),
        (with("priority", json!("High")), "/priority"),
        (with("tags", Value::Null), "/tags"),
        (with("tags", json!("a")), "/tags"),
        (with("tags", json!(["a", "b", "a"])), "/tags"),
        (with("tags", json!((0..21).map(|n| n.to_string()).collect::<Vec<_>>())), "/tags"),
        (with("tags", json!(["a", 1])), "/tags/1"),
        (with("tags", json!(["a", " "])), "/tags/1"),
        (with("tags", json!(["x".repeat(51)])), "/tags/0"),
        (with("tags", json!(["a\0"])), "/tags/0"),
        (with("user_id", json!("mallory")), "/user_id"),
        (with("id", json!("0193d5a0-1111-7abc-8def-0123456789ab")), "/id"),
        (with("dueDate", Value::Null), "/dueDate"),
        (with("a/b~c", json!(1)), "/a~1b~0c"),
    ] {
        assert_eq!(alice.post("/api/tasks", &body).violations(), [place], "{body}");
    }
    assert!(alice.list("").is_empty(), "a refused request has changed nothing");
}

#[test]
fn the_longest_texts_are_accepted() {
    let server = Server::start(DATABASE);
    let alice = server.user(&"🎉".repeat(255));
    // U+0390 grows from two bytes to six when its case is folded: no text makes a longer key.
    for character in ["x", "👨", "\u{390}"] {
        let (title, description) = (character.repeat(255), character.repeat(1000));
        let answer = alice.post("/api/tasks", &json!({ "title": format!("  {title}\n"), "description": description }));
        assert_eq!(answer.status, 201, "{answer:?}");
        let task = answer.json();
        assert_eq!((&task["title"], &task["description"]), (&json!(title), &json!(description)));
    }
    assert_eq!(alice.list("?sort=title").len(), 3);
}

#[test]
fn null_clears_only_optional_fields() {
    let server = Server::start(DATABASE);
    let alice = server.user("alice");
    let task = alice.create("Buy milk");
    let path = format!("/api/tasks/{}", task["id"].as_str().unwrap());
    let body = json!({ "title": null, "completed": null, "description": null, "due_date": null });
    assert_eq!(alice.put(&path, &body).violations(), ["/completed", "/title"]);
    assert_eq!(alice.get(&path).json(), task);
}

#[test]
fn completing_accepts_a_body_with_one_boolean_or_no_body() {
    let server = Server::start(DATABASE);
    let alice = server.user("alice");
    let task = alice.create("Buy milk");
    let path = format!("/api/tasks/{}/complete", task["id"].as_str().unwrap());
    for (body, places) in [
        (json!({}), vec!["/completed"]),
        (json!({ "completed": null }), vec!["/completed"]),
        (json!({ "completed": 1 }), vec!["/completed"]),
        (json!({ "complete": true }), vec!["/complete", "/completed"]),
        (json!(true), vec![""]),
        (json!([]), vec![""]),
    ] {
        assert_eq!(alice.patch(&path, Some(&body)).violations(), places, "{body}");
    }
    assert_eq!(alice.list(""), [task]);
}

#[test]
fn a_body_that_is_not_an_object_is_rejected_and_the_server_continues() {
    let server = Server::start(DATABASE);
    let alice = server.user("alice");
    let deep = format!("{}1{}", "[".repeat(10_000), "]".repeat(10_000));
    let nested = format!("{{\"title\":{}1{}}}", "[".repeat(100), "]".repeat(100));
    let large = format!("{{\"title\":\"{}\"}}", "x".repeat(5 << 20));
    for (body, problem) in [
        (&b""[..], "400 malformed_request"),
        (b"1", "422 validation_failed"),
        (b"[]", "422 validation_failed"),
        (b"\"title\"", "422 validation_failed"),
        (b"null", "422 validation_failed"),
        (b"{", "400 malformed_request"),
        (b"{} {}", "400 malformed_request"),
        (b"{'title': 'x'}", "400 malformed_request"),
        (b"{\"title\": \"\xff\"}", "400 malformed_request"),
        (b"{\"title\": \"\\ud800\"}", "400 malformed_request"),
        (b"{\"title\": \"\\ud800\\u0041\"}", "400 malformed_request"),
        (b"{\"title\": 1e999}", "400 malformed_request"),
        (b"{\"title\": NaN}", "400 malformed_request"),
        (b"\xef\xbb\xbf", "400 malformed_request"),
        (b"{\"title\": \"x\", \"title\": \"x\"}", "400 malformed_request"),
        (b"{\"title\": \"x\", \"description\": {\"a\": 1, \"\\u0061\": 2}}", "400 malformed_request"),
        (deep.as_bytes(), "400 malformed_request"),
        (nested.as_bytes(), "422 validation_failed"),
        (large.as_bytes(), "413 payload_too_large"),
    ] {
        let request = alice.request(Method::POST, "/api/tasks").header("Content-Type", "application/json");
        let answer = alice.send(request.body(body.to_vec()));
        assert_eq!(answer.problem(), problem, "{}", String::from_utf8_lossy(&body[..body.len().min(60)]));
    }
    assert!(alice.list("").is_empty());
}

#[test]
fn a_body_is_limited_to_64_kib_whether_its_length_is_declared_or_not() {
    let server = Server::start(DATABASE);
    let alice = server.user("alice");
    for (bytes, problem) in [(64 << 10, "422 validation_failed"), ((64 << 10) + 1, "413 payload_too_large")] {
        let body = format!("{{\"title\":\"{}\"}}", "x".repeat(bytes - 12));
        assert_eq!(body.len(), bytes);
        let request = || alice.request(Method::POST, "/api/tasks").header("Content-Type", "application/json");
        assert_eq!(alice.send(request().body(body.clone())).problem(), problem);
        let chunked = reqwest::blocking::Body::new(std::io::Cursor::new(body));
        assert_eq!(alice.send(request().body(chunked)).problem(), problem, "chunked");
    }
}

#[test]
fn a_byte_order_mark_before_the_json_is_skipped() {
    let server = Server::start(DATABASE);
    let alice = server.user("alice");
    let request = alice.request(Method::POST, "/api/tasks").header("Content-Type", "application/json");
    let answer = alice.send(request.body("\u{feff}{\"title\": \"\u{feff}x\"}"));
    assert_eq!((answer.status, &answer.json()["title"]), (201, &json!("x")));
}

#[test]
fn a_body_may_say_that_it_is_not_encoded() {
    let server = Server::start(DATABASE);
    let alice = server.user("alice");
    for (encoding, status) in [("identity", 201), ("Identity", 201), ("gzip", 415), ("identity, gzip", 415)] {
        let request = alice.request(Method::POST, "/api/tasks").header("Content-Encoding", encoding);
        let request = request.header("Content-Type", "application/json");
        assert_eq!(alice.send(request.body(r#"{"title":"x"}"#)).status, status, "{encoding}");
    }
}

#[test]
fn a_time_outside_the_range_is_told_from_one_that_is_malformed() {
    let server = Server::start(DATABASE);
    let alice = server.user("alice");
    for (due_date, words) in [
        ("0000-01-01T00:00:00Z", "from 0001-01-01T00:00:00Z to 9999-12-31T23:59:59.999999Z"),
        ("0001-01-01T00:00:00+14:00", "from 0001-01-01T00:00:00Z to 9999-12-31T23:59:59.999999Z"),
        ("9999-12-31T23:59:59-00:01", "from 0001-01-01T00:00:00Z to 9999-12-31T23:59:59.999999Z"),
        ("0001-01-01", "a date and time with an offset"),
        ("10000-01-01T00:00:00Z", "a date and time with an offset"),
    ] {
        let answer = alice.post("/api/tasks", &json!({ "title": "x", "due_date": due_date }));
        assert_eq!(answer.violations(), ["/due_date"], "{due_date}");
        let detail = answer.json()["detail"].as_str().unwrap().to_owned();
        assert!(detail.starts_with("due_date must be ") && detail.contains(words), "{due_date}: {detail}");
    }
    for due_date in ["0001-01-01T00:00:00Z", "0001-01-01T14:00:00+14:00", "9999-12-31T23:59:59.9999999Z"] {
        assert_eq!(alice.post("/api/tasks", &json!({ "title": "x", "due_date": due_date })).status, 201, "{due_date}");
    }
}

#[test]
fn the_detail_is_the_first_violation_in_words_and_the_number_of_others() {
    let server = Server::start(DATABASE);
    let alice = server.user("alice");
    let title =
        "title must have 1 to 255 characters, not counting white space around them (which is removed), and no U+0000";
    for (body, detail) in [
        (json!({}), "title is required".to_owned()),
        (json!([]), "the body must be of type object".to_owned()),
        (json!({ "title": "" }), title.to_owned()),
        (json!({ "title": "x", "a/b": 1, "completed": 1 }), String::new()),
    ] {
        let answer = alice.post("/api/tasks", &body).json();
        let first = &answer["errors"][0];
        let field = first["pointer"].as_str().unwrap().trim_start_matches('/');
        let field = if field.is_empty() { "the body" } else { field };
        let others = match answer["errors"].as_array().unwrap().len() {
            1 => String::new(),
            2 => " (and 1 more violation, see `errors`)".to_owned(),
            more => format!(" (and {} more violations, see `errors`)", more - 1),
        };
        assert_eq!(answer["detail"], format!("{field} {}{others}", first["detail"].as_str().unwrap()));
        assert!(detail.is_empty() || answer["detail"] == detail, "{answer}");
    }
    for (name, shown) in [("a/b~c", "a/b~c"), ("", "\"\""), ("a b", "\"a b\""), ("\0", "\"\\0\"")] {
        let detail = alice.post("/api/tasks", &json!({ "title": "x", name: 1 })).json()["detail"].clone();
        assert!(detail.as_str().unwrap().starts_with(&format!("{shown} is unknown")), "{detail}");
    }
    let answer = alice.get("/api/tasks?limit=0&order=up&x=1").json();
    assert_eq!(answer["detail"], "limit must be at least 1 (and 2 more violations, see `errors`)");
}

#[test]
fn a_body_must_be_declared_as_json() {
    let server = Server::start(DATABASE);
    let alice = server.user("alice");
    for (content_type, status) in [
        (Some("application/json"), 201),
        (Some("application/json; charset=utf-8"), 201),
        (Some("Application/JSON;charset=\"UTF-8\""), 201),
        (Some("application/json; charset=utf8"), 201),
        (Some("application/json; charset=latin1"), 415),
        (Some("text/plain"), 415),
        (Some("application/x-www-form-urlencoded"), 415),
        (Some("application/merge-patch+json"), 415),
        (None, 415),
    ] {
        let request = alice.request(Method::POST, "/api/tasks").body(r#"{"title":"x"}"#);
        let request = match content_type {
            Some(content_type) => request.header("Content-Type", content_type),
            None => request,
        };
        assert_eq!(alice.send(request).status, status, "{content_type:?}");
    }
}

#[test]
fn every_operation_rejects_undeclared_query_parameters() {
    let server = Server::start(DATABASE);
    let alice = server.user("alice");
    let task = alice.create("Buy milk");
    for operation in Document::committed().operations() {
        let path = operation.path.replace("{id}", task["id"].as_str().unwrap());
        let answer = alice.json(operation.method, &format!("{path}?stauts=completed"), &json!({ "title": "x" }));
        assert!(answer.violations().contains(&"stauts".to_owned()), "{}", operation.path);
    }
    assert_eq!(alice.list(""), [task]);
}

#[test]
fn the_rules_of_query_parameters_are_enforced() {
    let server = Server::start(DATABASE);
    let alice = server.user("alice");
    for (query, places) in [
        ("status=", vec!["status"]),
        ("status=done", vec!["status"]),
        ("status=PENDING", vec!["status"]),
        ("status=all&status=all", vec!["status"]),
        ("sort=due", vec!["sort"]),
        ("order=down", vec!["order"]),
        ("sort=title%20&order=%00&status=%ff&x", vec!["order", "sort", "status", "x"]),
        ("=", vec![""]),
    ] {
        assert_eq!(alice.get(&format!("/api/tasks?{query}")).violations(), places, "{query}");
    }
    assert!(alice.list("?").is_empty());
}

#[test]
fn errors_are_reported_in_the_order_of_the_contract() {
    let server = Server::start(DATABASE);
    let (alice, bob) = (server.user("alice"), server.user("bob"));
    let id = bob.create("Bob's")["id"].as_str().unwrap().to_owned();
    let path = format!("/api/tasks/{id}");
    let bad = json!({ "title": "" });
    assert_eq!(server.stranger().put("/api/tasks/1?x=1", &bad).problem(), "401 token_missing");
    assert_eq!(alice.put("/api/tasks/1", &bad).problem(), "422 validation_failed", "the form, then the task");
    assert_eq!(alice.put(&path, &bad).problem(), "422 validation_failed");
    assert_eq!(alice.put(&path, &json!({ "title": "x" })).problem(), "403 task_forbidden");
    assert_eq!(alice.put("/api/tasks/1", &json!({ "title": "x" })).problem(), "404 task_not_found");
}

#[test]
fn violations_of_query_and_body_are_reported_together_and_after_malformed_requests() {
    let server = Server::start(DATABASE);
    let alice = server.user("alice");
    let wrong = json!({ "title": 1, "colour": "red" });
    assert_eq!(alice.post("/api/tasks?x=1", &wrong).violations(), ["/colour", "/title", "x"]);
    let request = |path: &str| alice.request(Method::POST, path).header("Content-Type", "application/json");
    assert_eq!(alice.send(request("/api/tasks?x=1").body("{")).problem(), "400 malformed_request");
    let keyed = request("/api/tasks?x=1").header("Idempotency-Key", "a b").body(wrong.to_string());
    assert_eq!(alice.send(keyed).problem(), "400 malformed_request");
    let encoded = request("/api/tasks").header("Content-Encoding", "gzip").body(r#"{"title":"x"}"#);
    assert_eq!(alice.send(encoded).problem(), "415 unsupported_media_type");
    let path = format!("/api/tasks/{}", alice.create("x")["id"].as_str().unwrap());
    let complete = format!("{path}/complete?x=1");
    assert_eq!(alice.patch(&complete, None).violations(), ["x"]);
    assert_eq!(alice.patch(&complete, Some(&json!({ "completed": 1 }))).violations(), ["/completed", "x"]);
    assert_eq!(alice.get(&path).header("etag"), "\"1\"");
    for limit in ["%2B5", "05"] {
        assert_eq!(alice.get(&format!("/api/tasks?limit={limit}")).violations(), ["limit"], "{limit}");
    }
}
