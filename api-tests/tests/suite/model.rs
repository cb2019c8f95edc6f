//! Random operations against the server and against a simple model of it: both must agree on every answer.

use std::{
    collections::HashMap,
    sync::atomic::{AtomicUsize, Ordering},
};

use api_tests::{Answer, Client, Method, Server};
use proptest::{
    prelude::*,
    test_runner::{Config, TestRunner},
};
use serde_json::{Value, json};

use crate::DATABASE;

#[derive(Debug, Clone)]
pub(crate) enum Step {
    Create { body: Value, key: Option<u8> },
    Read { task: usize, known: Option<i64> },
    Update { task: usize, body: Value, expected: Option<i64> },
    Complete { task: usize, set: Option<bool>, expected: Option<i64> },
    Delete { task: usize, expected: Option<i64> },
    List { status: &'static str, sort: &'static str, order: &'static str, limit: usize },
}

fn title() -> impl Strategy<Value = Value> {
    prop::sample::select(vec!["a", "A", "b", "B b", "é", "É", "z", "Ω", "日"]).prop_map(Value::from)
}

fn description() -> impl Strategy<Value = Value> {
    prop_oneof![Just(Value::Null), Just(json!("")), "\\PC{0,20}".prop_map(Value::from)]
}

fn due_date() -> impl Strategy<Value = Value> {
    prop_oneof![Just(Value::Null), (0..4_u32).prop_map(|day| json!(format!("2026-12-{:02}T00:00:00Z", day + 1)))]
}

fn body(title_required: bool) -> impl Strategy<Value = Value> {
    let maybe = |strategy: BoxedStrategy<Value>| prop::option::of(strategy);
    let title = if title_required { title().prop_map(Some).boxed() } else { maybe(title().boxed()).boxed() };
    let completed = any::<bool>().prop_map(Value::from).boxed();
    let fields = (title, maybe(description().boxed()), maybe(completed), maybe(due_date().boxed()));
    fields.prop_map(|(title, description, completed, due_date)| {
        let named = [("title", title), ("description", description), ("completed", completed), ("due_date", due_date)];
        named
            .into_iter()
            .filter_map(|(name, value)| Some((name.to_owned(), value?)))
            .collect::<serde_json::Map<_, _>>()
            .into()
    })
}

pub(crate) fn step() -> impl Strategy<Value = Step> {
    let task = || 0..8_usize;
    // The difference to the task's version, or `None` for no condition.
    let version = || prop::option::of(-1..=0_i64);
    let sample = prop::sample::select::<&'static str>;
    prop_oneof![
        3 => (body(true), prop::option::of(0..4_u8)).prop_map(|(body, key)| Step::Create { body, key }),
        1 => (task(), version()).prop_map(|(task, known)| Step::Read { task, known }),
        3 => (task(), body(false), version()).prop_map(|(task, body, expected)| Step::Update { task, body, expected }),
        2 => (task(), any::<Option<bool>>(), version()).prop_map(|(task, set, expected)| Step::Complete { task, set, expected }),
        1 => (task(), version()).prop_map(|(task, expected)| Step::Delete { task, expected }),
        2 => (sample(vec!["all", "pending", "completed"]), sample(vec!["created", "title", "due_date"]), sample(vec!["asc", "desc"]), 1..5_usize)
            .prop_map(|(status, sort, order, limit)| Step::List { status, sort, order, limit }),
    ]
}

/// What one user should see.
#[derive(Default)]
struct Model {
    /// All tasks ever created, in order: the representation, or `None` if deleted.
    tasks: Vec<(Value, i64, bool)>,
    keys: HashMap<u8, (Value, Value)>,
}

impl Model {
    fn check(&mut self, client: &Client, step: &Step) {
        match step {
            Step::Create { body, key } => self.create(client, body, *key),
            Step::Read { task, known } => {
                let Some((path, task, version, alive)) = self.pick(*task) else { return };
                let known = known.map(|off| version + off);
                let answer = send(client, Method::GET, &path, "If-None-Match", known, None);
                match () {
                    () if !alive => assert_eq!(answer.problem(), "404 task_not_found"),
                    () if known == Some(version) => assert_eq!(answer.status, 304),
                    () => assert_eq!((answer.status, answer.json()), (200, task)),
                }
            }
            Step::Update { task: index, body, expected } => {
                let mut changed = body.clone();
                self.change(client, *index, "", Method::PUT, Some(body), *expected, |task| {
                    let fields = changed.as_object_mut().unwrap();
                    let changes = !fields.is_empty();
                    task.as_object_mut().unwrap().append(fields);
                    changes
                });
            }
            Step::Complete { task: index, set, expected } => {
                let body = set.map(|completed| json!({ "completed": completed }));
                self.change(client, *index, "/complete", Method::PATCH, body.as_ref(), *expected, |task| {
                    let before = task["completed"] == true;
                    let after = set.unwrap_or(!before);
                    task["completed"] = after.into();
                    set.is_none() || before != after
                });
            }
            Step::Delete { task: index, expected } => {
                let Some((path, _, version, alive)) = self.pick(*index) else { return };
                let expected = expected.map(|off| version + off);
                let answer = send(client, Method::DELETE, &path, "If-Match", expected, None);
                match () {
                    () if !alive => assert_eq!(answer.problem(), "404 task_not_found"),
                    () if expected.is_some_and(|expected| expected != version) => {
                        assert_eq!(answer.problem(), "412 precondition_failed");
                    }
                    () => {
                        assert_eq!(answer.status, 204);
                        let index = *index % self.tasks.len();
                        self.tasks[index].2 = false;
                    }
                }
            }
            Step::List { status, sort, order, limit } => self.list(client, status, sort, order, *limit),
        }
    }

    fn create(&mut self, client: &Client, body: &Value, key: Option<u8>) {
        let text = key.map(|key| key.to_string());
        let header = ("Idempotency-Key", text.as_deref());
        let answer = client.with_header(Method::POST, "/api/tasks", header, Some(body));
        let mut expected = json!({ "description": null, "completed": false, "due_date": null });
        expected.as_object_mut().unwrap().append(&mut body.as_object().unwrap().clone());
        match key.and_then(|key| self.keys.get(&key)) {
            Some((first, task)) if *first == expected => {
                assert_eq!((answer.status, answer.header("idempotency-replayed"), &answer.json()), (201, "true", task));
            }
            Some(_) => assert_eq!(answer.problem(), "422 idempotency_key_reused"),
            None => {
                assert_eq!((answer.status, answer.header("etag")), (201, "\"1\""));
                let task = answer.json();
                for (name, value) in expected.as_object().unwrap() {
                    assert_eq!(&task[name], value);
                }
                if let Some(key) = key {
                    self.keys.insert(key, (expected, task.clone()));
                }
                self.tasks.push((task, 1, true));
            }
        }
    }

    fn change(
        &mut self,
        client: &Client,
        index: usize,
        suffix: &str,
        method: Method,
        body: Option<&Value>,
        expected: Option<i64>,
        apply: impl FnOnce(&mut Value) -> bool,
    ) {
        let Some((path, mut task, version, alive)) = self.pick(index) else { return };
        let expected = expected.map(|off| version + off);
        let answer = send(client, method, &format!("{path}{suffix}"), "If-Match", expected, body);
        if !alive {
            return assert_eq!(answer.problem(), "404 task_not_found");
        }
        if expected.is_some_and(|expected| expected != version) {
            return assert_eq!(answer.problem(), "412 precondition_failed");
        }
        assert_eq!(answer.status, 200);
        let now = answer.json();
        let version = version + i64::from(apply(&mut task));
        task["updated_at"] = now["updated_at"].clone();
        assert_eq!((answer.header("etag"), &now), (format!("\"{version}\"").as_str(), &task));
        let index = index % self.tasks.len();
        self.tasks[index] = (task, version, true);
    }

    fn list(&self, client: &Client, status: &str, sort: &str, order: &str, limit: usize) {
        let mut expected: Vec<&Value> =
            self.tasks.iter().filter(|(_, _, alive)| *alive).map(|(task, ..)| task).collect();
        expected.retain(|task| status == "all" || (task["completed"] == true) == (status == "completed"));
        let text = |task: &Value, field: &str| task[field].as_str().map(str::to_lowercase);
        match sort {
            "title" => expected.sort_by_key(|task| text(task, "title")),
            "due_date" => expected.sort_by_key(|task| text(task, "due_date")),
            _ => {}
        }
        if order == "desc" {
            expected.reverse();
        }
        if sort == "due_date" {
            expected.sort_by_key(|task| task["due_date"].is_null());
        }
        let mut found = Vec::new();
        let mut path = Some(format!("/api/tasks?status={status}&sort={sort}&order={order}&limit={limit}"));
        while let Some(this) = path {
            let answer = client.get(&this);
            path = answer.next_page();
            found.extend(answer.json().as_array().unwrap().clone());
        }
        assert_eq!(found.iter().collect::<Vec<_>>(), expected, "{status} {sort} {order}");
    }

    /// Path, representation and version of a task, and whether it still exists.
    fn pick(&self, index: usize) -> Option<(String, Value, i64, bool)> {
        let (task, version, alive) = self.tasks.get(index % self.tasks.len().max(1))?;
        Some((format!("/api/tasks/{}", task["id"].as_str().unwrap()), task.clone(), *version, *alive))
    }
}

fn send(
    client: &Client,
    method: Method,
    path: &str,
    condition: &str,
    version: Option<i64>,
    body: Option<&Value>,
) -> Answer {
    let tag = version.map(|version| format!("\"{version}\""));
    client.with_header(method, path, (condition, tag.as_deref()), body)
}

#[test]
fn random_operations_match_a_simple_model() {
    let server = Server::start(DATABASE);
    let users = AtomicUsize::new(0);
    let config = Config { cases: 100, failure_persistence: None, ..Config::default() };
    TestRunner::new(config)
        .run(&prop::collection::vec(step(), 1..40), |steps| {
            let client = server.user(&format!("user {}", users.fetch_add(1, Ordering::Relaxed)));
            let mut model = Model::default();
            for step in steps {
                model.check(&client, &step);
            }
            Ok(())
        })
        .unwrap();
}
