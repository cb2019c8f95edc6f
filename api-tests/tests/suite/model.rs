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
    List(Listing),
}

/// The parameters of a list.
#[derive(Debug, Clone)]
pub(crate) struct Listing {
    pub(crate) status: &'static str,
    pub(crate) sort: &'static str,
    pub(crate) order: &'static str,
    pub(crate) filters: Vec<(&'static str, &'static str)>,
    pub(crate) count: bool,
    pub(crate) limit: usize,
}

impl Listing {
    /// The address of its first page.
    pub(crate) fn path(&self) -> String {
        let Self { status, sort, order, filters, count, limit } = self;
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.extend_pairs([("status", status), ("sort", sort), ("order", order)]).extend_pairs(filters);
        query.append_pair("limit", &limit.to_string()).append_pair("count", &count.to_string());
        format!("/api/tasks?{}", query.finish())
    }

    fn filter(&self, name: &str) -> Option<&str> {
        self.filters.iter().find(|(filter, _)| *filter == name).map(|(_, value)| *value)
    }

    /// Whether the task belongs to the list.
    fn has(&self, task: &Value) -> bool {
        let due = |holds: fn(&str, &str) -> bool, bound| task["due_date"].as_str().is_some_and(|due| holds(due, bound));
        let contains = |field: &str, q| task[field].as_str().is_some_and(|text| folded(text).contains(&folded(q)));
        (self.status == "all" || (task["completed"] == true) == (self.status == "completed"))
            && self.filter("q").is_none_or(|q| contains("title", q) || contains("description", q))
            && self.filter("priority").is_none_or(|priority| task["priority"] == priority)
            && self.filter("tag").is_none_or(|tag| task["tags"].as_array().unwrap().contains(&tag.into()))
            && self.filter("due_after").is_none_or(|first| due(|due, first| due >= first, first))
            && self.filter("due_before").is_none_or(|end| due(|due, end| due < end, end))
    }
}

/// Case and composition of the texts of this model.
fn folded(text: &str) -> String {
    text.replace("e\u{301}", "é").to_lowercase()
}

fn listing() -> impl Strategy<Value = Listing> {
    let one = prop::sample::select::<&'static str>;
    let filters: Vec<(&str, &[&str])> = vec![
        ("q", &["a", "B", "É", "e\u{301}", "ω", "日"]),
        ("priority", &PRIORITIES),
        ("tag", &["x", "y"]),
        ("due_after", &["2026-12-02T00:00:00Z"]),
        ("due_before", &["2026-12-03T00:00:00Z"]),
    ];
    let filter = |(name, values): (&'static str, &[&'static str])| {
        prop::option::weighted(0.3, one(values.to_vec()).prop_map(move |value| (name, value)))
    };
    (
        one(vec!["all", "pending", "completed"]),
        one(vec!["created", "title", "due_date", "priority"]),
        one(vec!["asc", "desc"]),
        filters.into_iter().map(filter).collect::<Vec<_>>(),
        any::<bool>(),
        1..5_usize,
    )
        .prop_map(|(status, sort, order, filters, count, limit)| {
            let filters = filters.into_iter().flatten().collect();
            Listing { status, sort, order, filters, count, limit }
        })
}

fn title() -> impl Strategy<Value = Value> {
    prop::sample::select(vec!["a", "A", "b", "B b", "é", "É", "z", "Ω", "日"]).prop_map(Value::from)
}

fn description() -> impl Strategy<Value = Value> {
    let texts = prop_oneof!["[ -~]{0,20}", "[一-龥🎀-🏿]{0,20}"];
    prop_oneof![Just(Value::Null), Just(json!("")), texts.prop_map(Value::from)]
}

const PRIORITIES: [&str; 4] = ["none", "low", "medium", "high"];

fn priority() -> impl Strategy<Value = Value> {
    prop::sample::select(PRIORITIES.to_vec()).prop_map(Value::from)
}

fn tags() -> impl Strategy<Value = Value> {
    prop::sample::select(vec![json!([]), json!(["x"]), json!(["y", "x"]), json!(["X", "\"", "é"])])
}

fn due_date() -> impl Strategy<Value = Value> {
    prop_oneof![Just(Value::Null), (0..4_u32).prop_map(|day| json!(format!("2026-12-{:02}T00:00:00Z", day + 1)))]
}

fn body(title_required: bool) -> impl Strategy<Value = Value> {
    let maybe = |strategy: BoxedStrategy<Value>| prop::option::of(strategy);
    let title = if title_required { title().prop_map(Some).boxed() } else { maybe(title().boxed()).boxed() };
    let completed = any::<bool>().prop_map(Value::from).boxed();
    let fields = (
        title,
        maybe(description().boxed()),
        maybe(completed),
        maybe(priority().boxed()),
        maybe(tags().boxed()),
        maybe(due_date().boxed()),
    );
    fields.prop_map(|(title, description, completed, priority, tags, due_date)| {
        let named = [
            ("title", title),
            ("description", description),
            ("completed", completed),
            ("priority", priority),
            ("tags", tags),
            ("due_date", due_date),
        ];
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
    prop_oneof![
        3 => (body(true), prop::option::of(0..4_u8)).prop_map(|(body, key)| Step::Create { body, key }),
        1 => (task(), version()).prop_map(|(task, known)| Step::Read { task, known }),
        3 => (task(), body(false), version()).prop_map(|(task, body, expected)| Step::Update { task, body, expected }),
        2 => (task(), any::<Option<bool>>(), version()).prop_map(|(task, set, expected)| Step::Complete { task, set, expected }),
        1 => (task(), version()).prop_map(|(task, expected)| Step::Delete { task, expected }),
        2 => listing().prop_map(Step::List),
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
            Step::List(listing) => self.list(client, listing),
        }
    }

    fn create(&mut self, client: &Client, body: &Value, key: Option<u8>) {
        let text = key.map(|key| key.to_string());
        let header = ("Idempotency-Key", text.as_deref());
        let answer = client.with_header(Method::POST, "/api/tasks", header, Some(body));
        let mut expected =
            json!({ "description": null, "completed": false, "priority": "none", "tags": [], "due_date": null });
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

    fn list(&self, client: &Client, listing: &Listing) {
        let mut expected: Vec<&Value> =
            self.tasks.iter().filter(|(_, _, alive)| *alive).map(|(task, ..)| task).collect();
        expected.retain(|task| listing.has(task));
        let text = |task: &Value, field: &str| task[field].as_str().map(str::to_lowercase);
        match listing.sort {
            "title" => expected.sort_by_key(|task| text(task, "title")),
            "due_date" => expected.sort_by_key(|task| text(task, "due_date")),
            "priority" => expected.sort_by_key(|task| PRIORITIES.iter().position(|one| task["priority"] == *one)),
            _ => {}
        }
        if listing.order == "desc" {
            expected.reverse();
        }
        if listing.sort == "due_date" {
            expected.sort_by_key(|task| task["due_date"].is_null());
        }
        let total = if listing.count { expected.len().to_string() } else { String::new() };
        let mut found = Vec::new();
        let mut path = Some(listing.path());
        while let Some(this) = path {
            let answer = client.get(&this);
            path = answer.next_page();
            assert_eq!(answer.header("x-total-count"), total, "{this}");
            found.extend(answer.json().as_array().unwrap().clone());
        }
        assert_eq!(found.iter().collect::<Vec<_>>(), expected, "{listing:?}");
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
