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

#[test]
fn every_field_of_a_create_is_stored_and_replayed_for_its_key() {
    let server = Server::start(DATABASE);
    let alice = server.user("alice");
    let body = Value::from(example().clone());
    let created = alice.create_with_key("key", &body);
    assert_eq!(created.status, 201);
    let read = alice.get(created.header("location"));
    let again = alice.create_with_key("key", &body);
    for (field, value) in example() {
        for (answer, whence) in [(&created, "created"), (&read, "read"), (&again, "answered again")] {
            assert_eq!(answer.json()[field], *value, "{field}, as {whence}");
        }
    }
    assert_eq!((read.json(), again.json()), (created.json(), created.json()));
}

#[test]
fn every_field_of_an_update_changes_by_itself() {
    let server = Server::start(DATABASE);
    let alice = server.user("alice");
    for (field, value) in example() {
        let before = alice.create("before");
        let updated = alice.put(&format!("/api/tasks/{}", before["id"].as_str().unwrap()), &json!({ field: value }));
        assert_eq!(updated.status, 200, "{field}");
        let after = updated.json();
        let changed = |name: &&str| before[*name] != after[*name] && *name != "updated_at";
        let expected = if before[field] == *value { vec![] } else { vec![field.as_str()] };
        assert_eq!(properties("TaskResponse").into_iter().filter(|name| changed(name)).collect::<Vec<_>>(), expected);
        assert_eq!(after[field], *value, "{field}");
    }
}
