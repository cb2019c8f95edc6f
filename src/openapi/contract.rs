//! Validates requests against the derived document, and reports all violations at once.

use std::{
    collections::HashMap,
    sync::{Arc, OnceLock},
};

use jsonschema::{
    ValidationError, Validator,
    error::{TypeKind, ValidationErrorKind},
};
use poem::http::Method;
use poem_openapi::{Object, registry::MetaSchemaRef};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::InvalidDocument;
use crate::timestamp::Timestamp;

/// A rule that the request breaks, and the place or the parameter that breaks it.
#[derive(Debug, Clone, PartialEq, Eq, Object, Serialize)]
#[oai(skip_serializing_if_is_none)]
pub struct Violation {
    /// The place in the body, as a JSON pointer (RFC 6901); absent for a parameter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pointer: Option<String>,
    /// The name of the query parameter; absent for the body.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parameter: Option<String>,
    /// The rule that the place or the parameter breaks, in words.
    pub detail: String,
}

impl Violation {
    /// A violation in the body, at this JSON pointer.
    #[must_use]
    pub fn of_body(pointer: String, detail: String) -> Self {
        Self { pointer: Some(pointer), parameter: None, detail }
    }

    /// By a query parameter.
    #[must_use]
    pub fn of_parameter(name: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { pointer: None, parameter: Some(name.into()), detail: detail.into() }
    }
}

/// The schemas of the document.
#[derive(Debug)]
pub struct Contract {
    /// Schemas of bodies by name.
    bodies: HashMap<String, Schema>,
    /// The query parameters, by the template of the path and the method.
    queries: HashMap<String, HashMap<Method, HashMap<String, Schema>>>,
}

#[derive(Debug)]
struct Schema {
    value: Value,
    /// The components that references point to.
    components: Arc<Value>,
    /// Compiled for the first request that needs it: compiling all took half of the start-up time.
    compiled: OnceLock<Validator>,
}

/// The parts of an OpenAPI document that validation needs.
#[derive(Deserialize)]
struct Document {
    paths: HashMap<String, HashMap<String, Operation>>,
    components: Value,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Operation {
    #[serde(default)]
    parameters: Vec<Parameter>,
    request_body: Option<Value>,
}

#[derive(Deserialize)]
struct Parameter {
    name: String,
    #[serde(rename = "in")]
    location: String,
    schema: Value,
}

/// The schema of a request body, as a JSON pointer.
const BODY_SCHEMA: &str = "/content/application~1json/schema/$ref";

impl Contract {
    /// Reads an OpenAPI 3.1 document.
    ///
    /// # Errors
    ///
    /// [`InvalidDocument`] if it has another form.
    pub fn of(document: Value) -> Result<Self, InvalidDocument> {
        let document: Document = serde_json::from_value(document).map_err(InvalidDocument::new)?;
        let components = Arc::new(document.components);
        let schema = |value| Schema { value, components: components.clone(), compiled: OnceLock::new() };
        let mut contract = Self { bodies: HashMap::new(), queries: HashMap::new() };
        for (template, operations) in document.paths {
            let mut queries = HashMap::new();
            for (method, operation) in operations {
                let method =
                    method.to_uppercase().parse().map_err(|_| InvalidDocument::new(format!("method {method}")))?;
                let reference = operation.request_body.as_ref().and_then(|body| body.pointer(BODY_SCHEMA)?.as_str());
                if let Some(name) = reference.and_then(|reference| reference.strip_prefix("#/components/schemas/")) {
                    let body = components.pointer(&format!("/schemas/{name}")).cloned();
                    let body = body.ok_or_else(|| InvalidDocument::new(format!("it has no schema {name}")))?;
                    every_pattern_has_words(&body)?;
                    contract.bodies.insert(name.to_owned(), schema(body));
                }
                let parameters = operation.parameters.into_iter().filter(|parameter| parameter.location == "query");
                let parameters = parameters.map(|parameter| (parameter.name, schema(parameter.schema)));
                queries.insert(method, parameters.collect());
            }
            contract.queries.insert(template, queries);
        }
        Ok(contract)
    }

    /// The templates of all paths.
    pub fn templates(&self) -> impl Iterator<Item = &str> {
        self.queries.keys().map(String::as_str)
    }

    /// All rules of the schema that the body breaks.
    ///
    /// # Errors
    ///
    /// [`InvalidDocument`] if the document does not have the schema, or the schema is not valid.
    pub fn check_body(&self, schema: &MetaSchemaRef, body: &Value) -> Result<Vec<Violation>, InvalidDocument> {
        let schema = self.body(schema)?;
        let validator = schema.validator()?;
        if validator.is_valid(body) {
            return Ok(Vec::new());
        }
        let errors: Vec<_> = validator.iter_errors(body).collect();
        // One violation for each rule: that of a pattern includes the length, and what has another type breaks every rule.
        let explained = |error: &&ValidationError<'_>| {
            let beside = |of: fn(&ValidationErrorKind) -> bool| {
                errors.iter().any(|other| of(other.kind()) && other.instance_path() == error.instance_path())
            };
            match error.kind() {
                ValidationErrorKind::MinLength { .. } => {
                    !beside(|kind| matches!(kind, ValidationErrorKind::Pattern { .. }))
                }
                ValidationErrorKind::Enum { .. } => !beside(|kind| matches!(kind, ValidationErrorKind::Type { .. })),
                _ => true,
            }
        };
        let violations = errors.iter().filter(explained).flat_map(|error| schema.explain(error));
        Ok(violations.map(|(pointer, detail)| Violation::of_body(pointer, detail)).collect())
    }

    /// Removes the members of the body that are null or have the default value of their schema.
    ///
    /// # Errors
    ///
    /// [`InvalidDocument`] if the document does not have the schema.
    pub fn remove_defaults(&self, schema: &MetaSchemaRef, body: &mut Value) -> Result<(), InvalidDocument> {
        let schema = self.body(schema)?;
        if let Some(members) = body.as_object_mut() {
            members.retain(|name, value| !value.is_null() && schema.default(name) != Some(value));
        }
        Ok(())
    }

    fn body(&self, schema: &MetaSchemaRef) -> Result<&Schema, InvalidDocument> {
        let schema = match schema {
            MetaSchemaRef::Reference(name) => self.bodies.get(name),
            MetaSchemaRef::Inline(_) => None,
        };
        schema.ok_or_else(|| InvalidDocument::new("it has no schema for a body"))
    }

    /// All violations of the query: unknown parameters, repeated ones, and those that break their schema.
    ///
    /// # Errors
    ///
    /// [`InvalidDocument`] if the document does not have the operation, or one of its schemas is not valid.
    pub fn check_query(&self, template: &str, method: &Method, query: &str) -> Result<Vec<Violation>, InvalidDocument> {
        let declared = self.queries.get(template).and_then(|methods| methods.get(method));
        let declared = declared.ok_or_else(|| InvalidDocument::new("it lacks an operation"))?;
        let mut seen = Vec::new();
        let mut violations = Vec::new();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let details = match declared.get(name.as_ref()) {
                None if declared.is_empty() => vec!["is unknown: the operation takes no query parameter".to_owned()],
                None => vec![format!("is unknown: the parameters are {}", listed(declared.keys()))],
                Some(_) if seen.contains(&name) => vec!["comes more than once".to_owned()],
                Some(schema) => schema.check_text(&value)?,
            };
            violations.extend(details.into_iter().map(|detail| Violation::of_parameter(name.as_ref(), detail)));
            seen.push(name);
        }
        Ok(violations)
    }
}

impl Schema {
    fn validator(&self) -> Result<&Validator, InvalidDocument> {
        if let Some(compiled) = self.compiled.get() {
            return Ok(compiled);
        }
        let compiled = jsonschema::draft202012::options()
            .should_validate_formats(true)
            .with_format("date-time", |text: &str| Timestamp::parse(text).is_ok())
            .build(&json!({ "allOf": [self.value], "components": *self.components }))
            .map_err(InvalidDocument::new)?;
        Ok(self.compiled.get_or_init(|| compiled))
    }

    /// The default of a property, from its own schema or the schema that it refers to.
    fn default(&self, property: &str) -> Option<&Value> {
        let property = self.value.get("properties")?.get(property)?;
        property.get("default").or_else(|| {
            let name = property.get("$ref")?.as_str()?.strip_prefix("#/components/schemas/")?;
            self.components.get("schemas")?.get(name)?.get("default")
        })
    }

    /// The rules that a parameter's text breaks.
    fn check_text(&self, text: &str) -> Result<Vec<String>, InvalidDocument> {
        // Only the canonical form is a number: not `+5` or `05`.
        let value = match self.value.get("type").and_then(Value::as_str) {
            Some("integer") => text.parse().ok().filter(|number: &i64| number.to_string() == text).map(Value::from),
            Some("boolean") => text.parse().ok().map(Value::Bool),
            _ => None,
        };
        let value = value.unwrap_or_else(|| text.into());
        let errors = self.validator()?.iter_errors(&value).flat_map(|error| self.explain(&error));
        Ok(errors.map(|(_, detail)| detail).collect())
    }

    /// The JSON pointer of an error, and its rule in words.
    fn explain(&self, error: &ValidationError<'_>) -> Vec<(String, String)> {
        let at = error.instance_path().to_string();
        let below = |name: &str| format!("{at}/{}", name.replace('~', "~0").replace('/', "~1"));
        let detail = match error.kind() {
            ValidationErrorKind::Required { property } => {
                return vec![(below(property.as_str().unwrap_or_default()), "is required".to_owned())];
            }
            ValidationErrorKind::AdditionalProperties { unexpected } => {
                let known =
                    listed(self.value.get("properties").and_then(Value::as_object).into_iter().flat_map(Map::keys));
                let violation = |name: &String| (below(name), format!("is unknown: the fields are {known}"));
                return unexpected.iter().map(violation).collect();
            }
            ValidationErrorKind::Type { kind: TypeKind::Single(kind) } => format!("must be of type {kind}"),
            ValidationErrorKind::Type { kind: TypeKind::Multiple(kinds) } => {
                format!(
                    "must be of type {}",
                    kinds.iter().map(|kind| kind.to_string()).collect::<Vec<_>>().join(" or ")
                )
            }
            ValidationErrorKind::MinLength { limit: 1 } => "must not be empty".to_owned(),
            ValidationErrorKind::MaxLength { limit } => format!("must have at most {limit} characters"),
            ValidationErrorKind::MaxItems { limit } => format!("must have at most {limit} items"),
            ValidationErrorKind::UniqueItems => "must not have an item twice".to_owned(),
            ValidationErrorKind::Minimum { limit } => format!("must be at least {limit}"),
            ValidationErrorKind::Maximum { limit } => format!("must be at most {limit}"),
            ValidationErrorKind::Enum { options } => {
                let options = options.as_array().into_iter().flatten().filter_map(Value::as_str);
                format!("must be one of {}", listed(options))
            }
            ValidationErrorKind::Format { format } if format == "date-time" => {
                let text = error.instance().as_str().unwrap_or_default();
                Timestamp::parse(text).err().map(|error| error.to_string()).unwrap_or_default()
            }
            // A pattern does not help a reader: use the words of the description.
            ValidationErrorKind::Pattern { pattern } => {
                let rule = part(&self.value, &at).and_then(rule);
                rule.map_or_else(|| format!("must match {pattern}"), str::to_owned)
            }
            _ => error.to_string(),
        };
        vec![(at, detail)]
    }
}

/// The schema of the part of an instance that a JSON pointer leads to.
fn part<'a>(schema: &'a Value, pointer: &str) -> Option<&'a Value> {
    let below = |schema: &'a Value, name| {
        schema.get("properties").and_then(|properties| properties.get(name)).or_else(|| schema.get("items"))
    };
    pointer.split('/').skip(1).try_fold(schema, below)
}

/// The rule of a property in words: its description has it behind a semicolon.
fn rule(property: &Value) -> Option<&str> {
    property.get("description")?.as_str()?.split_once("; ").map(|(_, rule)| rule)
}

/// Checks that each property with a pattern has a rule in words.
fn every_pattern_has_words(schema: &Value) -> Result<(), InvalidDocument> {
    let lacks_words = |value: &Value| value.get("pattern").is_some() && rule(value).is_none();
    let properties = schema.get("properties").and_then(Value::as_object);
    let mut properties = properties.into_iter().flatten();
    match properties.find(|(_, value)| lacks_words(value) || value.get("items").is_some_and(lacks_words)) {
        Some((name, _)) => {
            Err(InvalidDocument::new(format!("{name} has a pattern, and a description without the rule")))
        }
        None => Ok(()),
    }
}

fn listed<T: AsRef<str>>(names: impl Iterator<Item = T>) -> String {
    let mut names: Vec<String> = names.map(|name| name.as_ref().to_owned()).collect();
    names.sort_unstable();
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{api, openapi::Version};

    #[test]
    fn the_text_of_a_parameter_is_read_by_the_type_of_its_schema() {
        for (kind, text, violation) in [
            ("integer", "5", None),
            ("integer", "-5", None),
            ("integer", "+5", Some("must be of type integer")),
            ("integer", "05", Some("must be of type integer")),
            ("boolean", "true", None),
            ("boolean", "False", Some("must be of type boolean")),
            ("boolean", "1", Some("must be of type boolean")),
            ("string", "5", None),
        ] {
            let schema =
                Schema { value: json!({ "type": kind }), components: Arc::default(), compiled: OnceLock::new() };
            assert_eq!(schema.check_text(text).unwrap().first().map(String::as_str), violation, "{kind} {text}");
        }
    }

    #[test]
    fn every_schema_of_the_document_is_valid() {
        let document = api::document(api::DEFAULT_SERVER, Version::V3_1).unwrap();
        let declared = document.to_string();
        let contract = Contract::of(document).unwrap();
        let queries = contract.queries.values().flat_map(HashMap::values).flat_map(|query| query.values());
        let schemas: Vec<_> = contract.bodies.values().chain(queries).collect();
        let count = |part| declared.matches(part).count();
        assert_eq!(schemas.len(), count(r#""requestBody""#) + count(r#""in":"query""#));
        for schema in schemas {
            assert!(schema.validator().is_ok(), "{schema:?}");
        }
    }
}
