//! Errors. All have the same body, a problem document (RFC 9457).

mod definitions;

use std::{borrow::Cow, fmt};

use poem::{
    Response,
    error::ResponseError,
    http::{HeaderName, HeaderValue, StatusCode, header},
};
use poem_openapi::{
    ApiResponse, Object,
    error::{AuthorizationError, ParsePathError},
    registry::{MetaMediaType, MetaResponse, MetaResponses, Registry},
    types::{Example, Type},
};
use serde::Serialize;

pub use self::definitions::{Code, failures};
use crate::{
    db::DbError,
    openapi::{InvalidDocument, Violation},
};

/// The media type of [`Problem`] (RFC 9457, section 6.1).
pub(super) const MEDIA_TYPE: &str = "application/problem+json";

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

/// The error of a request.
#[derive(Debug, Clone)]
pub struct Problem {
    code: Code,
    detail: Cow<'static, str>,
    errors: Vec<Violation>,
    headers: Vec<(HeaderName, HeaderValue)>,
    /// The cause inside the server, only for the log.
    cause: Option<String>,
}

impl Problem {
    /// A problem with the default sentence of its code.
    #[must_use]
    pub fn of(code: Code) -> Self {
        Self::because(code, code.definition().detail)
    }

    /// A problem with a more precise sentence. It must not contain a secret or a cause inside the server.
    #[must_use]
    pub fn because(code: Code, detail: impl Into<Cow<'static, str>>) -> Self {
        let header = code.definition().header;
        let header = header.map(|header| (HeaderName::try_from(header.name), HeaderValue::from_static(header.value)));
        let headers = header.into_iter().filter_map(|(name, value)| Some((name.ok()?, value))).collect();
        Self { code, detail: detail.into(), errors: Vec::new(), headers, cause: None }
    }

    /// A request that breaks these rules.
    #[must_use]
    pub fn validation(errors: Vec<Violation>) -> Self {
        let detail = errors.first().map(|first| {
            let place = match (first.pointer.as_deref(), &first.parameter) {
                (Some(pointer), _) if !pointer.is_empty() => {
                    readable(&pointer.replacen('/', "", 1).replace("~1", "/").replace("~0", "~"))
                }
                (_, Some(parameter)) => readable(parameter),
                _ => "the body".to_owned(),
            };
            match errors.len() - 1 {
                0 => format!("{place} {}", first.detail),
                1 => format!("{place} {} (and 1 more violation, see `errors`)", first.detail),
                more => format!("{place} {} (and {more} more violations, see `errors`)", first.detail),
            }
        });
        let detail = detail.map_or(Cow::Borrowed(Code::ValidationFailed.definition().detail), Cow::Owned);
        Self { errors, ..Self::because(Code::ValidationFailed, detail) }
    }

    /// A body over the limit (in bytes).
    #[must_use]
    pub fn payload_too_large(limit: usize) -> Self {
        let code = Code::PayloadTooLarge;
        Self::because(code, code.definition().detail.replace("{limit}", &limit.to_string()))
    }

    /// A rejected token, with the challenge of RFC 6750, section 3.
    #[must_use]
    pub fn invalid_token(code: Code, reason: impl Into<Cow<'static, str>>) -> Self {
        let reason = reason.into();
        let challenge = format!(r#"Bearer error="invalid_token", error_description="{reason}""#);
        let challenge = HeaderValue::try_from(challenge).unwrap_or(HeaderValue::from_static("Bearer"));
        Self { headers: vec![(header::WWW_AUTHENTICATE, challenge)], ..Self::because(code, reason) }
    }

    /// A failure inside the server. Only the log gets the cause.
    #[must_use]
    pub fn internal(cause: &dyn fmt::Display) -> Self {
        Self::of(Code::InternalError).caused_by(cause)
    }

    /// Adds the cause inside the server. Only the log gets it.
    #[must_use]
    pub fn caused_by(mut self, cause: &dyn fmt::Display) -> Self {
        self.cause = Some(cause.to_string());
        self
    }

    /// Adds a header to the answer.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// The code.
    #[must_use]
    pub const fn code(&self) -> Code {
        self.code
    }

    /// The cause inside the server. It must not reach a client.
    #[must_use]
    pub fn cause(&self) -> Option<&str> {
        self.cause.as_deref()
    }

    /// The answer to the request with this id.
    #[must_use]
    pub fn respond(mut self, request_id: &str) -> Response {
        let headers = std::mem::take(&mut self.headers);
        let status = self.code.status();
        let body = serde_json::to_vec(&self.document(request_id)).unwrap_or_default();
        let mut response = Response::builder().status(status).content_type(MEDIA_TYPE).body(body);
        response.headers_mut().extend(headers.into_iter().map(|(name, value)| (Some(name), value)));
        response
    }

    fn document(self, request_id: &str) -> ProblemDocument {
        ProblemDocument {
            r#type: format!("urn:todo-api:problem:{}", self.code),
            title: self.code.definition().title.to_owned(),
            status: self.code.status().as_u16(),
            detail: self.detail.into_owned(),
            instance: request_id.to_owned(),
            code: self.code,
            errors: self.errors,
        }
    }
}

/// A name as part of a sentence: as it is, or in quotes if it would not be seen there.
fn readable(name: &str) -> String {
    let is_plain = !name.is_empty() && name.chars().all(|c| !c.is_whitespace() && !c.is_control());
    if is_plain { name.to_owned() } else { format!("{name:?}") }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.detail)
    }
}

impl std::error::Error for Problem {}

impl ResponseError for Problem {
    fn status(&self) -> StatusCode {
        self.code.status()
    }

    fn as_response(&self) -> Response {
        self.clone().respond("")
    }
}

impl From<Code> for Problem {
    fn from(code: Code) -> Self {
        Self::of(code)
    }
}

impl From<InvalidDocument> for Problem {
    fn from(error: InvalidDocument) -> Self {
        Self::internal(&error)
    }
}

/// For poem-openapi. The one response only brings the schema into the document; [`failures`] has the real responses.
impl ApiResponse for Problem {
    fn meta() -> MetaResponses {
        let content = vec![MetaMediaType { content_type: MEDIA_TYPE, schema: ProblemDocument::schema_ref() }];
        let status = Some(Code::InternalError.status().as_u16());
        let response = MetaResponse { description: "", status, status_range: None, content, headers: Vec::new() };
        MetaResponses { responses: vec![response] }
    }

    fn register(registry: &mut Registry) {
        ProblemDocument::register(registry);
    }
}

impl From<DbError> for Problem {
    fn from(error: DbError) -> Self {
        let problem = match error {
            DbError::Unavailable(_) | DbError::Refused(_) | DbError::Unsuitable(_) => Self::of(Code::Unavailable),
            DbError::Unknown(_) => Self::because(
                Code::Unavailable,
                "the database did not answer; whether the change was made is unknown: read before you repeat",
            ),
            DbError::Unique(_) | DbError::ForeignKey(_) | DbError::Internal(_) => Self::of(Code::InternalError),
        };
        problem.caused_by(&error)
    }
}

/// Converts the errors of poem and poem-openapi.
impl From<poem::Error> for Problem {
    fn from(error: poem::Error) -> Self {
        let error = match error.downcast::<Self>() {
            Ok(problem) => return problem,
            Err(error) => error,
        };
        if error.is::<AuthorizationError>() {
            Self::of(Code::TokenMissing)
        } else if error.is::<ParsePathError>() {
            Self::because(Code::TaskNotFound, "no task has such an id: ids are lower-case UUIDs with hyphens")
        } else if error.status().is_client_error() {
            Self::of(Code::MalformedRequest)
        } else {
            Self::internal(&error)
        }
    }
}

/// The body of every error answer: a problem document (RFC 9457).
#[derive(Debug, Object, Serialize)]
#[oai(rename = "Problem", example, skip_serializing_if_is_empty)]
struct ProblemDocument {
    /// A URN that names the kind of problem: `urn:todo-api:problem:` and the code.
    r#type: String,
    /// The kind of problem in a few words, always the same for a code.
    title: String,
    /// The status of the answer.
    status: u16,
    /// A sentence for people: what is wrong with this request, and how to fix it.
    detail: String,
    /// The id of the request, also in the header `X-Request-Id`.
    instance: String,
    /// The kind of problem, for programs.
    code: Code,
    /// Every rule that the request breaks, with `validation_failed` only.
    #[oai(default)]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<Violation>,
}

impl Example for ProblemDocument {
    fn example() -> Self {
        definitions::example(definitions::invalid())
    }
}
