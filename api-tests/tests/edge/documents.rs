use std::{collections::HashSet, process::Command};

use api_tests::{Answer, Database, Document, Method, Server, binary};
use reqwest::header::HeaderMap;
use serde_json::{Value, json};

fn derived(arguments: &[&str]) -> String {
    let output = Command::new(binary()).arg("openapi").args(arguments).env_clear().output().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_committed_document_matches_the_types() {
    let committed = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../openapi.yaml")).unwrap();
    assert!(
        committed == derived(&[]),
        "openapi.yaml is not what the types say: run `make openapi` and review the change"
    );
}

#[test]
fn the_served_document_and_the_error_name_the_configured_limit_of_bodies() {
    for (limit, words) in [("2048", "larger than 2 KiB"), ("1000", "larger than 1000 bytes")] {
        let server = Server::with(Database::Sqlite, &[("BODY_LIMIT", limit)]);
        let document: Value = server.stranger().get("/openapi.json").json();
        let declared = &document["components"]["responses"]["PayloadTooLarge"];
        assert!(declared["description"].as_str().unwrap().contains(words), "{declared}");
        let example = &declared["content"]["application/problem+json"]["example"]["detail"];
        let answer = server.user("alice").post("/api/tasks", &json!({ "title": "x".repeat(3000) }));
        assert_eq!((answer.status, &answer.json()["detail"]), (413, example));
        assert!(example.as_str().unwrap().contains(limit), "{example}");
    }
}

#[test]
fn the_readme_lists_the_operations_of_the_document() {
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md")).unwrap();
    for operation in Document::committed().operations() {
        let row = format!("| `{} {}` |", operation.method, operation.path);
        assert!(readme.contains(&row), "README.md has no row for {row}");
    }
}

#[test]
fn an_undeclared_error_fails_the_test_that_gets_it_and_is_named() {
    let problem = json!({ "type": "urn:todo-api:problem:task_forbidden", "status": 403, "code": "task_forbidden" });
    let answer = Answer { status: 403, headers: HeaderMap::new(), body: problem.to_string().into_bytes() };
    let check = || Document::committed().check(&Method::GET, "/api/tasks", &answer);
    let complaint = *std::panic::catch_unwind(check).unwrap_err().downcast::<String>().unwrap();
    assert!(["listTasks", "403", "task_forbidden"].iter().all(|name| complaint.contains(name)), "{complaint}");
}

/// A served document names its own folder as the server, because a proxy may add a prefix.
#[test]
fn the_server_serves_the_document_in_each_form_with_a_relative_server() {
    let server = Server::start(Database::Sqlite);
    let client = server.stranger();
    for (path, media_type, arguments) in [
        ("/openapi.yaml", "application/yaml", &[][..]),
        ("/openapi.json", "application/json", &["--format", "json"]),
        ("/openapi-3.0.json", "application/json", &["--format", "json", "--version", "3.0"]),
    ] {
        let answer = client.get(path);
        assert_eq!((answer.status, answer.header("content-type")), (200, media_type), "{path}");
        let served = String::from_utf8(answer.body).unwrap();
        let derived = derived(arguments);
        let differences: Vec<_> =
            served.lines().zip(derived.lines()).filter(|(served, derived)| served != derived).collect();
        assert_eq!(served.lines().count(), derived.lines().count(), "{path}");
        let [(served, derived)] = differences[..] else { panic!("{path}: {differences:?}") };
        assert_eq!(
            derived.replace(['"', ','], "").trim().trim_start_matches("- "),
            "url: http://127.0.0.1:8000",
            "{path}"
        );
        assert_eq!(served.replace(['"', ','], "").trim().trim_start_matches("- "), "url: .", "{path}");
    }
    let (yaml, json) = (client.get("/openapi.yaml"), client.get("/openapi.json").json());
    assert_eq!(serde_yaml::from_slice::<Value>(&yaml.body).unwrap(), json);
    assert_eq!((&json["openapi"], &json["servers"][0]["url"]), (&json!("3.1.0"), &json!(".")));
    assert_eq!(client.get("/openapi-3.0.json").json()["openapi"], "3.0.4");
}

#[test]
fn a_document_is_not_sent_again_to_a_client_that_has_it() {
    let server = Server::start(Database::Sqlite);
    let client = server.stranger();
    let mut tags = HashSet::new();
    for path in ["/docs", "/openapi.yaml", "/openapi.json", "/openapi-3.0.json"] {
        let whole = client.get(path);
        let tag = whole.header("etag").to_owned();
        assert_eq!((whole.status, whole.header("cache-control")), (200, "no-cache"), "{path}");
        assert!(tag.starts_with('"') && tags.insert(tag.clone()), "{path}: {tag}");
        for (known, status) in [
            (vec![tag.clone()], 304),
            (vec![format!("W/{tag}")], 304),
            (vec![format!("\"x\", W/\"y\" ,{tag}")], 304),
            (vec!["\"x\"".to_owned(), tag.clone()], 304),
            (vec!["*".to_owned()], 304),
            (vec!["\"x\"".to_owned()], 200),
            (vec![format!("W/\"{}\"", tag.replace('"', "-"))], 200),
            // A malformed list matches nothing.
            (vec![tag.replace('"', "")], 200),
            (vec![format!("w/{tag}")], 200),
            (vec![format!("*, {tag}")], 200),
            (vec![String::new()], 200),
        ] {
            for method in [Method::GET, Method::HEAD] {
                let request = client.request(method.clone(), path);
                let request = known.iter().fold(request, |request, tag| request.header("If-None-Match", tag));
                let answer = client.send(request);
                assert_eq!((answer.status, answer.header("etag")), (status, tag.as_str()), "{method} {path} {known:?}");
                assert_eq!(answer.header("cache-control"), "no-cache", "{method} {path} {known:?}");
                let body = status == 200 && method == Method::GET;
                assert_eq!(answer.body.len(), if body { whole.body.len() } else { 0 }, "{method} {path} {known:?}");
            }
        }
    }
}

#[test]
fn each_version_of_the_document_has_its_own_dialect() {
    let (new, old) = (derived(&[]), derived(&["--version", "3.0"]));
    assert!(!new.contains("nullable:") && new.contains("- 'null'"));
    assert!(
        old.contains("nullable: true")
            && !old.contains("'null'")
            && !old.contains("examples:")
            && !old.contains("identifier:")
    );
}

/// Whether a body has an example, in itself, its schema or (for a list) the schema of its items.
fn has_example(document: &Document, content: &Value) -> bool {
    let schema = document.resolve(&content["schema"]);
    let item = schema.get("items").map_or(schema, |items| document.resolve(items));
    content.get("example").is_some() || item["examples"].as_array().is_some_and(|examples| !examples.is_empty())
}

#[test]
fn each_operation_has_texts_for_readers_and_names_for_generators() {
    let document = Document::committed();
    let mut ids = HashSet::new();
    for operation in document.operations() {
        let value = operation.value;
        for field in ["operationId", "summary", "description"] {
            assert!(value[field].as_str().is_some_and(|text| !text.is_empty()), "{} has no {field}", operation.path);
        }
        assert!(ids.insert(value["operationId"].as_str().unwrap()));
        assert_eq!(value["tags"].as_array().map(Vec::len), Some(1));
        for parameter in value["parameters"].as_array().into_iter().flatten() {
            assert!(parameter["description"].is_string(), "{parameter}");
        }
        for (status, response) in value["responses"].as_object().unwrap() {
            let response = document.resolve(response);
            assert!(response["description"].as_str().is_some_and(|text| !text.is_empty()), "{status}");
            for content in response["content"].as_object().into_iter().flat_map(|content| content.values()) {
                assert!(has_example(document, content), "{} {status} has no example", operation.path);
            }
        }
        for content in value["requestBody"]["content"].as_object().into_iter().flat_map(|content| content.values()) {
            assert!(has_example(document, content), "the request of {} has no example", operation.path);
        }
        assert!(value["responses"].get("401").is_some());
    }
    assert_eq!(ids.len(), document.operations().count(), "operationIds are unique: {ids:?}");
}

#[test]
fn each_example_in_the_document_matches_its_schema() {
    let document = Document::committed();
    let schemas = document.value["components"]["schemas"].as_object().unwrap();
    let mut examples = 0;
    for (name, schema) in schemas {
        let schema_with_components = json!({ "allOf": [schema], "components": document.value["components"] });
        let validator =
            jsonschema::draft202012::options().should_validate_formats(true).build(&schema_with_components).unwrap();
        for example in schema["examples"].as_array().into_iter().flatten() {
            assert!(validator.is_valid(example), "{name}: {example}");
            examples += 1;
        }
    }
    assert!(examples >= 5);
    for response in document.value["components"]["responses"].as_object().unwrap().values() {
        let example = &response["content"]["application/problem+json"]["example"];
        assert!(example["code"].is_string(), "{response}");
    }
}

#[test]
fn swagger_ui_loads_only_from_this_server_with_a_strict_policy() {
    let server = Server::start(Database::Sqlite);
    let client = server.stranger();
    let answer = client.get("/docs");
    assert_eq!((answer.status, answer.header("content-type")), (200, "text/html; charset=utf-8"));
    let policy = answer.header("content-security-policy").to_owned();
    assert!(policy.starts_with("default-src 'none'; script-src 'sha256-"), "{policy}");
    assert!(!policy.contains("unsafe") && !policy.contains("http"), "{policy}");
    let page = String::from_utf8(answer.body.clone()).unwrap();
    assert!(page.starts_with("<!doctype html>"));
    assert!(page.contains("url: 'openapi.json'") && page.contains("persistAuthorization: true"));
    assert!(!page.contains("<script src") && !page.contains("<link rel=\"stylesheet\""));
    // Relative, so that it works below a proxy's prefix.
    let root = client.get("/");
    assert_eq!((root.status, root.header("location")), (307, "docs"));
}

#[test]
fn the_guide_to_errors_lists_the_codes_of_the_document() {
    let guide = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/errors.md")).unwrap();
    let code = |line: &str| Some(line.strip_prefix("| ")?.split(" | ").nth(1)?.split('`').nth(1)?.to_owned());
    let table = guide.split("| status | `code` |").nth(1).unwrap();
    let mut listed: Vec<_> = table.lines().skip(2).map_while(code).collect();
    let document = Document::committed();
    let codes = document.value["components"]["schemas"]["ProblemCode"]["enum"].as_array().unwrap();
    let mut declared: Vec<_> = codes.iter().map(|code| code.as_str().unwrap().to_owned()).collect();
    listed.sort();
    declared.sort();
    assert_eq!(listed, declared);
}
