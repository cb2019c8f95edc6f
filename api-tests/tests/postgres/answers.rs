//! The answer to each error of the database.

use std::time::Instant;

use api_tests::{Cluster, PostgresDatabase, Server};
use serde_json::json;

use super::load::{AT_MOST, Outcome, wait_until_ready};

/// SQLSTATEs after which certainly nothing was changed: the transaction was rolled back for a temporary reason.
const UNCHANGED: [&str; 8] = [
    "53000", // insufficient resources
    "53100", // disk full
    "53200", // out of memory
    "55P03", // lock not available
    "57014", // query canceled
    "57P03", // cannot connect now
    "58000", // system error
    "58030", // I/O error
];

/// SQLSTATEs after which the server retries: serialization failure, deadlock, read-only transaction.
const AGAIN: [&str; 3] = ["40001", "40P01", "25006"];

/// SQLSTATEs with an unknown outcome: the connection, the server or the pooler was lost during the change.
const UNKNOWN: [&str; 8] = ["08000", "08003", "08006", "08P01", "40003", "57P01", "57P02", "57P05"];

/// SQLSTATEs of defects: of the program, the schema or the operation.
const DEFECTS: [&str; 6] = ["P0001", "42501", "42703", "22012", "23514", "XX000"];

/// A server whose database raises the error that a title names, when such a task is changed; once `reads` is true in
/// the table `raises`, also when it is read.
fn raising() -> (PostgresDatabase, Server) {
    let cluster = Cluster::shared();
    // Policies apply to everybody except administrators.
    let role = format!("raising_{}", std::process::id());
    cluster.sql(&format!(
        "DO $$ BEGIN CREATE ROLE {role} LOGIN; EXCEPTION WHEN duplicate_object OR unique_violation THEN END $$"
    ));
    let database = cluster.database_with(&format!("OWNER {role}"));
    let server = Server::at(&database.url().replace("postgres@", &format!("{role}@")), &[]);
    wait_until_ready(&server);
    database
        .connect()
        .batch_execute(&format!(
            "CREATE TABLE raises (reads bool);
             INSERT INTO raises VALUES (false);
             GRANT SELECT ON raises TO {role};
             CREATE FUNCTION raise(code text) RETURNS bool LANGUAGE plpgsql AS $$ BEGIN
                 IF code ~ '^[0-9A-Z]{{5}}$' THEN RAISE EXCEPTION 'raised by a test' USING ERRCODE = code; END IF;
                 RETURN true;
             END $$;
             CREATE FUNCTION raise_for_change() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                 PERFORM raise(NEW.title);
                 RETURN NEW;
             END $$;
             CREATE TRIGGER raise BEFORE INSERT OR UPDATE ON tasks FOR EACH ROW EXECUTE FUNCTION raise_for_change();
             ALTER TABLE tasks ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
             CREATE POLICY all_rows ON tasks USING ((SELECT NOT reads FROM raises) OR raise(description))",
        ))
        .unwrap();
    (database, server)
}

#[test]
fn the_answer_to_a_change_has_the_meaning_of_the_database_error() {
    let (_database, server) = raising();
    for (n, code) in UNKNOWN.iter().chain(&UNCHANGED).chain(&AGAIN).chain(&DEFECTS).enumerate() {
        wait_until_ready(&server);
        // A new user for each: the first task is inserted together with the user, the second one is not.
        let client = server.user(&format!("user {n}"));
        let task = client.create("before");
        let path = super::load::path(&task);
        for (what, request) in [
            ("create", &|| client.post("/api/tasks", &json!({ "title": code })) as api_tests::Answer),
            ("update", &|| client.put(&path, &json!({ "title": code }))),
        ] as [(&str, &dyn Fn() -> api_tests::Answer); 2]
        {
            let started = Instant::now();
            let answer = request();
            assert!(started.elapsed() <= AT_MOST, "{what} {code} took {:?}", started.elapsed());
            if DEFECTS.contains(code) {
                assert_eq!(answer.problem(), "500 internal_error", "{what} {code}");
            } else if AGAIN.contains(code) {
                // The last attempt may still be running when the time is up.
                assert_ne!(Outcome::of(&answer), Outcome::Done, "{what} {code}");
            } else {
                let expected = if UNKNOWN.contains(code) { Outcome::Unknown } else { Outcome::Unchanged };
                assert_eq!(Outcome::of(&answer), expected, "{what} {code}");
            }
            let text = String::from_utf8(answer.body).unwrap();
            assert!(!text.contains(code) && !text.contains("raised"), "the cause is for the log: {text}");
            wait_until_ready(&server);
        }
        assert_eq!(client.list(""), [task], "{code}");
        server.wait_for_log(|line| line["cause"].as_str()?.contains(code).then_some(()));
    }
}

#[test]
fn the_answer_to_a_failed_read_says_whether_to_retry() {
    let (database, server) = raising();
    let codes: Vec<&str> = UNKNOWN.into_iter().chain(UNCHANGED).chain(AGAIN).chain(DEFECTS).collect();
    let client = server.user("alice");
    let create = |code: &&str| {
        super::load::path(&client.post("/api/tasks", &json!({ "title": "x", "description": code })).json())
    };
    let paths: Vec<String> = codes.iter().map(create).collect();
    database.connect().batch_execute("UPDATE raises SET reads = true").unwrap();
    for (code, path) in codes.iter().zip(paths) {
        wait_until_ready(&server);
        let started = Instant::now();
        let answer = client.get(&path);
        assert!(started.elapsed() <= AT_MOST, "{code} took {:?}", started.elapsed());
        let expected = if DEFECTS.contains(code) { "500 internal_error" } else { "503 unavailable" };
        assert_eq!(answer.problem(), expected, "{code}");
        let detail = answer.json()["detail"].as_str().unwrap().to_owned();
        assert!(!detail.contains("unknown"), "{code}: a read changes nothing: {detail}");
    }
}

#[test]
fn a_change_with_a_short_conflict_succeeds() {
    let server = Server::on(Cluster::shared().database(), &[]);
    wait_until_ready(&server);
    let alice = server.user("alice");
    alice.create("before");
    server
        .postgres()
        .batch_execute(
            "CREATE SEQUENCE attempts;
             CREATE FUNCTION conflict() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                 IF nextval('attempts') % 3 <> 0 THEN RAISE EXCEPTION 'a conflict' USING ERRCODE = NEW.title; END IF;
                 RETURN NEW;
             END $$;
             CREATE TRIGGER conflict BEFORE INSERT ON tasks FOR EACH ROW EXECUTE FUNCTION conflict()",
        )
        .unwrap();
    for (n, code) in AGAIN.iter().enumerate() {
        alice.create(code);
        assert_eq!(server.sql("SELECT last_value FROM attempts"), 3 * (i64::try_from(n).unwrap() + 1), "{code}");
    }
    assert_eq!(alice.list("").len(), 1 + AGAIN.len());
}
