use api_tests::{Client, Database, Method, Server};
use rusqlite::Connection;
use serde_json::json;

fn create(client: &Client, key: &str) -> api_tests::Answer {
    let request = client.request(Method::POST, "/api/tasks").header("Idempotency-Key", key);
    client.send(request.header("Content-Type", "application/json").body(json!({ "title": "x" }).to_string()))
}

fn database(server: &Server) -> Connection {
    let database = Connection::open(server.folder().join("data/todo.db")).unwrap();
    database.busy_timeout(std::time::Duration::from_secs(10)).unwrap();
    database
}

const AGE: &str = "UPDATE idempotency_keys SET created_at = created_at - 24 * 3600 * 1000000";

#[test]
fn a_key_is_free_again_after_24_hours() {
    let server = Server::start(Database::Sqlite);
    let alice = server.user("alice");
    let first = create(&alice, "k").json();
    database(&server).execute(&format!("{AGE} + 60000000"), ()).unwrap();
    assert_eq!(create(&alice, "k").json(), first, "a minute before its time is over");
    database(&server).execute("UPDATE idempotency_keys SET created_at = created_at - 60000000", ()).unwrap();
    let second = create(&alice, "k");
    assert_eq!((second.status, second.header("idempotency-replayed")), (201, ""));
    assert_ne!(second.json()["id"], first["id"]);
    assert_eq!(create(&alice, "k").json(), second.json());
    assert_eq!(alice.list("").len(), 2);
}

#[test]
fn expired_keys_are_removed_in_the_background_however_many_there_are() {
    let mut server = Server::start(Database::Sqlite);
    let alice = server.user("alice");
    create(&alice, "young");
    server.kill();
    let file = database(&server);
    file.execute(
        "WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 1700)
         INSERT INTO idempotency_keys SELECT user_id, 'old ' || n, fingerprint, answer, created_at - 24 * 3600 * 1000000
         FROM idempotency_keys, n",
        (),
    )
    .unwrap();
    let server = server.restart();
    let left =
        || file.query_row("SELECT group_concat(key) FROM idempotency_keys", (), |row| row.get::<_, String>(0)).unwrap();
    let started = std::time::Instant::now();
    while left() != "young" {
        assert!(started.elapsed().as_secs() < 60, "{} are left", left().split(',').count());
        std::thread::yield_now();
    }
    assert_eq!(create(&server.user("alice"), "young").header("idempotency-replayed"), "true");
}

#[test]
fn a_key_in_flight_is_answered_with_409() {
    let server = Server::start(Database::Sqlite);
    let alice = server.user("alice");
    alice.create("so that the user is there");
    let mut other = database(&server);
    // Another process that writes holds the first create up.
    let lock = other.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate).unwrap();
    let created = std::thread::scope(|scope| {
        let first = scope.spawn(|| {
            loop {
                let answer = create(&alice, "k");
                // Refused while the file is locked, or while the second one has the key: it tries again.
                if answer.status == 201 {
                    break answer;
                }
            }
        });
        let second = loop {
            let answer = create(&alice, "k");
            if answer.status == 409 {
                break answer;
            }
            assert_eq!(answer.problem(), "503 unavailable");
        };
        assert_eq!((second.problem().as_str(), second.header("retry-after")), ("409 idempotency_key_in_flight", "1"));
        lock.rollback().unwrap();
        first.join().unwrap()
    });
    assert_eq!(create(&alice, "k").json(), created.json());
    assert_eq!(alice.list("").len(), 2, "one more, however often it was asked for");
}
