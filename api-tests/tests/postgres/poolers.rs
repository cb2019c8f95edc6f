use std::{collections::HashMap, sync::Mutex, thread};

use api_tests::{Client, Cluster, Method, Pooler, Server, signal};
use serde_json::{Value, json};

use super::load::{Books, Outcome, path, wait_until, wait_until_ready, while_working};

#[test]
fn ten_thousand_mixed_requests_through_a_transaction_pooler_succeed() {
    let cluster = Cluster::start(&[]);
    let database = cluster.database();
    let pooler = Pooler::start(&cluster, &[]);
    let url = database.url_by(&[pooler.port()]);
    // The migrations also go through it.
    let servers = [Server::at(&url, &[]), Server::at(&url, &[])];
    thread::scope(|scope| {
        for worker in 0..8 {
            let client = servers[worker % 2].user(&format!("user {}", worker / 2));
            scope.spawn(move || {
                for n in 0..125 {
                    let created = client.create_with_key(&format!("{worker}-{n}"), &json!({ "title": n.to_string() }));
                    assert_eq!(created.status, 201);
                    let path = created.header("location");
                    assert_eq!(client.get(path).status, 200);
                    assert_eq!(client.put(path, &json!({ "description": "x" })).status, 200);
                    assert_eq!(client.patch(&format!("{path}/complete"), None).status, 200);
                    let stale = client.request(Method::DELETE, path).header("If-Match", "\"1\"");
                    assert_eq!(client.send(stale).status, 412);
                    for sort in ["created", "title", "due_date"] {
                        assert_eq!(client.get(&format!("/api/tasks?sort={sort}&limit=5&status=completed")).status, 200);
                    }
                    assert_eq!(client.get("/api/tasks?limit=5").status, 200);
                    assert_eq!(
                        if n % 2 == 0 { client.delete(path).status } else { client.get(path).status },
                        if n % 2 == 0 { 204 } else { 200 }
                    );
                }
            });
        }
    });
    for server in &servers {
        let log = server.log();
        assert!(
            log.iter().all(|line| line.contains("\"INFO\"")),
            "{:#?}",
            log.iter().find(|line| !line.contains("\"INFO\""))
        );
    }
}

/// Ends backends while they commit, in several rounds. Fails unless every answer was true.
fn check_commits_against_their_answers(rounds: usize, end: impl Fn(i32)) {
    let cluster = Cluster::start(&[]);
    let database = cluster.database();
    let pooler = Pooler::start(&cluster, &["server_login_retry = 0.1"]);
    let server = Server::at(&database.url_by(&[pooler.port()]), &[]);
    wait_until_ready(&server);
    // One user each, because changes of one user wait for each other.
    let clients: Vec<Client> = (0..8).map(|user| server.user(&format!("user {user}"))).collect();
    let tasks: Vec<Value> = clients.iter().map(|client| client.create("updated")).collect();
    let (creates, updates) = (Books::default(), Mutex::new(vec![HashMap::<Outcome, u64>::new(); clients.len()]));
    let work = |worker: usize, n: usize| {
        let title = format!("{worker} {n}");
        creates.note(&title, &clients[worker].post("/api/tasks", &json!({ "title": title })));
        let answer = clients[worker].put(&path(&tasks[worker]), &json!({ "description": title }));
        *updates.lock().unwrap()[worker].entry(Outcome::of(&answer)).or_default() += 1;
    };
    while_working(clients.len(), work, || {
        for _ in 0..rounds {
            let done = creates.count(Outcome::Done);
            wait_until("more is written", || creates.count(Outcome::Done) >= done + 20);
            // Without a standby, a commit stops when it is durable but not yet acknowledged.
            cluster.set("synchronous_standby_names", "nobody");
            let mut admin = cluster.connect();
            let mut backends = Vec::new();
            wait_until("a commit waits", || {
                let waiting = "SELECT pid FROM pg_stat_activity WHERE wait_event = 'SyncRep'";
                backends = admin.query(waiting, &[]).unwrap();
                !backends.is_empty()
            });
            admin.batch_execute("ALTER SYSTEM RESET synchronous_standby_names").unwrap();
            for backend in backends {
                end(backend.get(0));
            }
            // If a backend is killed, PostgreSQL restarts all of them, and this connection is lost, too.
            wait_until("the setting is taken back", || cluster.try_sql("SELECT pg_reload_conf()").is_ok());
        }
    });
    wait_until_ready(&server);
    creates.agree_with(&clients.iter().flat_map(Client::all).collect::<Vec<_>>());
    assert!(creates.count(Outcome::Unknown) > 0, "no create was hit");
    for ((client, task), answers) in clients.iter().zip(&tasks).zip(updates.into_inner().unwrap()) {
        let of = |outcome| answers.get(&outcome).copied().unwrap_or_default();
        let version: u64 = client.get(&path(task)).header("etag").trim_matches('"').parse().unwrap();
        let (made, done, unknown) = (version - 1, of(Outcome::Done), of(Outcome::Unknown));
        assert!((done..=done + unknown).contains(&made), "{made} updates were made: {answers:?}");
    }
}

#[test]
fn answers_to_commits_that_a_pooler_loses_are_true() {
    // Like an administrator who ends a session.
    check_commits_against_their_answers(20, |backend| signal(backend, "TERM"));
}

#[test]
fn answers_to_commits_that_a_crash_behind_a_pooler_loses_are_true() {
    check_commits_against_their_answers(5, |backend| signal(backend, "KILL"));
}
