use std::thread;

use api_tests::{Answer, Client, Method, Server};
use serde_json::{Value, json};

use crate::DATABASE;

fn send(client: &Client, method: Method, path: &str, condition: (&str, &str), body: Option<Value>) -> Answer {
    client.with_header(method, path, (condition.0, Some(condition.1)), body.as_ref())
}

/// Every way to change a task: method, suffix of its path, and body.
fn changes() -> [(Method, &'static str, Option<Value>); 6] {
    [
        (Method::PUT, "", Some(json!({ "title": "y" }))),
        (Method::PUT, "", Some(json!({}))),
        (Method::PATCH, "/complete", None),
        (Method::PATCH, "/complete", Some(json!({ "completed": true }))),
        (Method::PATCH, "/complete", Some(json!({ "completed": false }))),
        (Method::DELETE, "", None),
    ]
}

#[test]
fn every_answer_with_a_task_has_its_version_and_every_change_increments_it() {
    let server = Server::start(DATABASE);
    let alice = server.user("alice");
    let created = alice.post("/api/tasks", &json!({ "title": "x" }));
    let path = created.header("location");
    let complete = format!("{path}/complete");
    let set = json!({ "completed": false });
    assert_eq!(created.header("etag"), "\"1\"");
    assert_eq!(alice.get(path).header("etag"), "\"1\"");
    assert_eq!(alice.put(path, &json!({})).header("etag"), "\"1\"", "nothing has changed");
    assert_eq!(alice.put(path, &json!({ "title": "y" })).header("etag"), "\"2\"");
    assert_eq!(alice.patch(&complete, None).header("etag"), "\"3\"");
    assert_eq!(alice.patch(&complete, Some(&set)).header("etag"), "\"4\"");
    assert_eq!(alice.patch(&complete, Some(&set)).header("etag"), "\"4\"", "it was in that state already");
    assert_eq!(alice.get(path).header("etag"), "\"4\"");
}

#[test]
fn a_tag_that_a_proxy_has_weakened_never_matches_for_a_change_and_the_answer_says_so() {
    let server = Server::start(DATABASE);
    let alice = server.user("alice");
    let path = alice.post("/api/tasks", &json!({ "title": "x" })).header("location").to_owned();
    for (method, behind, body) in changes() {
        for (tag, names_it) in [("W/\"1\"", true), ("\"2\", W/\"1\"", true), ("\"2\"", false)] {
            let path = format!("{path}{behind}");
            let answer = send(&alice, method.clone(), &path, ("If-Match", tag), body.clone());
            assert_eq!(answer.problem(), "412 precondition_failed", "{method} {tag}");
            let detail = answer.json()["detail"].as_str().unwrap().to_owned();
            assert_eq!(detail.contains("weak tag"), names_it, "{method} {tag}: {detail}");
        }
    }
    assert_eq!(alice.get(&path).header("etag"), "\"1\"");
}

#[test]
fn a_change_is_refused_where_if_none_match_names_the_version() {
    let server = Server::start(DATABASE);
    let alice = server.user("alice");
    for (method, behind, body) in changes() {
        for (excluded, passes) in [
            ("\"1\"", false),
            ("W/\"1\"", false),
            ("\"2\", \"1\"", false),
            ("*", false),
            ("\"2\"", true),
            ("W/\"2\", \"x\"", true),
        ] {
            let path = alice.post("/api/tasks", &json!({ "title": "x" })).header("location").to_owned();
            let at = format!("{path}{behind}");
            let answer = send(&alice, method.clone(), &at, ("If-None-Match", excluded), body.clone());
            if passes {
                assert!(answer.status < 300, "{method} {excluded}: {answer:?}");
            } else {
                assert_eq!(answer.problem(), "412 precondition_failed", "{method} {excluded}");
                assert!(answer.json()["detail"].as_str().unwrap().contains("If-None-Match"), "{answer:?}");
                assert_eq!(alice.get(&path).header("etag"), "\"1\"", "nothing was changed");
            }
        }
        let path = format!("/api/tasks/0193d5a0-1111-7abc-8def-0123456789ab{behind}");
        let answer = send(&alice, method.clone(), &path, ("If-None-Match", "*"), body.clone());
        assert_eq!(answer.problem(), "404 task_not_found", "{method}");
        let answer = send(&alice, method, &path, ("If-None-Match", "1"), body);
        assert_eq!(answer.problem(), "400 malformed_request");
    }
}

#[test]
fn of_many_changes_at_once_none_is_refused_whose_conditions_hold() {
    let server = Server::start(DATABASE);
    let alice = server.user("alice");
    let path = alice.post("/api/tasks", &json!({ "title": "x" })).header("location").to_owned();
    let all: Vec<_> = (1..100).map(|version| format!("\"{version}\"")).collect();
    let conditions = [("If-None-Match", "\"999\"".to_owned()), ("If-Match", all.join(", "))];
    let wrong: Vec<Answer> = thread::scope(|scope| {
        let change = |n: usize| {
            let (name, value) = &conditions[n % 2];
            let (method, behind, body) = match n % 3 {
                0 => (Method::PATCH, "/complete", None),
                _ => (Method::PUT, "", Some(json!({ "title": n.to_string() }))),
            };
            send(&alice, method, &format!("{path}{behind}"), (name, value), body)
        };
        let changes: Vec<_> = (0..24).map(|n| scope.spawn(move || change(n))).collect();
        changes.into_iter().map(|change| change.join().unwrap()).filter(|answer| answer.status != 200).collect()
    });
    assert_eq!(wrong, []);
    assert_eq!(alice.get(&path).header("etag"), "\"25\"", "each change has counted");
    assert_eq!(send(&alice, Method::DELETE, &path, ("If-None-Match", "\"999\""), None).status, 204);
}

#[test]
fn of_both_conditions_each_must_hold() {
    let server = Server::start(DATABASE);
    let alice = server.user("alice");
    for (expected, excluded, status) in [
        ("\"1\"", "\"2\"", 200),
        ("\"1\"", "\"1\"", 412),
        ("\"2\"", "\"3\"", 412),
        ("*", "\"2\"", 200),
        ("*", "*", 412),
    ] {
        let path = alice.post("/api/tasks", &json!({ "title": "x" })).header("location").to_owned();
        let request = alice.request(Method::PUT, &path).header("If-Match", expected).header("If-None-Match", excluded);
        let answer = alice.send(request.header("Content-Type", "application/json").body(r#"{"title":"y"}"#));
        assert_eq!(answer.status, status, "{expected} {excluded}");
    }
}

#[test]
fn a_read_with_the_version_that_is_known_costs_no_body() {
    let server = Server::start(DATABASE);
    let alice = server.user("alice");
    let path = alice.post("/api/tasks", &json!({ "title": "x" })).header("location").to_owned();
    for (known, status) in [
        ("\"1\"", 304),
        ("W/\"1\"", 304),
        ("\"2\", \"1\"", 304),
        ("*", 304),
        ("\"2\"", 200),
        ("\"x\"", 200),
        ("\"01\"", 200),
        ("1", 400),
        ("", 400),
        ("\"1", 400),
    ] {
        let answer = send(&alice, Method::GET, &path, ("If-None-Match", known), None);
        assert_eq!(answer.status, status, "{known}");
        if status != 400 {
            assert_eq!(
                (answer.header("etag"), answer.header("cache-control")),
                ("\"1\"", "private, no-cache"),
                "{known}"
            );
            assert_eq!(answer.body.is_empty(), status == 304, "{known}");
        }
    }
    assert_eq!(alice.put(&path, &json!({ "title": "y" })).header("cache-control"), "private, no-store");
    assert_eq!(send(&alice, Method::GET, &path, ("If-None-Match", "\"1\""), None).json()["title"], "y");
    let bob = server.user("bob");
    assert_eq!(send(&bob, Method::GET, &path, ("If-None-Match", "\"2\""), None).problem(), "403 task_forbidden");
    assert_eq!(send(&bob, Method::GET, &path, ("If-None-Match", "*"), None).problem(), "403 task_forbidden");
}

#[test]
fn a_change_is_made_only_to_an_expected_version() {
    let server = Server::start(DATABASE);
    let alice = server.user("alice");
    for (method, suffix, body) in changes() {
        for (expected, problem) in [
            ("\"2\"", None),
            ("\"1\", \"2\"", None),
            (",\"2\",", None),
            ("*", None),
            ("\"1\"", Some("412 precondition_failed")),
            ("\"3\", \"x\"", Some("412 precondition_failed")),
            ("W/\"2\"", Some("412 precondition_failed")),
            ("\"02\"", Some("412 precondition_failed")),
            ("2", Some("400 malformed_request")),
            ("", Some("400 malformed_request")),
            ("\"2", Some("400 malformed_request")),
            ("*, \"2\"", Some("400 malformed_request")),
            ("\"2\" \"3\"", Some("400 malformed_request")),
        ] {
            let path = alice.post("/api/tasks", &json!({ "title": "x" })).header("location").to_owned();
            let before = alice.put(&path, &json!({ "description": "second version" }));
            let answer = send(&alice, method.clone(), &format!("{path}{suffix}"), ("If-Match", expected), body.clone());
            let what = format!("{method} {body:?} If-Match: {expected}");
            match problem {
                None => assert!([200, 204].contains(&answer.status), "{what}: {answer:?}"),
                Some(problem) => {
                    assert_eq!(answer.problem(), problem, "{what}");
                    let after = alice.get(&path);
                    assert_eq!((after.header("etag"), after.json()), ("\"2\"", before.json()), "{what} has changed it");
                }
            }
        }
    }
}

#[test]
fn a_header_that_is_not_ascii_is_not_treated_as_absent() {
    let server = Server::start(DATABASE);
    let alice = server.user("alice");
    let path = alice.post("/api/tasks", &json!({ "title": "x" })).header("location").to_owned();
    let expected = reqwest::header::HeaderValue::from_bytes(b"\"\xff\"").unwrap();
    let request = alice.request(Method::DELETE, &path).header("If-Match", expected);
    assert_eq!(alice.send(request).problem(), "412 precondition_failed");
    let expected = reqwest::header::HeaderValue::from_bytes(b"\xff").unwrap();
    let request = alice.request(Method::DELETE, &path).header("If-Match", expected);
    assert_eq!(alice.send(request).problem(), "400 malformed_request");
    let twice = alice.request(Method::DELETE, &path).header("If-Match", "\"7\"").header("If-Match", "\"8\"");
    assert_eq!(alice.send(twice).problem(), "412 precondition_failed", "several lines are one list");
}

#[test]
fn the_owner_is_checked_before_the_version() {
    let server = Server::start(DATABASE);
    let (alice, bob) = (server.user("alice"), server.user("bob"));
    let path = alice.post("/api/tasks", &json!({ "title": "x" })).header("location").to_owned();
    let missing = "/api/tasks/0193d5a0-1111-7abc-8def-0123456789ab";
    for expected in ["\"1\"", "\"9\"", "\"1\", \"9\"", "W/\"1\"", "*"] {
        for (method, suffix, body) in changes() {
            let (condition, path, missing) =
                (("If-Match", expected), format!("{path}{suffix}"), format!("{missing}{suffix}"));
            assert_eq!(send(&bob, method.clone(), &path, condition, body.clone()).problem(), "403 task_forbidden");
            assert_eq!(send(&alice, method, &missing, condition, body).problem(), "404 task_not_found");
        }
    }
}

#[test]
fn of_24_writers_with_one_etag_one_wins() {
    let server = Server::start(DATABASE);
    let alice = server.user("alice");
    let path = alice.post("/api/tasks", &json!({ "title": "x" })).header("location").to_owned();
    let answers: Vec<Answer> = thread::scope(|scope| {
        let writers: Vec<_> = (0..24)
            .map(|n| {
                let (alice, path) = (&alice, &path);
                scope.spawn(move || {
                    send(alice, Method::PUT, path, ("If-Match", "\"1\""), Some(json!({ "title": n.to_string() })))
                })
            })
            .collect();
        writers.into_iter().map(|writer| writer.join().unwrap()).collect()
    });
    let winners: Vec<_> = answers.iter().filter(|answer| answer.status == 200).collect();
    assert_eq!(winners.len(), 1);
    assert!(
        answers
            .iter()
            .filter(|answer| answer.status != 200)
            .all(|answer| answer.problem() == "412 precondition_failed")
    );
    assert_eq!(alice.get(&path).json(), winners[0].json());
}
