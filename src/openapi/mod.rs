//! The OpenAPI document: derived from the annotated types, and used to validate requests. This module knows no
//! operation: the API passes its operations in, with an [`Outline`] for the parts that types cannot express.

mod contract;
mod dialect;
mod document;
mod examples;
mod parameters;

use std::fmt;

use serde_json::Value;

pub use self::{
    contract::{Contract, Violation},
    document::{derive, swagger_ui, to_json, to_yaml},
};

/// Version of the OpenAPI specification.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Version {
    /// OpenAPI 3.1, with JSON Schema 2020-12.
    #[value(name = "3.1")]
    V3_1,
    /// OpenAPI 3.0, for tools that do not support 3.1.
    #[value(name = "3.0")]
    V3_0,
}

/// The parts of a document that the types of the operations cannot express.
#[derive(Debug, Clone)]
pub struct Outline {
    /// The name of the API.
    pub title: &'static str,
    /// The version of the API.
    pub version: &'static str,
    /// The description of the API, in Markdown.
    pub description: &'static str,
    /// The maintainers' name.
    pub contact: &'static str,
    /// The licence, as an SPDX expression.
    pub license: &'static str,
    /// The server's URL, which may be relative to that of the document.
    pub server: String,
    /// Headers of every answer.
    pub headers: &'static [Header],
    /// Headers of some answers, as RFCs write their names. Those that no client may repeat have no example: importers and
    /// mocks would.
    pub own_headers: &'static [(&'static str, Option<&'static str>)],
    /// The schema of the resource: none of its fields is ever absent, and each answer that is one has the links.
    pub resource: &'static str,
    /// The operations on a resource.
    pub links: &'static [Link],
    /// The errors of operations.
    pub failures: Vec<Failure>,
}

/// A header of every answer, or of all if the server is configured so; always a string.
#[derive(Debug, Clone, Copy)]
pub struct Header {
    /// Its name.
    pub name: &'static str,
    /// Its description.
    pub description: &'static str,
    /// An example.
    pub example: &'static str,
    /// Whether it is never absent.
    pub required: bool,
}

/// A link from a resource to an operation on it.
#[derive(Debug, Clone, Copy)]
pub struct Link {
    /// Its name.
    pub name: &'static str,
    /// The operation.
    pub operation_id: &'static str,
    /// The description of the operation.
    pub description: &'static str,
}

/// An error of some operations.
#[derive(Debug, Clone)]
pub struct Failure {
    /// The status.
    pub status: u16,
    /// The operations with this error.
    pub when: When,
    /// The description: when it happens.
    pub description: String,
    /// Name, description and type of a header of this error.
    pub header: Option<(&'static str, &'static str, HeaderType)>,
    /// The media type of its body.
    pub media_type: &'static str,
    /// The name of its body's schema.
    pub schema: &'static str,
    /// An example of the body.
    pub example: Value,
}

/// The type of a header's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeaderType {
    /// Text.
    Text,
    /// A whole number.
    Number,
}

/// Selects operations by their parameters and body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// All.
    Always,
    /// Those with a security scheme.
    Secured,
    /// Those with a request body.
    Body,
    /// Those with a parameter in their path.
    PathParameter,
    /// Those with this request header.
    Header(&'static str),
}

impl When {
    /// Whether it selects this operation of a document.
    fn applies(self, operation: &Value) -> bool {
        let any = |location: &str, name: Option<&str>| {
            let parameters = operation.get("parameters").and_then(Value::as_array);
            parameters.into_iter().flatten().any(|parameter| {
                parameter.get("in").is_some_and(|found| found == location)
                    && name.is_none_or(|name| parameter.get("name").is_some_and(|found| found == name))
            })
        };
        match self {
            Self::Always => true,
            Self::Secured => operation.get("security").and_then(Value::as_array).is_some_and(|all| !all.is_empty()),
            Self::Body => operation.get("requestBody").is_some(),
            Self::PathParameter => any("path", None),
            Self::Header(name) => any("header", Some(name)),
        }
    }
}

/// A document that cannot be derived or compiled. This is a defect of the program, found at the start.
#[derive(Debug)]
pub struct InvalidDocument(String);

impl InvalidDocument {
    pub(crate) fn new(defect: impl fmt::Display) -> Self {
        Self(defect.to_string())
    }
}

impl fmt::Display for InvalidDocument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the derived OpenAPI document is not valid: {}", self.0)
    }
}

impl std::error::Error for InvalidDocument {}
