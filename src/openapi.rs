//! The OpenAPI document, as a pure function of the annotated types: it needs no database and no configuration.

use poem::{
    endpoint::BoxEndpoint,
    http::{Method, StatusCode},
};
use poem_openapi::{
    ContactObject, LicenseObject, OpenApi, OpenApiService, ServerObject,
    registry::{MetaApi, Registry},
};
use serde_json::{Map, Value, json};

use crate::{fail, problem, tasks::TasksApi};

/// Version of the OpenAPI specification.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Version {
    /// OpenAPI 3.1, with JSON Schema 2020-12.
    #[value(name = "3.1")]
    V3_1,
    /// OpenAPI 3.0, for tools that stop there.
    #[value(name = "3.0")]
    V3_0,
}

const DESCRIPTION: &str = "\
A multi-user task API: each user sees and changes only their own tasks.

Send the JWT of the auth server as `Authorization: Bearer <token>`; its `sub` is the user. Every error is a problem document \
(RFC 9457) whose `code` tells programs what went wrong. Fields and query parameters that are not declared here are \
refused, not ignored. Every answer has an `X-Request-Id`: quote it in bug reports.";

/// Headers of every answer, with their description and an example.
const COMMON_HEADERS: [(&str, &str, &str); 4] = [
    (
        "Cache-Control",
        "Who may keep the answer: nobody but the caller, and not without asking again.",
        "private, no-store",
    ),
    ("Vary", "Tells caches that the answer depends on the origin of the page that asks.", "Origin"),
    ("X-Content-Type-Options", "Tells browsers to trust the declared media type.", "nosniff"),
    ("X-Request-Id", "The id of the request: the caller's own, or a new one.", "019aa5d0-6b1e-7c3a-9a55-3d1f0c7b2e88"),
];

/// Headers that poem-openapi puts in upper case as RFCs write them, each with an example.
const HEADERS: [(&str, &str); 7] = [
    ("Cache-Control", "private, no-cache"),
    ("ETag", r#""3""#),
    ("Idempotency-Replayed", "true"),
    ("Link", r#"</api/tasks?status=all&sort=created&order=desc&limit=100&cursor=AWFjZAGapdBcP31Cjosv>; rel="next""#),
    ("Location", "/api/tasks/019aa5d0-5c3f-7d42-8e8b-2f6f0d9a71c4"),
    ("Retry-After", "1"),
    ("WWW-Authenticate", r#"Bearer error="invalid_token", error_description="the token has expired""#),
];

/// What can be done with a task once its id is known, as links of each answer that is a task.
const LINKS: [(&str, &str, &str); 4] = [
    ("Read", "getTask", "Reads the task."),
    ("Update", "updateTask", "Changes fields of the task."),
    ("Complete", "completeTask", "Toggles or sets the state of the task."),
    ("Delete", "deleteTask", "Deletes the task."),
];

/// The document.
#[must_use]
pub fn document(version: Version) -> Value {
    // poem-openapi writes its own document as JSON, so this cannot fail.
    let mut document = serde_json::from_str(&service().spec()).unwrap_or_default();
    complete(&mut document);
    tidy(&mut document);
    if version == Version::V3_1 {
        modernize(&mut document);
        let license = json!({ "identifier": LICENSE, "url": null });
        merge(&mut document, json!({ "openapi": "3.1.0", "info": { "license": license } }));
    }
    document
}

/// The document as this server serves it. The API is where the document was fetched from: a proxy may have put both below a
/// prefix, which it strips.
#[must_use]
pub fn served(version: Version) -> Value {
    let mut document = document(version);
    if let Some(url) = document.pointer_mut("/servers/0/url") {
        // Not `./`: tools that only put a path behind it would get two slashes.
        *url = ".".into();
    }
    document
}

/// A document as JSON.
#[must_use]
pub fn to_json(document: &Value) -> String {
    serde_json::to_string_pretty(document).unwrap_or_default() + "\n"
}

/// A document as YAML.
#[must_use]
pub fn to_yaml(document: &Value) -> String {
    serde_yaml::to_string(document).unwrap_or_default()
}

/// The page of Swagger UI as poem-openapi ships it, and the document that it holds.
#[must_use]
pub fn swagger_ui() -> (String, String) {
    let service = service();
    (service.swagger_ui_html(), service.spec())
}

const LICENSE: &str = "MIT OR Apache-2.0";

fn service() -> OpenApiService<Described, ()> {
    OpenApiService::new(Described, "todo-api", env!("CARGO_PKG_VERSION"))
        .description(DESCRIPTION)
        .contact(ContactObject::new().name("The maintainers of todo-api"))
        .license(LicenseObject::new(LICENSE).url("https://spdx.org/licenses/"))
        .server(ServerObject::new("/").description("The server of this document"))
}

/// [`TasksApi`] without what it runs on.
struct Described;

impl OpenApi for Described {
    fn meta() -> Vec<MetaApi> {
        TasksApi::meta()
    }

    fn register(registry: &mut Registry) {
        TasksApi::register(registry);
    }

    fn add_routes(
        self,
        _: &mut std::collections::HashMap<String, std::collections::HashMap<Method, BoxEndpoint<'static>>>,
    ) {
    }
}

/// Adds what the server does and poem-openapi has no word for.
fn complete(document: &mut Value) {
    let mut schemas = Map::new();
    let mut responses = Map::new();
    for operation in operations(document) {
        if let Some(body) = schema_name(operation, "/requestBody/content/application~1json/schema/$ref") {
            schemas.insert(body, json!({ "additionalProperties": false }));
        }
        for (status, response) in operation.get_mut("responses").into_iter().flat_map(members) {
            describe_headers(response);
            let content = schema_name(response, "/content/application~1json/schema/$ref");
            if content.as_deref() == Some("TaskResponse") {
                let links: Map<_, _> = LINKS
                    .iter()
                    .map(|(name, ..)| ((*name).to_owned(), json!({ "$ref": format!("#/components/links/{name}") })))
                    .collect();
                merge(response, json!({ "links": links }));
            }
            let Some(problem) = response.pointer_mut(&format!("/content/{}", escape(problem::MEDIA_TYPE))) else {
                continue;
            };
            merge(problem, json!({ "example": fail::example(status) }));
            // Errors are the same in every operation: each stands once, and operations refer to it.
            let name = reason(status);
            let reference = json!({ "$ref": format!("#/components/responses/{name}") });
            responses.insert(name, std::mem::replace(response, reference));
        }
    }
    // A null is still a field: a task leaves none out.
    let fields = document.pointer("/components/schemas/TaskResponse/properties").and_then(Value::as_object);
    let fields: Vec<_> = fields.into_iter().flat_map(Map::keys).collect();
    schemas.insert("TaskResponse".to_owned(), json!({ "required": fields }));
    let headers: Map<_, _> = COMMON_HEADERS
        .iter()
        .map(|&(name, description, example)| {
            let schema = json!({ "type": "string" });
            let header = json!({ "description": description, "required": true, "schema": schema, "example": example });
            (name.to_owned(), header)
        })
        .collect();
    let links: Map<_, _> = LINKS
        .iter()
        .map(|&(name, operation, description)| {
            let parameters = json!({ "id": "$response.body#/id" });
            let link = json!({ "operationId": operation, "parameters": parameters, "description": description });
            (name.to_owned(), link)
        })
        .collect();
    let components = json!({ "schemas": schemas, "responses": responses, "headers": headers, "links": links });
    merge(document, json!({ "components": components }));
}

/// Names the headers of a response as RFCs write them, and adds those of every answer.
fn describe_headers(response: &mut Value) {
    let own = response.get("headers").and_then(Value::as_object).cloned().unwrap_or_default();
    let own = own.into_iter().map(|(name, mut header)| {
        let Some((name, example)) = HEADERS.iter().find(|(known, _)| known.eq_ignore_ascii_case(&name)) else {
            return (name, header);
        };
        let text = header.pointer("/schema/type").is_some_and(|kind| kind == "string");
        let example = if text { Value::from(*example) } else { example.parse().unwrap_or_default() };
        merge(&mut header, json!({ "example": example }));
        ((*name).to_owned(), header)
    });
    let common = COMMON_HEADERS
        .iter()
        .map(|(name, ..)| ((*name).to_owned(), json!({ "$ref": format!("#/components/headers/{name}") })));
    let headers: Map<_, _> = common.chain(own).collect();
    merge(response, json!({ "headers": null }));
    merge(response, json!({ "headers": headers }));
}

/// Drops what poem-openapi says twice or for nothing.
fn tidy(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(tidy),
        Value::Object(object) => {
            object.retain(|key, value| {
                !matches!((key.as_str(), &value), ("deprecated", Value::Bool(false)) | ("explode", Value::Bool(true)))
            });
            // A reference with siblings comes as both `allOf` and siblings.
            if let Some(Value::Array(schemas)) = object.get_mut("allOf") {
                schemas.retain(|schema| schema.get("$ref").is_some());
            }
            for bound in ["minimum", "maximum"] {
                if let Some(whole) = object.get(bound).and_then(Value::as_f64).filter(|bound| bound.fract() == 0.0) {
                    #[allow(clippy::cast_possible_truncation, reason = "it is whole and small")]
                    object.insert(bound.to_owned(), (whole as i64).into());
                }
            }
            object.values_mut().for_each(tidy);
        }
        _ => {}
    }
}

/// From the schemas of OpenAPI 3.0 to those of 3.1: `nullable` becomes a type, references take siblings, and a schema
/// has `examples`.
fn modernize(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(modernize),
        Value::Object(object) => {
            if object.remove("nullable").is_some() {
                let kind = object.remove("type");
                object.insert("type".to_owned(), json!([kind, "null"]));
            }
            if let Some([reference]) = object.get("allOf").and_then(Value::as_array).map(Vec::as_slice) {
                let reference = reference["$ref"].clone();
                object.remove("allOf");
                object.insert("$ref".to_owned(), reference);
            }
            if object.contains_key("type")
                && let Some(example) = object.remove("example")
            {
                object.insert("examples".to_owned(), json!([example]));
            }
            object.values_mut().for_each(modernize);
        }
        _ => {}
    }
}

/// Applies a JSON merge patch (RFC 7396).
fn merge(target: &mut Value, patch: Value) {
    match (target, patch) {
        (Value::Object(target), Value::Object(patch)) => {
            for (key, value) in patch {
                if value.is_null() {
                    target.shift_remove(&key);
                } else {
                    merge(target.entry(key).or_insert(Value::Null), value);
                }
            }
        }
        (target, patch) => *target = patch,
    }
}

fn operations(document: &mut Value) -> impl Iterator<Item = &mut Value> {
    let paths = document.get_mut("paths").into_iter().flat_map(members);
    paths.flat_map(|(_, path)| members(path)).map(|(_, operation)| operation)
}

fn members(value: &mut Value) -> impl Iterator<Item = (&String, &mut Value)> {
    value.as_object_mut().into_iter().flatten()
}

fn schema_name(value: &Value, reference: &str) -> Option<String> {
    value.pointer(reference)?.as_str()?.rsplit('/').next().map(str::to_owned)
}

/// A key as part of a JSON pointer (RFC 6901, section 3).
fn escape(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

/// `404` as `NotFound`.
fn reason(status: &str) -> String {
    let status = status.parse().ok().and_then(|status| StatusCode::from_u16(status).ok());
    status.and_then(|status| status.canonical_reason()).unwrap_or_default().replace(' ', "")
}
