//! What common tools need of the document: generators, mocks, importers and assistants read it in ways of their own.

use std::process::Command;

use api_tests::{Document, binary};
use serde_json::Value;

/// A header, parameter or answer that repeats a value of one request in another would do harm.
#[test]
fn what_no_client_may_repeat_has_no_example() {
    let document = Document::committed();
    let has_example = |value: &Value| {
        ["example", "examples"].iter().any(|key| value.get(key).is_some() || value["schema"].get(key).is_some())
    };
    for operation in document.operations() {
        for parameter in operation.value["parameters"].as_array().into_iter().flatten() {
            let named = ["Idempotency-Key", "If-Match", "If-None-Match", "cursor"]
                .iter()
                .any(|name| parameter["name"] == *name);
            assert!(!named || !has_example(parameter), "{} {parameter}", operation.path);
        }
        for response in operation.value["responses"].as_object().unwrap().values() {
            let headers = document.resolve(response)["headers"].as_object().unwrap();
            for (name, header) in
                headers.iter().filter(|(name, _)| ["Link", "Idempotency-Replayed"].contains(&name.as_str()))
            {
                assert!(!has_example(header), "{} {name}", operation.path);
            }
        }
    }
}

#[test]
fn each_body_has_an_example_beside_its_media_type_that_keeps_its_schema() {
    let document = Document::committed();
    let components = &document.value["components"];
    for operation in document.operations() {
        let responses = operation.value["responses"].as_object().unwrap().values();
        let bodies = responses.map(|response| document.resolve(response)).chain(operation.value.get("requestBody"));
        for content in bodies.filter_map(|body| body["content"].as_object()).flatten() {
            let (media_type, content) = content;
            let schema = serde_json::json!({ "allOf": [content["schema"]], "components": components });
            assert!(jsonschema::is_valid(&schema, &content["example"]), "{} {media_type} {content}", operation.path);
        }
    }
    let created = document.value.pointer("/paths/~1api~1tasks/post/responses/201/headers/ETag/example");
    assert_eq!(created.unwrap(), "\"1\"", "a new task has version 1");
    let id = &document.value.pointer("/paths/~1api~1tasks~1{id}/get/parameters/0").unwrap()["schema"]["examples"][0];
    assert!(id.is_string());
}

#[test]
fn times_in_the_yaml_are_strings_for_every_parser() {
    let yaml = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../openapi.yaml")).unwrap();
    let value = |line: &str| line.rsplit(' ').next().unwrap().to_owned();
    let times: Vec<_> =
        yaml.lines().map(value).filter(|value| value.contains('T') && value.ends_with(['Z', '\''])).collect();
    let times: Vec<_> = times.iter().filter(|time| time.trim_matches('\'').starts_with("20")).collect();
    assert!(!times.is_empty());
    assert!(times.iter().all(|time| time.starts_with('\'') && time.ends_with('\'')), "{times:?}");
}

#[test]
fn no_keyword_stands_beside_a_reference_of_a_parameter_and_nothing_hides_its_description() {
    let document = Document::committed();
    let mut defaults = Vec::new();
    for operation in document.operations() {
        let parameters = operation.value["parameters"].as_array().unwrap();
        for parameter in parameters {
            assert!(parameter["description"].is_string(), "{parameter}");
            let schema = parameter["schema"].as_object().unwrap();
            if !schema.contains_key("$ref") {
                continue;
            }
            assert_eq!(schema.len(), 1, "{parameter}");
            let component = document.resolve(&parameter["schema"]);
            assert!(component.get("description").is_none(), "{parameter}");
            defaults.extend(component.get("default").and_then(Value::as_str));
        }
        let in_path: Vec<_> = parameters.iter().map(|parameter| parameter["in"] == "path").collect();
        assert!(in_path.is_sorted_by(|one, other| one >= other), "{}: path parameters come first", operation.path);
    }
    assert_eq!(defaults, ["all", "created"]);
}

#[test]
fn schemas_keep_to_what_every_language_has() {
    let document = Document::committed();
    let schemas = &document.value["components"]["schemas"];
    for request in ["TaskCreate", "TaskUpdate"] {
        assert_eq!(schemas[request]["properties"]["title"]["minLength"], 1, "{request}");
    }
    for (name, property) in schemas["TaskResponse"]["properties"].as_object().unwrap() {
        let limits = ["minLength", "maxLength", "pattern"].iter().find(|limit| property.get(limit).is_some());
        assert_eq!(limits, None, "an answer promises no limit of {name}, which could never be raised");
    }
    let limit = document.operations().find(|operation| operation.value["operationId"] == "listTasks").unwrap().value;
    let limit = limit["parameters"].as_array().unwrap().iter().find(|parameter| parameter["name"] == "limit").unwrap();
    assert_eq!(limit["schema"]["format"], "int32");
    assert_eq!(document.value["security"], serde_json::json!([{ "bearer": [] }]));
}

#[test]
fn each_description_of_an_operation_or_parameter_stands_alone_and_begins_with_its_verb() {
    for operation in Document::committed().operations() {
        let parameters = operation.value["parameters"].as_array().unwrap().iter();
        for described in parameters.chain([operation.value]) {
            let text = described["description"].as_str().unwrap();
            let verb = text.split([' ', ',']).next().unwrap();
            assert!(verb.ends_with('s') && verb.starts_with(char::is_uppercase), "{}: {text}", operation.path);
            assert!(text.len() > 20, "{}: {text}", operation.path);
        }
    }
}

#[test]
fn the_document_names_the_server_that_it_is_made_for() {
    let server_of = |arguments: &[&str]| {
        let output = Command::new(binary()).arg("openapi").args(arguments).env_clear().output().unwrap();
        assert!(output.status.success(), "{arguments:?}");
        serde_yaml::from_slice::<Value>(&output.stdout).unwrap()["servers"][0]["url"].as_str().unwrap().to_owned()
    };
    assert_eq!(server_of(&[]), "http://127.0.0.1:8000");
    for (given, url) in [
        ("https://todo.example.com", "https://todo.example.com"),
        ("https://example.com/todo/", "https://example.com/todo"),
        ("http://[::1]:8080", "http://[::1]:8080"),
    ] {
        assert_eq!(server_of(&["--server", given]), url);
        assert_eq!(server_of(&["--server", given, "--version", "3.0"]), url);
    }
    for wrong in ["/", "todo.example.com", "ftp://example.com", "https://example.com?a=b", "https://example.com/#x", ""]
    {
        let output = Command::new(binary()).args(["openapi", "--server", wrong]).env_clear().output().unwrap();
        let errors = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(2) && errors.contains("--server"), "{wrong}: {errors}");
    }
}
