//! Derives the document from the types, and completes it. If an expected part is missing, that is an error: otherwise
//! the contract would change without notice.

use std::{
    collections::{BTreeSet, HashMap},
    marker::PhantomData,
};

use poem::{
    endpoint::BoxEndpoint,
    http::{Method, StatusCode},
};
use poem_openapi::{
    ContactObject, LicenseObject, OpenApi, OpenApiService, ServerObject,
    registry::{MetaApi, Registry},
};
use serde_json::{Map, Value, json};

use super::{Failure, HeaderType, InvalidDocument, Outline, Version, dialect, examples, parameters};
use crate::timestamp::Timestamp;

/// The document of an API.
///
/// # Errors
///
/// [`InvalidDocument`] if the types and the outline do not match.
pub fn derive<A: OpenApi>(outline: &Outline, version: Version) -> Result<Value, InvalidDocument> {
    let mut document = serde_json::from_str(&service::<A>(outline).spec()).map_err(InvalidDocument::new)?;
    complete(&mut document, outline)?;
    dialect::tidy(&mut document);
    match version {
        Version::V3_0 => merge(&mut document, json!({ "openapi": "3.0.4" })),
        Version::V3_1 => {
            dialect::modernize(&mut document)?;
            let license = json!({ "identifier": outline.license, "url": null });
            merge(&mut document, json!({ "openapi": "3.1.0", "info": { "license": license } }));
        }
    }
    Ok(document)
}

/// A document as JSON.
#[must_use]
pub fn to_json(document: &Value) -> String {
    // A value has only string keys, so this cannot fail.
    serde_json::to_string_pretty(document).unwrap_or_default() + "\n"
}

/// A document as YAML. Times are quoted: YAML 1.1 has a type for them, which is not that of a string.
#[must_use]
pub fn to_yaml(document: &Value) -> String {
    let yaml = serde_yaml::to_string(document).unwrap_or_default();
    let quoted = |line: &str| {
        let start = line.rfind(' ').map_or(0, |space| space + 1);
        match line.split_at_checked(start) {
            Some((before, time)) if Timestamp::parse(time).is_ok() => format!("{before}'{time}'\n"),
            _ => format!("{line}\n"),
        }
    };
    yaml.lines().map(quoted).collect()
}

/// poem-openapi's page of Swagger UI, and the document within it.
#[must_use]
pub fn swagger_ui<A: OpenApi>(outline: &Outline) -> (String, String) {
    let service = service::<A>(outline);
    (service.swagger_ui_html(), service.spec())
}

fn service<A: OpenApi>(outline: &Outline) -> OpenApiService<Described<A>, ()> {
    OpenApiService::new(Described(PhantomData), outline.title, outline.version)
        .description(outline.description)
        .contact(ContactObject::new().name(outline.contact))
        .license(LicenseObject::new(outline.license).url("https://spdx.org/licenses/"))
        .server(ServerObject::new(&outline.server).description("The server of this document"))
}

/// An API without its state, to derive the document from.
struct Described<A>(PhantomData<fn() -> A>);

impl<A: OpenApi> OpenApi for Described<A> {
    fn meta() -> Vec<MetaApi> {
        A::meta()
    }

    fn register(registry: &mut Registry) {
        A::register(registry);
    }

    fn add_routes(self, _: &mut HashMap<String, HashMap<Method, BoxEndpoint<'static>>>) {}
}

/// Adds the parts that poem-openapi cannot express.
fn complete(document: &mut Value, outline: &Outline) -> Result<(), InvalidDocument> {
    let mut schemas = Map::new();
    let mut responses = Map::new();
    let mut headers = Headers { outline, seen: BTreeSet::new() };
    let mut operation_ids = BTreeSet::new();
    let mut linked = false;
    let mut registered = registered(document)?;
    for operation in operations(document)? {
        parameters::normalize(operation, &mut registered)?;
        operation_ids.extend(operation.get("operationId").and_then(Value::as_str).map(str::to_owned));
        if let Some(body) = operation.get_mut("requestBody") {
            schemas.insert(complete_body(body, &registered)?, json!({ "additionalProperties": false }));
        }
        let sent = operation.pointer("/requestBody/content/application~1json/example").cloned();
        let failures: Vec<_> = outline.failures.iter().filter(|failure| failure.when.applies(operation)).collect();
        let all = operation.get_mut("responses").and_then(Value::as_object_mut);
        let all = all.ok_or_else(|| InvalidDocument::new("an operation has no responses"))?;
        for response in all.values_mut() {
            headers.describe(response)?;
            if let Some(content) = response.get_mut("content").filter(|content| content.get(JSON).is_some()) {
                examples::add(content, &registered, sent.as_ref())?;
            }
            if schema_name(response, "/content/application~1json/schema/$ref").as_deref() == Some(outline.resource) {
                linked = true;
                let link = |name| (name, "links");
                let links = references(outline.links.iter().map(|link| link.name).map(link));
                merge(response, json!({ "links": links }));
            }
        }
        // Errors are the same in all operations, so they are components.
        for failure in failures {
            let name = reason(failure.status)?;
            all.shift_remove(&failure.status.to_string());
            all.insert(failure.status.to_string(), reference("responses", &name));
            if !responses.contains_key(&name) {
                let mut response = response(failure);
                headers.describe(&mut response)?;
                responses.insert(name, response);
            }
        }
    }
    let fields = document.pointer(&format!("/components/schemas/{}/properties", outline.resource));
    let fields = fields.and_then(Value::as_object).filter(|_| linked);
    let fields = fields.ok_or_else(|| InvalidDocument::new(format!("no operation answers {}", outline.resource)))?;
    // All fields are required, because the server writes a null instead of leaving a field out.
    schemas.insert(outline.resource.to_owned(), json!({ "required": fields.keys().collect::<Vec<_>>() }));
    for (name, schema) in registered {
        let slot = document.pointer_mut(&format!("/components/schemas/{name}"));
        *slot.ok_or_else(|| InvalidDocument::new(format!("there is no schema {name}")))? = schema;
    }
    check(document, outline, &headers.seen, &operation_ids, &schemas, &responses)?;
    let components =
        json!({ "schemas": schemas, "responses": responses, "headers": common(outline), "links": links(outline) });
    let security = security(document)?;
    merge(document, json!({ "components": components, "security": security }));
    Ok(())
}

/// The schemas that the types have registered.
fn registered(document: &Value) -> Result<Map<String, Value>, InvalidDocument> {
    let schemas = document.pointer("/components/schemas").and_then(Value::as_object);
    schemas.cloned().ok_or_else(|| InvalidDocument::new("it has no schemas"))
}

/// The schemes of all operations, for tools that look for them at the root alone.
fn security(document: &mut Value) -> Result<Value, InvalidDocument> {
    let mut all = operations(document)?.map(|operation| operation.get("security").cloned());
    let first = all.next().flatten().ok_or_else(|| InvalidDocument::new("an operation has no security"))?;
    let same = all.all(|other| other.as_ref() == Some(&first));
    same.then_some(first).ok_or_else(|| InvalidDocument::new("operations differ in their security"))
}

/// Gives a request body its example, and returns the name of its schema.
fn complete_body(body: &mut Value, schemas: &Map<String, Value>) -> Result<String, InvalidDocument> {
    let name = schema_name(body, "/content/application~1json/schema/$ref");
    let name = name.ok_or_else(|| InvalidDocument::new("a request body has no schema of its own"))?;
    let content = body.get_mut("content").ok_or_else(|| InvalidDocument::new("a request body has no content"))?;
    examples::add(content, schemas, None)?;
    Ok(name)
}

const JSON: &str = "application/json";

/// Whether everything in the outline has a place in the document.
fn check(
    document: &Value,
    outline: &Outline,
    headers: &BTreeSet<&str>,
    operation_ids: &BTreeSet<String>,
    schemas: &Map<String, Value>,
    responses: &Map<String, Value>,
) -> Result<(), InvalidDocument> {
    let missing = |what: &str, name: &str| Err(InvalidDocument::new(format!("no operation has the {what} {name}")));
    if let Some((name, _)) = outline.own_headers.iter().find(|(name, _)| !headers.contains(name)) {
        return missing("header", name);
    }
    if let Some(link) = outline.links.iter().find(|link| !operation_ids.contains(link.operation_id)) {
        return missing("operationId", link.operation_id);
    }
    for failure in &outline.failures {
        if !responses.contains_key(&reason(failure.status)?) {
            return missing("status", &failure.status.to_string());
        }
    }
    let wanted = schemas.keys().map(String::as_str).chain(outline.failures.iter().map(|failure| failure.schema));
    let registered = document.pointer("/components/schemas").and_then(Value::as_object);
    for name in wanted {
        if !registered.is_some_and(|schemas| schemas.contains_key(name)) {
            return missing("schema", name);
        }
    }
    Ok(())
}

/// Writes the headers of responses as in the RFCs, and adds the headers of every answer.
struct Headers<'a> {
    outline: &'a Outline,
    /// The headers of the outline that a response has.
    seen: BTreeSet<&'static str>,
}

impl Headers<'_> {
    fn describe(&mut self, response: &mut Value) -> Result<(), InvalidDocument> {
        let response = response.as_object_mut().ok_or_else(|| InvalidDocument::new("a response is not an object"))?;
        let own = response.shift_remove("headers");
        let mut headers = references(self.outline.headers.iter().map(|header| (header.name, "headers")));
        for (name, mut header) in
            own.iter().filter_map(Value::as_object).flatten().map(|(name, own)| (name, own.clone()))
        {
            // poem-openapi writes them in upper case.
            let known = self.outline.own_headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
            let (name, example) =
                known.ok_or_else(|| InvalidDocument::new(format!("the header {name} is not in the outline")))?;
            if let Some(example) = example {
                let text = header.pointer("/schema/type").is_some_and(|kind| kind == "string");
                let example =
                    if text { Value::from(*example) } else { example.parse().map_err(InvalidDocument::new)? };
                merge(&mut header, json!({ "example": example }));
            }
            self.seen.insert(name);
            headers.insert((*name).to_owned(), header);
        }
        response.insert("headers".to_owned(), headers.into());
        Ok(())
    }
}

fn response(failure: &Failure) -> Value {
    let schema = reference("schemas", failure.schema);
    let content = json!({ failure.media_type: { "schema": schema, "example": failure.example } });
    let mut response = json!({ "description": failure.description, "content": content });
    if let Some((name, description, kind)) = failure.header {
        let schema = match kind {
            HeaderType::Text => json!({ "type": "string" }),
            HeaderType::Number => json!({ "type": "integer", "format": "uint32" }),
        };
        let header = json!({ "description": description, "required": true, "schema": schema });
        merge(&mut response, json!({ "headers": { name: header } }));
    }
    response
}

fn common(outline: &Outline) -> Map<String, Value> {
    let header = |header: &super::Header| {
        let schema = json!({ "type": "string" });
        let value = json!({
            "description": header.description, "required": header.required, "schema": schema, "example": header.example,
        });
        (header.name.to_owned(), value)
    };
    outline.headers.iter().map(header).collect()
}

fn links(outline: &Outline) -> Map<String, Value> {
    let link = |link: &super::Link| {
        let parameters = json!({ "id": "$response.body#/id" });
        let value =
            json!({ "operationId": link.operation_id, "parameters": parameters, "description": link.description });
        (link.name.to_owned(), value)
    };
    outline.links.iter().map(link).collect()
}

/// References to components, by name.
fn references<'a>(names: impl Iterator<Item = (&'a str, &'a str)>) -> Map<String, Value> {
    names.map(|(name, kind)| (name.to_owned(), reference(kind, name))).collect()
}

fn reference(kind: &str, name: &str) -> Value {
    json!({ "$ref": format!("#/components/{kind}/{name}") })
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

fn operations(document: &mut Value) -> Result<impl Iterator<Item = &mut Value>, InvalidDocument> {
    let paths = document.get_mut("paths").and_then(Value::as_object_mut).filter(|paths| !paths.is_empty());
    let paths = paths.ok_or_else(|| InvalidDocument::new("it has no paths"))?;
    Ok(paths.values_mut().filter_map(Value::as_object_mut).flat_map(Map::values_mut))
}

fn schema_name(value: &Value, reference: &str) -> Option<String> {
    value.pointer(reference)?.as_str()?.strip_prefix("#/components/schemas/").map(str::to_owned)
}

/// `404` as `NotFound`.
fn reason(status: u16) -> Result<String, InvalidDocument> {
    let reason = StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason());
    let reason = reason.ok_or_else(|| InvalidDocument::new(format!("the status {status} has no name")))?;
    Ok(reason.replace(' ', ""))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        api,
        openapi::{Link, When},
        tasks::TasksApi,
    };

    /// The error for this outline.
    fn defect(outline: &Outline) -> String {
        derive::<TasksApi>(outline, Version::V3_1).unwrap_err().to_string()
    }

    #[test]
    fn what_the_types_do_not_have_is_reported_by_name() {
        let outline = api::outline(1);
        assert!(derive::<TasksApi>(&outline, Version::V3_1).is_ok());
        let failure = outline.failures[0].clone();
        let failures = |first| {
            let mut failures = outline.failures.clone();
            failures[0] = first;
            failures
        };
        for (outline, name) in [
            (Outline { resource: "Task", ..outline.clone() }, "Task"),
            (Outline { own_headers: &[("ETag", None)], ..outline.clone() }, "not in the outline"),
            (
                Outline { failures: failures(Failure { schema: "Error", ..failure.clone() }), ..outline.clone() },
                "Error",
            ),
            (Outline { failures: failures(Failure { status: 999, ..failure.clone() }), ..outline.clone() }, "999"),
            (
                Outline { failures: failures(Failure { when: When::Header("If-Mach"), ..failure }), ..outline.clone() },
                "status 400",
            ),
            (
                Outline {
                    links: &[Link { name: "Read", operation_id: "readTask", description: "" }],
                    ..outline.clone()
                },
                "readTask",
            ),
        ] {
            assert!(defect(&outline).contains(name), "{}", defect(&outline));
        }
    }
}
