//! An upgrade of a large database, while an instance of the first release serves it.

use std::{
    sync::{
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread,
};

use api_tests::{Answer, Client, Database, End, Method, Server, Version};
use serde_json::{Value, json};

use super::{
    rolling::queries,
    upgrades::{FIRST, has_all_of},
};
use crate::DATABASE;

/// Gives 50 users 2,000 tasks each, by the schema of the first release.
fn fill(server: &Server) {
    match DATABASE {
        Database::Sqlite => server
            .sqlite()
            .execute_batch(
                "WITH RECURSIVE n (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM n WHERE n < 49)
            INSERT INTO users (id, created_at) SELECT 'user ' || n, 1795000000000000 FROM n;
            WITH RECURSIVE n (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM n WHERE n < 99999)
            INSERT INTO tasks
                (user_id, id, title, title_key, description, completed, due_date, version, created_at, updated_at)
            SELECT 'user ' || (n % 50), unhex(printf('%012x70008%015x', 1795000000000 + n, n)),
                'Task ' || (n % 997), 'task ' || (n % 997), 'Of ' || n, n % 3 = 0,
                CASE WHEN n % 4 = 0 THEN 1796000000000000 + n % 991 END, 1,
                1795000000000000 + 1000 * n, 1795000000000000 + 1000 * n
            FROM n;",
            )
            .unwrap(),
        Database::Postgres => server
            .postgres()
            .batch_execute(
                "INSERT INTO users (id, created_at)
            SELECT 'user ' || n, to_timestamp(1795000000) FROM generate_series(0, 49) n;
            INSERT INTO tasks
                (user_id, id, title, title_key, description, completed, due_date, version, created_at, updated_at)
            SELECT 'user ' || (n % 50),
                (lpad(to_hex(1795000000000 + n), 12, '0') || '70008' || lpad(to_hex(n), 15, '0'))::uuid,
                'Task ' || (n % 997), 'task ' || (n % 997), 'Of ' || n, n % 3 = 0,
                CASE WHEN n % 4 = 0 THEN to_timestamp(1796000000 + n % 991) END, 1,
                to_timestamp(1795000000 + n / 1000.0), to_timestamp(1795000000 + n / 1000.0)
            FROM generate_series(0, 99999) n;",
            )
            .unwrap(),
    }
}

/// The answer, unless the database is busy with the migration. A server reports nothing else then.
fn unless_busy(answer: Answer, expected: u16) -> Option<Answer> {
    if answer.status == 503 {
        assert!(!answer.header("retry-after").is_empty(), "{answer:?}");
        return None;
    }
    assert_eq!(answer.status, expected, "{answer:?}");
    Some(answer)
}

/// Calls all operations once. Returns the task as the last answer has it, if all were successful.
fn call_all(client: &Client, round: usize) -> Option<Value> {
    for query in queries() {
        unless_busy(client.get(&format!("/api/tasks?{query}&limit=10")), 200)?;
    }
    let body = json!({ "title": format!("Round {round}") });
    let created = unless_busy(client.create_with_key(&round.to_string(), &body), 201)?;
    let path = created.header("location");
    let replayed = unless_busy(client.create_with_key(&round.to_string(), &body), 201)?;
    assert_eq!(replayed.json(), created.json());
    unless_busy(client.put(path, &json!({ "description": "Changed" })), 200)?;
    let completed = unless_busy(client.patch(&format!("{path}/complete"), None), 200)?;
    let tag = ("If-Match", Some(completed.header("etag")));
    let last = unless_busy(client.with_header(Method::PUT, path, tag, Some(&json!({ "title": "Last" }))), 200)?;
    assert_eq!(unless_busy(client.get(path), 200)?.json(), last.json());
    let gone = unless_busy(client.post("/api/tasks", &body), 201)?;
    unless_busy(client.delete(gone.header("location")), 204)?;
    Some(last.json())
}

#[test]
fn a_hundred_thousand_tasks_are_upgraded_while_the_first_release_serves_them() {
    let old = Server::of(FIRST, DATABASE);
    let alice = old.user("alice");
    let bodies: Vec<_> = (0..300)
        .map(|n| {
            let due_date = (n % 3 == 0).then(|| format!("2026-12-{:02}T00:00:00Z", 1 + n % 7));
            json!({ "title": format!("Task {}", n % 11), "completed": n % 5 < 2, "due_date": due_date })
        })
        .collect();
    let answers: Vec<_> =
        bodies.iter().enumerate().map(|(n, body)| alice.create_with_key(&n.to_string(), body).json()).collect();
    fill(&old);
    let lists: Vec<(String, Vec<Value>)> = queries()
        .map(|query| {
            let first = alice.get(&format!("/api/tasks?{query}&limit=40"));
            let cursor = first.next_page().unwrap();
            let rest = alice.pages(&cursor).concat();
            (cursor, rest)
        })
        .collect();
    let by_title = |server: &Server| server.user("user 7").pages("/api/tasks?sort=title&limit=500").concat();
    let others = by_title(&old);
    assert_eq!(others.len(), 2000);

    let upgraded = AtomicBool::new(false);
    let (all_called, first_round) = mpsc::channel();
    let (new, tasks) = thread::scope(|scope| {
        let traffic = scope.spawn(|| {
            let bob = old.user("bob");
            let mut tasks = Vec::new();
            for round in 0.. {
                let last_round = upgraded.load(Ordering::Acquire);
                tasks.extend(call_all(&bob, round));
                all_called.send(()).unwrap();
                if last_round {
                    break;
                }
            }
            tasks
        });
        let end = End(&upgraded);
        // By now it has prepared all its statements.
        first_round.recv().unwrap();
        let new = old.sibling_of(Version::Current);
        new.wait_for_log(|line| (line["message"] == "ready").then_some(()));
        drop(end);
        (new, traffic.join().unwrap())
    });

    assert_eq!(new.sql("SELECT count(*) FROM tasks WHERE user_id <> 'bob'"), 100_300);
    let bob = new.user("bob").all();
    for task in &tasks {
        assert!(bob.iter().any(|after| has_all_of(after, task)), "{task} is not among {bob:?}");
    }
    let same = |after: &[Value], before: &[Value]| {
        let pairs = after.iter().zip(before);
        after.len() == before.len() && pairs.into_iter().all(|(after, before)| has_all_of(after, before))
    };
    assert!(same(&by_title(&new), &others) && by_title(&old) == others);
    let alice = new.user("alice");
    for (cursor, rest) in &lists {
        assert!(same(&alice.pages(cursor).concat(), rest), "{cursor}");
    }
    assert!(alice.all().iter().all(|task| task["priority"] == "none" && task["tags"] == json!([])));
    for (n, (body, answer)) in bodies.iter().zip(&answers).enumerate() {
        let again = alice.create_with_key(&n.to_string(), body);
        assert_eq!((again.status, again.header("idempotency-replayed")), (201, "true"), "{body}");
        assert!(has_all_of(&again.json(), answer), "{body}");
    }
}
