use std::{thread, time::Instant};

use api_tests::{Answer, Client, Database, Method, Server};
use serde_json::{Value, json};

use crate::DATABASE;

fn create(client: &Client, key: &str, body: &Value) -> Answer {
    let request = client.request(Method::POST, "/api/tasks").header("Idempotency-Key", key);
    client.send(request.header("Content-Type", "application/json").body(body.to_string()))
}

fn replayed(answer: &Answer) -> bool {
    answer.header("idempotency-replayed") == "true"
}

/// Makes all keys older.
fn age(server: &Server, seconds: i64) {
    server.sql(&match DATABASE {
        Database::Sqlite => format!("UPDATE idempotency_keys SET created_at = created_at - {seconds} * 1000000"),
        Database::Postgres => format!("UPDATE idempotency_keys SET created_at = created_at - interval '{seconds} s'"),
    });
}

const DAY: i64 = 24 * 60 * 60;

#[test]
fn a_repeated_create_with_the_same_key_gets_the_first_answer() {
    let server = Server::start(DATABASE);
    let alice = server.user("alice");
    let body = json!({ "title": "Buy milk", "due_date": "2026-12-01T00:00:00Z" });
    let first = create(&alice, "key-1", &body);
    assert_eq!((first.status, replayed(&first)), (201, false));
    assert!(!first.headers.contains_key("idempotency-replayed"));
    for key in ["key-1", "\"key-1\""] {
        let again = create(&alice, key, &body);
        assert_eq!((again.status, replayed(&again)), (201, true), "{key}");
        assert_eq!(
            (again.json(), again.header("location"), again.header("etag")),
            (first.json(), first.header("location"), "\"1\"")
        );
    }
    assert_eq!(alice.list(""), [first.json()]);
}

#[test]
fn the_first_answer_is_replayed_even_if_the_task_was_changed_or_deleted() {
    let mut server = Server::start(DATABASE);
    let alice = server.user("alice");
    let body = json!({ "title": "Buy milk" });
    let first = create(&alice, "k", &body);
    assert_eq!(alice.put(first.header("location"), &json!({ "title": "Changed" })).status, 200);
    assert_eq!(create(&alice, "k", &body).json(), first.json());
    assert_eq!(alice.delete(first.header("location")).status, 204);
    assert_eq!(create(&alice, "k", &body).json(), first.json());
    assert!(alice.list("").is_empty());
    server.kill();
    let server = server.restart();
    let again = create(&server.user("alice"), "k", &body);
    assert_eq!((replayed(&again), again.json()), (true, first.json()), "a restart does not forget");
}

#[test]
fn an_answer_of_the_year_0_is_repeated_though_no_request_may_have_it_now() {
    let server = Server::start(DATABASE);
    let alice = server.user("alice");
    let body = json!({ "title": "Old", "due_date": "2026-12-01T00:00:00Z" });
    assert_eq!(create(&alice, "k", &body).status, 201);
    // As 0.1.0 may have stored it.
    let old = "UPDATE idempotency_keys SET answer = replace(answer, '2026-12-01T', '0000-12-01T')";
    assert_eq!(server.sql(old), 1);
    let again = create(&alice, "k", &body);
    assert_eq!((replayed(&again), &again.json()["due_date"]), (true, &json!("0000-12-01T00:00:00Z")));
}

#[test]
fn an_answer_that_a_newer_release_has_stored_is_not_misread() {
    let server = Server::start(DATABASE);
    let alice = server.user("alice");
    let body = json!({ "title": "New" });
    let first = create(&alice, "k", &body);
    assert_eq!(server.sql(r#"UPDATE idempotency_keys SET answer = replace(answer, '"format":1', '"format":99')"#), 1);
    assert_eq!(create(&alice, "k", &body).problem(), "503 unavailable");
    assert_eq!(alice.list(""), [first.json()]);
}

#[test]
fn another_body_under_a_key_is_refused() {
    let server = Server::start(DATABASE);
    let alice = server.user("alice");
    let first = create(&alice, "k", &json!({ "title": "Buy milk" }));
    for body in [
        json!({ "title": "Buy bread" }),
        json!({ "title": "Buy milk", "completed": true }),
        json!({ "title": "Buy milk", "description": "" }),
        json!({ "title": "Buy milk", "due_date": "2026-12-01T00:00:00Z" }),
    ] {
        assert_eq!(create(&alice, "k", &body).problem(), "422 idempotency_key_reused", "{body}");
    }
    for body in [r#"{ "title" : "Buy milk" }"#, r#"{"completed":false,"title":"Buy milk","description":null}"#] {
        let request = alice.request(Method::POST, "/api/tasks").header("Idempotency-Key", "k");
        let answer = alice.send(request.header("Content-Type", "application/json").body(body));
        assert!(replayed(&answer), "{body} asks for the same task");
    }
    assert_eq!(alice.list(""), [first.json()]);
}

#[test]
fn each_user_has_their_own_keys() {
    let server = Server::start(DATABASE);
    let (alice, bob) = (server.user("alice"), server.user("bob"));
    let first = create(&alice, "k", &json!({ "title": "Alice's" }));
    let other = create(&bob, "k", &json!({ "title": "Bob's" }));
    assert_eq!((other.status, replayed(&other)), (201, false));
    assert_ne!(first.json()["id"], other.json()["id"]);
    assert_eq!((alice.list("").len(), bob.list("").len()), (1, 1));
}

#[test]
fn a_rejected_request_uses_no_key() {
    let server = Server::start(DATABASE);
    let alice = server.user("alice");
    assert_eq!(create(&alice, "k", &json!({ "title": "" })).problem(), "422 validation_failed");
    let answer = create(&alice, "k", &json!({ "title": "Buy milk" }));
    assert_eq!((answer.status, replayed(&answer)), (201, false));
}

#[test]
fn a_malformed_key_is_rejected_and_not_ignored() {
    let server = Server::start(DATABASE);
    let alice = server.user("alice");
    let (longest, longer) = ("x".repeat(255), "x".repeat(256));
    for (key, status) in [
        ("", 400),
        ("a b", 400),
        ("\"a", 400),
        ("\"\"", 400),
        (longer.as_str(), 400),
        (longest.as_str(), 201),
        ("!~", 201),
    ] {
        assert_eq!(create(&alice, key, &json!({ "title": "x" })).status, status, "{key}");
    }
    let request =
        alice.request(Method::POST, "/api/tasks").header("Idempotency-Key", "a").header("Idempotency-Key", "b");
    let twice = alice.send(request.header("Content-Type", "application/json").body(r#"{"title":"x"}"#));
    assert_eq!(twice.problem(), "400 malformed_request");
    assert_eq!(alice.list("").len(), 2);
}

#[test]
fn of_24_creates_with_one_key_one_makes_a_task() {
    let server = Server::start(DATABASE);
    let alice = server.user("alice");
    let body = json!({ "title": "once" });
    let answers: Vec<Answer> = thread::scope(|scope| {
        let creates: Vec<_> = (0..24).map(|_| scope.spawn(|| create(&alice, "k", &body))).collect();
        creates.into_iter().map(|create| create.join().unwrap()).collect()
    });
    let tasks = alice.list("");
    assert_eq!(tasks.len(), 1);
    assert_eq!(answers.iter().filter(|answer| answer.status == 201 && !replayed(answer)).count(), 1);
    for answer in answers {
        match answer.status {
            201 => assert_eq!(answer.json(), tasks[0]),
            _ => assert_eq!(
                (answer.problem().as_str(), answer.header("retry-after")),
                ("409 idempotency_key_in_flight", "1")
            ),
        }
    }
}

#[test]
fn a_key_in_flight_is_answered_with_409() {
    let server = Server::start(DATABASE);
    let alice = server.user("alice");
    alice.create("so that the user is there");
    let body = json!({ "title": "x" });
    let hold = server.hold_writes();
    let created = thread::scope(|scope| {
        let first = scope.spawn(|| {
            loop {
                let answer = create(&alice, "k", &body);
                // Rejected because a write waited too long, or the other request has the key: retry.
                if answer.status == 201 {
                    break answer;
                }
            }
        });
        let second = loop {
            let answer = create(&alice, "k", &body);
            if answer.status == 409 {
                break answer;
            }
            assert_eq!(answer.problem(), "503 unavailable");
        };
        assert_eq!((second.problem().as_str(), second.header("retry-after")), ("409 idempotency_key_in_flight", "1"));
        drop(hold);
        first.join().unwrap()
    });
    assert_eq!(create(&alice, "k", &body).json(), created.json());
    assert_eq!(alice.list("").len(), 2, "one more, however often it was asked for");
}

#[test]
fn a_key_is_free_again_after_24_hours() {
    let server = Server::start(DATABASE);
    let alice = server.user("alice");
    let body = json!({ "title": "x" });
    let first = create(&alice, "k", &body).json();
    age(&server, DAY - 60);
    assert_eq!(create(&alice, "k", &body).json(), first, "a minute before its time is over");
    age(&server, 60);
    let second = create(&alice, "k", &body);
    assert_eq!((second.status, replayed(&second)), (201, false));
    assert_ne!(second.json()["id"], first["id"]);
    assert_eq!(create(&alice, "k", &body).json(), second.json());
    assert_eq!(alice.list("").len(), 2);
}

#[test]
fn any_number_of_expired_keys_is_removed_in_the_background() {
    let mut server = Server::start(DATABASE);
    let alice = server.user("alice");
    thread::scope(|scope| {
        for worker in 0..4 {
            let alice = &alice;
            scope.spawn(move || {
                for n in 0..300 {
                    assert_eq!(create(alice, &format!("{worker}-{n}"), &json!({ "title": "x" })).status, 201);
                }
            });
        }
    });
    age(&server, DAY);
    create(&alice, "young", &json!({ "title": "x" }));
    server.kill();
    let server = server.restart();
    let started = Instant::now();
    while server.sql("SELECT count(*) FROM idempotency_keys") > 1 {
        assert!(started.elapsed().as_secs() < 60, "expired keys are left");
        thread::yield_now();
    }
    assert!(replayed(&create(&server.user("alice"), "young", &json!({ "title": "x" }))));
}
