use std::cell::Cell;

use api_tests::{Answer, Client, Database, Method, Server};
use proptest::{
    prelude::*,
    test_runner::{Config, TestRunner},
};
use serde_json::{Value, json};

use crate::suite::model::{Listing, Step, step};

/// One user of one server, and the tasks created so far.
struct Twin {
    client: Client,
    ids: Vec<String>,
}

impl Twin {
    fn path(&self, task: usize) -> String {
        let missing = "0193d5a0-1111-7abc-8def-0123456789ab".to_owned();
        format!("/api/tasks/{}", self.ids.get(task % self.ids.len().max(1)).unwrap_or(&missing))
    }

    /// Takes the step, and returns everything that is the same on every database.
    fn take(&mut self, step: &Step) -> Vec<Value> {
        let send = |method, path: &str, header: (&str, Option<String>), body: Option<&Value>| {
            self.client.with_header(method, path, (header.0, header.1.as_deref()), body)
        };
        // The model in the suite tracks versions. Here, any few are enough.
        let tag = |version: &Option<i64>| version.map(|off| format!("\"{}\"", 2 + off));
        let answers = match step {
            Step::Create { body, key } => {
                let answer =
                    send(Method::POST, "/api/tasks", ("Idempotency-Key", key.map(|key| key.to_string())), Some(body));
                if answer.status == 201 && answer.header("idempotency-replayed") != "true" {
                    self.ids.push(answer.json()["id"].as_str().unwrap().to_owned());
                }
                vec![answer]
            }
            Step::Read { task, known } => {
                vec![send(Method::GET, &self.path(*task), ("If-None-Match", tag(known)), None)]
            }
            Step::Update { task, body, expected } => {
                vec![send(Method::PUT, &self.path(*task), ("If-Match", tag(expected)), Some(body))]
            }
            Step::Complete { task, set, expected } => {
                let body = set.map(|completed| json!({ "completed": completed }));
                let path = format!("{}/complete", self.path(*task));
                vec![send(Method::PATCH, &path, ("If-Match", tag(expected)), body.as_ref())]
            }
            Step::Delete { task, expected } => {
                vec![send(Method::DELETE, &self.path(*task), ("If-Match", tag(expected)), None)]
            }
            Step::List(listing) => {
                let mut answers = Vec::new();
                let mut path = Some(listing.path());
                while let Some(this) = path {
                    let answer = self.client.get(&this);
                    path = answer.next_page();
                    answers.push(answer);
                }
                answers
            }
        };
        answers.iter().map(|answer| self.comparable(answer)).collect()
    }

    /// Status, headers and body, with ids replaced by the order of creation, and without times of the server.
    fn comparable(&self, answer: &Answer) -> Value {
        let own = ["date", "x-request-id", "content-length", "location", "link"];
        let headers = answer.headers.iter().filter(|(name, _)| !own.contains(&name.as_str()));
        let headers: Vec<_> = headers.map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
        let mut body = if answer.body.is_empty() { Value::Null } else { answer.json() };
        self.neutralize(&mut body);
        json!([answer.status, headers, answer.headers.contains_key("link"), body])
    }

    fn neutralize(&self, value: &mut Value) {
        match value {
            Value::Array(items) => items.iter_mut().for_each(|item| self.neutralize(item)),
            Value::Object(object) => {
                for (name, value) in object {
                    match name.as_str() {
                        "id" => *value = self.ids.iter().position(|id| Some(id.as_str()) == value.as_str()).into(),
                        "created_at" | "updated_at" => {
                            assert_eq!(value.as_str().map(|time| time.ends_with('Z')), Some(true));
                        }
                        "instance" => {}
                        _ => continue,
                    }
                    if name != "id" {
                        *value = Value::Null;
                    }
                }
            }
            _ => {}
        }
    }
}

#[test]
fn both_databases_give_the_same_answer_to_every_request_of_a_random_sequence() {
    let servers = [Database::Sqlite, Database::Postgres].map(Server::start);
    let users = Cell::new(0);
    let config = Config { cases: 60, failure_persistence: None, ..Config::default() };
    TestRunner::new(config)
        .run(&prop::collection::vec(step(), 1..60), |steps| {
            users.set(users.get() + 1);
            let twin =
                |server: &Server| Twin { client: server.user(&format!("user {}", users.get())), ids: Vec::new() };
            let mut twins = servers.each_ref().map(twin);
            for step in steps {
                let [sqlite, postgres] = twins.each_mut().map(|twin| twin.take(&step));
                prop_assert_eq!(sqlite, postgres);
            }
            Ok(())
        })
        .unwrap();
}

#[test]
fn texts_and_times_at_their_limits_are_the_same_on_both() {
    let servers = [Database::Sqlite, Database::Postgres].map(Server::start);
    let wide = "\u{390}".repeat(255);
    let bodies = [
        json!({ "title": wide, "description": "👨".repeat(1000), "due_date": "0001-01-01T00:00:00Z" }),
        json!({ "title": "\u{10ffff}".repeat(255), "due_date": "9999-12-31T23:59:59.999999Z" }),
        json!({ "title": "a\tb\u{1}\u{7f}\u{85}\u{2028}", "due_date": "1969-12-31T23:59:59.999999Z" }),
        json!({ "title": "time", "due_date": "2026-11-21T12:34:56.123456789+05:30" }),
        json!({ "title": "\0" }),
        json!({ "title": "x", "description": "\0" }),
    ];
    let user = "🎉".repeat(255);
    let mut twins = servers.each_ref().map(|server| Twin { client: server.user(&user), ids: Vec::new() });
    for body in bodies {
        let step = Step::Create { body, key: None };
        let [sqlite, postgres] = twins.each_mut().map(|twin| twin.take(&step));
        assert_eq!(sqlite, postgres);
    }
    let lists = ["created", "title", "due_date", "priority"].map(|sort| ["asc", "desc"].map(|order| (sort, order)));
    for (sort, order) in lists.into_iter().flatten() {
        for filters in
            [vec![], vec![("q", "ΐ")], vec![("q", "\u{10ffff}")], vec![("due_before", "1970-01-01T00:00:00Z")]]
        {
            let listing = Listing { status: "all", sort, order, filters, count: true, limit: 1 };
            let step = Step::List(listing);
            let [sqlite, postgres] = twins.each_mut().map(|twin| twin.take(&step));
            assert_eq!(sqlite, postgres, "{step:?}");
        }
    }
}
