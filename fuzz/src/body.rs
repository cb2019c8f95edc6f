//! The body of each operation that has one.

use std::{collections::HashMap, sync::LazyLock};

use api_tests::{Answer, Document};
use jsonschema::Validator;
use poem::http::Method;
use serde_json::{Value, json};

use crate::app::{ALL, APP};

const USER: &str = "body";
const LIMIT: usize = 65_536;

static TASK: LazyLock<String> = LazyLock::new(|| APP.create(USER, &json!({ "title": "x" })));

/// The published schemas of the bodies.
static SCHEMAS: LazyLock<HashMap<&str, Validator>> = LazyLock::new(|| {
    let components = &Document::unrecorded().value["components"];
    let schema = |name: &'static str| {
        let schema = json!({ "$ref": format!("#/components/schemas/{name}"), "components": components });
        (name, jsonschema::draft202012::options().should_validate_formats(true).build(&schema).unwrap())
    };
    HashMap::from(["TaskCreate", "TaskUpdate", "TaskComplete"].map(schema))
});

/// A body is accepted as its schema says, and the task is what was sent.
pub fn check(input: &[u8]) {
    let created = send(&Method::POST, ALL, input);
    let sent = judge(input, &created, "TaskCreate");
    if let (201, Some(sent)) = (created.status, sent) {
        let (task, path) = (created.json(), created.header("location"));
        compare(&sent, &task);
        assert_eq!(send(&Method::GET, path, b"").json(), task);
        // What a task says of itself is valid, and says the same again.
        let mut own = task.clone();
        own.as_object_mut()
            .unwrap()
            .retain(|name, _| !["id", "user_id", "created_at", "updated_at"].contains(&&**name));
        let mut again = send(&Method::PUT, path, own.to_string().as_bytes()).json();
        again["updated_at"] = task["updated_at"].clone();
        assert_eq!(again, task);
        assert_eq!(send(&Method::DELETE, path, b"").status, 204);
    }
    let updated = send(&Method::PUT, &TASK, input);
    judge(input, &updated, "TaskUpdate");
    let completed = send(&Method::PATCH, &format!("{}/complete", *TASK), input);
    if !input.is_empty() {
        judge(input, &completed, "TaskComplete");
    }
}

fn send(method: &Method, path: &str, body: &[u8]) -> Answer {
    APP.json(USER, method, path, body)
}

/// Compares the answer with what `serde_json` and the schema say of the body. Returns the value that was sent.
fn judge(body: &[u8], answer: &Answer, schema: &str) -> Option<Value> {
    let text = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    let value = serde_json::from_slice::<Value>(text).ok().filter(|value| members(value) == colons(text));
    let Some(value) = value.filter(|_| body.len() <= LIMIT) else {
        let expected = if body.len() > LIMIT { 413 } else { 400 };
        assert_eq!(answer.status, expected, "{answer:?}");
        return None;
    };
    // `null` counts as no body there.
    let valid = SCHEMAS[schema].is_valid(&value) || (schema == "TaskComplete" && value.is_null());
    if answer.status == 422 {
        // A time may have a valid form, and a year that is out of range.
        assert!(!valid || value.get("due_date").is_some_and(Value::is_string), "valid: {value} {answer:?}");
        for error in answer.json()["errors"].as_array().unwrap() {
            let pointer = error["pointer"].as_str().unwrap();
            let parent = pointer.rsplit_once('/').map_or("", |(parent, _)| parent);
            assert!(value.pointer(parent).is_some(), "{pointer} is not in {value}");
        }
    } else {
        // The server takes a leap second in any minute, and the format only in the last one of a day.
        let leap = value.get("due_date").and_then(Value::as_str).is_some_and(|date| date.contains(":60"));
        assert!((valid || leap) && answer.status < 300, "not valid: {value} {answer:?}");
    }
    Some(value)
}

/// The number of members of all objects.
fn members(value: &Value) -> usize {
    match value {
        Value::Array(items) => items.iter().map(members).sum(),
        Value::Object(object) => object.len() + object.values().map(members).sum::<usize>(),
        _ => 0,
    }
}

/// The number of members in the text, with those of names that an object has twice.
fn colons(json: &[u8]) -> usize {
    let (mut count, mut in_string, mut bytes) = (0, false, json.iter());
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' if in_string => drop(bytes.next()),
            b'"' => in_string = !in_string,
            b':' if !in_string => count += 1,
            _ => {}
        }
    }
    count
}

/// Fails unless the task has the values that were sent, or the defaults.
fn compare(sent: &Value, task: &Value) {
    let trimmed = |text: &Value| Value::from(text.as_str().unwrap().trim_matches(is_white_space));
    let or = |name: &str, default| sent.get(name).cloned().unwrap_or(default);
    assert_eq!(task["title"], trimmed(&sent["title"]));
    assert_eq!(task["description"], or("description", Value::Null));
    assert_eq!(task["completed"], or("completed", false.into()));
    assert_eq!(task["priority"], or("priority", "none".into()));
    let mut tags = Vec::new();
    for tag in or("tags", json!([])).as_array().unwrap().iter().map(trimmed) {
        if !tags.contains(&tag) {
            tags.push(tag);
        }
    }
    assert_eq!(task["tags"], Value::from(tags));
    assert_eq!(task["due_date"].is_null(), sent.get("due_date").is_none_or(Value::is_null));
}

/// `\s` of ECMA-262.
fn is_white_space(character: char) -> bool {
    character == '\u{feff}' || (character.is_whitespace() && character != '\u{85}')
}
