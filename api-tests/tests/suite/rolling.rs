//! A rolling upgrade: instances of the first release and of this version serve one database together.

use api_tests::{Answer, Client, Method, Server, Version};
use serde_json::{Value, json};

use super::upgrades::{FIRST, has_all_of};
use crate::DATABASE;

/// An instance of the first release on a new database, and one of this version that has joined it.
fn both() -> (Server, Server) {
    let old = Server::of(FIRST, DATABASE);
    let new = old.sibling_of(Version::Current);
    (old, new)
}

fn path(task: &Value) -> String {
    format!("/api/tasks/{}", task["id"].as_str().unwrap())
}

/// The same answer of both versions, one of which has more fields.
fn assert_same(one: &Answer, other: &Answer) {
    let same = |a: &Value, b: &Value| has_all_of(a, b) || has_all_of(b, a);
    assert_eq!(one.header("etag"), other.header("etag"), "{one:?} {other:?}");
    assert!(same(&one.json(), &other.json()), "{one:?} {other:?}");
}

#[test]
fn each_version_reads_and_changes_the_tasks_of_the_other() {
    let (old, new) = both();
    let (old, new) = (old.user("alice"), new.user("alice"));
    for (here, there) in [(&old, &new), (&new, &old)] {
        let created = here.post("/api/tasks", &json!({ "title": "Buy milk", "due_date": "2026-12-01T09:00:00+01:00" }));
        let path = created.header("location");
        assert_same(&created, &there.get(path));
        for (this, that) in [(there, here), (here, there)] {
            let version = that.get(path);
            let change = |body: &Value| {
                this.with_header(Method::PUT, path, ("If-Match", Some(version.header("etag"))), Some(body))
            };
            let changed = change(&json!({ "description": "Two litres", "due_date": null }));
            assert_eq!((changed.status, changed.json()["description"].as_str()), (200, Some("Two litres")));
            assert_eq!(change(&json!({ "title": "Late" })).problem(), "412 precondition_failed");
            assert_same(&changed, &that.get(path));
            let unchanged = that.with_header(Method::GET, path, ("If-None-Match", Some(changed.header("etag"))), None);
            assert_eq!(unchanged.status, 304);
            let toggled = this.patch(&format!("{path}/complete"), None);
            assert_same(&toggled, &that.get(path));
            let stale = ("If-Match", Some(changed.header("etag")));
            assert_eq!(that.with_header(Method::DELETE, path, stale, None).problem(), "412 precondition_failed");
            let set = that.patch(&format!("{path}/complete"), Some(&json!({ "completed": false })));
            assert_same(&set, &this.get(path));
        }
        assert_eq!(there.delete(path).status, 204);
        assert_eq!(here.get(path).problem(), "404 task_not_found");
    }
}

#[test]
fn a_change_by_the_first_release_keeps_the_priority_and_the_tags() {
    let (old, new) = both();
    let (old, new) = (old.user("alice"), new.user("alice"));
    let task = new.post("/api/tasks", &json!({ "title": "a", "priority": "high", "tags": ["home", "shop"] })).json();
    let path = path(&task);
    assert_eq!(old.put(&path, &json!({ "title": "b", "description": "c", "completed": true })).status, 200);
    assert_eq!(old.patch(&format!("{path}/complete"), None).status, 200);
    let after = new.get(&path);
    assert_eq!((&after.json()["title"], after.header("etag")), (&json!("b"), "\"3\""));
    assert_eq!((&after.json()["priority"], &after.json()["tags"]), (&task["priority"], &task["tags"]));
}

#[test]
fn a_task_of_the_first_release_has_no_priority_and_no_tags_until_it_gets_them() {
    let (old, new) = both();
    let (old, new) = (old.user("alice"), new.user("alice"));
    let path = path(&old.create("a"));
    assert_eq!(new.get(&path).json()["priority"], "none");
    assert_eq!(new.get(&path).json()["tags"], json!([]));
    assert_eq!(new.put(&path, &json!({ "priority": "low", "tags": ["home"] })).status, 200);
    assert_eq!(new.list("?priority=low&tag=home&q=A").len(), 1);
    assert_eq!(old.get(&path).header("etag"), "\"2\"");
}

fn outcome(answer: &Answer) -> String {
    match answer.header("idempotency-replayed") {
        "" => answer.problem(),
        replayed => format!("{} replayed: {replayed}", answer.status),
    }
}

/// The outcomes of two creates with one key, the first one here and the second one there.
fn outcomes(here: &Client, first: &Value, there: &Client, second: &Value) -> [String; 2] {
    let key = format!("{first} {second}").replace(' ', "");
    let answers = [here.create_with_key(&key, first), there.create_with_key(&key, second)];
    if answers[1].status == 201 {
        assert_same(&answers[0], &answers[1]);
    }
    answers.each_ref().map(outcome)
}

#[test]
fn a_key_that_was_used_at_one_version_works_at_the_other() {
    let (old, new) = both();
    let plain = json!({ "title": "a", "due_date": "2026-12-01T09:00:00+01:00" });
    let spelled = json!({ "due_date": "2026-12-01T08:00:00Z", "title": " a", "completed": false });
    let other = json!({ "title": "b" });
    let none = json!({ "title": "a", "due_date": "2026-12-01T08:00:00Z", "priority": "none", "tags": [] });
    let high = json!({ "title": "a", "due_date": "2026-12-01T08:00:00Z", "priority": "high" });
    let tagged = json!({ "title": "a", "due_date": "2026-12-01T08:00:00Z", "tags": ["home"] });
    let (created, replayed) = ("201", "201 replayed: true");
    let (reused, unknown) = ("422 idempotency_key_reused", "422 validation_failed");
    // A release keeps rejecting fields that it does not know.
    for (n, (first, second, expected)) in [
        (&plain, &plain, replayed),
        (&plain, &spelled, replayed),
        (&plain, &other, reused),
        (&plain, &none, replayed),
        (&plain, &high, reused),
        (&plain, &tagged, reused),
    ]
    .into_iter()
    .enumerate()
    {
        let user = format!("old first, {n}");
        let outcomes = outcomes(&old.user(&user), first, &new.user(&user), second);
        assert_eq!(outcomes, [created, expected], "created at the first release: {first}, then {second}");
    }
    for (n, (first, second, expected)) in [
        (&plain, &plain, replayed),
        (&plain, &spelled, replayed),
        (&plain, &other, reused),
        (&none, &plain, replayed),
        (&high, &plain, reused),
        (&tagged, &plain, reused),
        (&high, &high, unknown),
        (&tagged, &tagged, unknown),
    ]
    .into_iter()
    .enumerate()
    {
        let user = format!("new first, {n}");
        let outcomes = outcomes(&new.user(&user), first, &old.user(&user), second);
        assert_eq!(outcomes, [created, expected], "created at this version: {first}, then {second}");
    }
}

/// The pages of a list, requested from the servers in turn.
fn pages_in_turn(first: &str, servers: [&Client; 2]) -> Vec<Value> {
    let mut tasks = Vec::new();
    let mut path = Some(first.to_owned());
    for server in servers.into_iter().cycle() {
        let Some(this) = path else { break };
        let page = server.get(&this);
        assert_eq!(page.status, 200, "{this}: {page:?}");
        tasks.extend(page.json().as_array().unwrap().iter().cloned());
        path = page.next_page();
    }
    tasks
}

/// The query of every list that both versions have.
pub(super) fn queries() -> impl Iterator<Item = String> {
    let statuses = ["all", "pending", "completed"];
    let sorts = ["created", "title", "due_date"];
    statuses.into_iter().flat_map(move |status| {
        let lists = sorts.into_iter().flat_map(|sort| ["asc", "desc"].map(|order| (sort, order)));
        lists.map(move |(sort, order)| format!("status={status}&sort={sort}&order={order}"))
    })
}

#[test]
fn a_cursor_of_one_version_leads_on_at_the_other() {
    let (old, new) = both();
    let (old, new) = (old.user("alice"), new.user("alice"));
    for n in 0..20 {
        let due_date = (n % 3 != 0).then(|| format!("2026-12-{:02}T00:00:00Z", 1 + n % 4));
        let title = ["b", "B", "a", "ä"][n % 4];
        let body = json!({ "title": title, "completed": n % 5 < 2, "due_date": due_date });
        assert_eq!([&old, &new][n % 2].post("/api/tasks", &body).status, 201);
    }
    let ids = |tasks: &[Value]| tasks.iter().map(|task| task["id"].clone()).collect::<Vec<_>>();
    for query in queries() {
        let whole = ids(&new.list(&format!("?{query}")));
        assert_eq!(ids(&old.list(&format!("?{query}"))), whole, "{query}");
        for servers in [[&old, &new], [&new, &old]] {
            let tasks = pages_in_turn(&format!("/api/tasks?{query}&limit=3"), servers);
            assert_eq!(ids(&tasks), whole, "{query}");
        }
    }
    let filtered = new.get("/api/tasks?q=b&limit=3").next_page().unwrap();
    let cursor = filtered.rsplit_once('=').unwrap().1;
    assert_eq!(old.get(&format!("/api/tasks?cursor={cursor}")).problem(), "422 validation_failed");
}

#[test]
fn a_due_date_that_only_the_first_release_accepts_stays_until_it_is_changed() {
    let (old, new) = both();
    let (old, new) = (old.user("alice"), new.user("alice"));
    let body = |n: usize| json!({ "title": n.to_string(), "due_date": format!("0000-01-0{}T00:00:00Z", 1 + n) });
    let created: Vec<_> = (0..3).map(|n| old.post("/api/tasks", &body(n))).collect();
    for answer in &created {
        assert_eq!(answer.status, 201);
        assert_same(answer, &new.get(answer.header("location")));
    }
    assert_eq!(new.post("/api/tasks", &body(0)).violations(), ["/due_date"]);
    for order in ["asc", "desc"] {
        let tasks = pages_in_turn(&format!("/api/tasks?sort=due_date&order={order}&limit=1"), [&old, &new]);
        assert_eq!(tasks.len(), 3, "{order}");
    }
    let path = created[0].header("location");
    let due_date = &created[0].json()["due_date"];
    assert_eq!(new.put(path, &json!({ "title": "Changed" })).json()["due_date"], *due_date);
    assert_eq!(new.put(path, &json!({ "due_date": null })).json()["due_date"], Value::Null);
}
