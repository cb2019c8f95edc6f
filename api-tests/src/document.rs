//! Validates answers against the committed document, or that of a release.

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    sync::{LazyLock, Mutex},
};

use jsonschema::Validator;
use reqwest::{Method, header::HeaderName};
use serde_json::{Value, json};

use crate::{Answer, traffic};

/// Headers that no OpenAPI document declares: those of HTTP itself, and the content type, which belongs to the content.
const UNDECLARED: [&str; 4] = ["connection", "content-length", "content-type", "date"];

/// A document, and the schemas of its answers.
#[derive(Debug)]
pub struct Document {
    /// The whole document.
    pub value: Value,
    schemas: HashMap<String, Validator>,
    /// Whether to record the parts that tests have seen.
    recorded: bool,
}

/// An operation of the document.
#[derive(Debug, Clone)]
pub struct Operation<'a> {
    /// Path, with its parameters in braces.
    pub path: &'a str,
    /// Method in upper case.
    pub method: Method,
    /// The operation object.
    pub value: &'a Value,
}

impl Document {
    /// The committed document.
    pub fn committed() -> &'static Self {
        static DOCUMENT: LazyLock<Document> =
            LazyLock::new(|| Document { recorded: true, ..Document::read("openapi") });
        &DOCUMENT
    }

    /// The committed document, without a record: that random requests have seen an answer does not say that a test has.
    pub fn unrecorded() -> &'static Self {
        static DOCUMENT: LazyLock<Document> = LazyLock::new(|| Document::read("openapi"));
        &DOCUMENT
    }

    /// The document of a release.
    pub(crate) fn released(version: &'static str) -> &'static Self {
        static DOCUMENTS: Mutex<BTreeMap<&str, &Document>> = Mutex::new(BTreeMap::new());
        let read = || &*Box::leak(Box::new(Self::read(&format!("contract/{version}"))));
        DOCUMENTS.lock().unwrap().entry(version).or_insert_with(read)
    }

    fn read(name: &str) -> Self {
        let yaml = fs::read_to_string(format!("{}/../{name}.yaml", env!("CARGO_MANIFEST_DIR"))).unwrap();
        let value: Value = serde_yaml::from_str(&yaml).unwrap();
        let mut document = Self { value, schemas: HashMap::new(), recorded: false };
        document.schemas = document.compile();
        document
    }

    /// All operations.
    pub fn operations(&self) -> impl Iterator<Item = Operation<'_>> {
        self.value["paths"].as_object().unwrap().iter().flat_map(|(path, operations)| {
            operations.as_object().unwrap().iter().map(move |(method, value)| Operation {
                path,
                method: method.to_uppercase().parse().unwrap(),
                value,
            })
        })
    }

    /// Fails if the document declares the path, but not this answer.
    pub fn check(&self, method: &Method, path: &str, answer: &Answer) {
        let head = method == Method::HEAD;
        let method = if head { &Method::GET } else { method };
        let Some(operation) = self.operations().find(|operation| {
            operation.method == *method
                && operation.path.split('/').count() == path.split('/').count()
                && operation.path.split('/').zip(path.split('/')).all(|(a, b)| a.starts_with('{') || a == b)
        }) else {
            return;
        };
        let name = operation.value["operationId"].as_str().unwrap();
        let status = answer.status.to_string();
        let response = operation.value["responses"].get(&status);
        let response = self.resolve(response.unwrap_or_else(|| panic!("{name} does not declare {answer:?}")));
        let declared = response["headers"].as_object().unwrap();
        for (header, value) in declared {
            let Some(given) = answer.headers.get(header) else {
                let required = self.resolve(value)["required"] == true;
                assert!(!required, "{name} {status} has no {header}: {answer:?}");
                continue;
            };
            let given = given.to_str().unwrap();
            let schema = &self.resolve(value)["schema"];
            let given = if schema["type"] == "string" { given.into() } else { given.parse().unwrap_or(Value::Null) };
            assert!(jsonschema::is_valid(schema, &given), "{name} {status}: {header} is {given}, and breaks {schema}");
            self.record(&[name, &status, header]);
        }
        let undeclared = answer.headers.keys().map(HeaderName::as_str).find(|header| {
            !UNDECLARED.contains(header)
                && !header.starts_with("access-control-")
                && !declared.keys().any(|name| name.eq_ignore_ascii_case(header))
        });
        assert_eq!(undeclared, None, "{name} {status} does not declare it: {answer:?}");
        self.record(&[name, &status]);
        let Some(content) = response["content"].as_object() else {
            assert!(answer.body.is_empty(), "{name} {status} declares no body: {answer:?}");
            return;
        };
        if head {
            assert!(answer.body.is_empty() && answer.headers.contains_key("content-length"), "{answer:?}");
            return;
        }
        let media_type = answer.header("content-type");
        assert!(content.contains_key(media_type), "{name} {status} does not declare {media_type}");
        let errors: Vec<_> =
            self.schemas[&format!("{name} {status}")].iter_errors(&answer.json()).map(|e| e.to_string()).collect();
        assert!(errors.is_empty(), "{name} {status} breaks its schema: {errors:?} {answer:?}");
    }

    fn record(&self, part: &[&str]) {
        if self.recorded {
            traffic::record(part);
        }
    }

    /// The target of a reference.
    pub fn resolve<'a>(&'a self, value: &'a Value) -> &'a Value {
        match value.get("$ref").and_then(Value::as_str) {
            Some(reference) => self.value.pointer(reference.trim_start_matches('#')).unwrap(),
            None => value,
        }
    }

    fn compile(&self) -> HashMap<String, Validator> {
        let mut schemas = HashMap::new();
        for operation in self.operations() {
            for (status, response) in operation.value["responses"].as_object().unwrap() {
                for content in self.resolve(response)["content"].as_object().into_iter().flat_map(|map| map.values()) {
                    let schema = json!({ "allOf": [content["schema"]], "components": self.value["components"] });
                    let validator = jsonschema::draft202012::options().should_validate_formats(true).build(&schema);
                    let name = operation.value["operationId"].as_str().unwrap();
                    schemas.insert(format!("{name} {status}"), validator.unwrap());
                }
            }
        }
        schemas
    }
}
