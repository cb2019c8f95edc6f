//! Rules for every field of a task. The fields come from the document, so a missing one fails here by its name.

use api_tests::{Document, Server};
use serde_json::{Map, Value, json};

use crate::DATABASE;

fn schema(name: &str) -> &'static Value {
    &Document::committed().value["components"]["schemas"][name]
}

fn properties(name: &str) -> Vec<&'static str> {
    let properties = schema(name)["properties"].as_object().unwrap();
    properties.keys().map(String::as_str).collect()
}

/// The example of `TaskCreate`.
fn example() -> &'static Map<String, Value> {
    schema("TaskCreate")["example"].as_object().or_else(|| schema("TaskCreate")["examples"][0].as_object()).unwrap()
}

#[test]
fn a_field_of_a_create_is_in_its_example_and_in_updates_and_answers() {
    for field in properties("TaskCreate") {
        assert!(example().contains_key(field), "the example of TaskCreate lacks {field}");
        for schema in ["TaskUpdate", "TaskResponse"] {
            assert!(properties(schema).contains(&field), "{schema} lacks {field}");
        }
    }
    assert_eq!(properties("TaskUpdate"), properties("TaskCreate"));
}

/// The example, with every boolean negated: a default is no proof that a field is kept.
fn bodies() -> [Map<String, Value>; 2] {
    let mut other = example().clone();
    for value in other.values_mut() {
        if let Some(set) = value.as_bool() {
            *value = Value::from(!set);
        }
    }
    [example().clone(), other]
}

#[test]
fn every_field_of_a_create_is_stored_and_replayed_for_its_key() {
    let server = Server::start(DATABASE);
    let alice = server.user("alice");
    let default = alice.create("default");
    for (field, value) in example() {
        let kept = bodies().iter().any(|body| body[field] != default[field]);
        assert!(kept, "the example of TaskCreate has the default {value} of {field}: that proves nothing");
    }
    for (key, body) in bodies().into_iter().enumerate() {
        let sent = Value::from(body.clone());
        let created = alice.create_with_key(&key.to_string(), &sent);
        assert_eq!(created.status, 201);
        let read = alice.get(created.header("location"));
        let again = alice.create_with_key(&key.to_string(), &sent);
        for (field, value) in body {
            for (answer, whence) in [(&created, "created"), (&read, "read"), (&again, "answered again")] {
                assert_eq!(answer.json()[&field], value, "{field}, as {whence}");
            }
        }
        assert_eq!((read.json(), again.json()), (created.json(), created.json()));
    }
}

#[test]
fn every_field_of_an_update_changes_by_itself_and_is_cleared_where_it_may_be_null() {
    let server = Server::start(DATABASE);
    let alice = server.user("alice");
    let update = |task: &Value, field: &str, value: &Value| {
        let updated = alice.put(&format!("/api/tasks/{}", task["id"].as_str().unwrap()), &json!({ field: value }));
        assert_eq!(updated.status, 200, "{field} {value}");
        let after = updated.json();
        let changed = |name: &&str| task[*name] != after[*name] && *name != "updated_at";
        let expected = if task[field] == *value { vec![] } else { vec![field] };
        assert_eq!(properties("TaskResponse").into_iter().filter(changed).collect::<Vec<_>>(), expected);
        assert_eq!(after[field], *value, "{field}");
        after
    };
    for (field, value) in bodies().iter().flatten() {
        let after = update(&alice.create("before"), field, value);
        let property = &schema("TaskUpdate")["properties"][field];
        if property["type"].as_array().is_some_and(|types| types.contains(&json!("null"))) {
            update(&after, field, &Value::Null);
        }
    }
}
