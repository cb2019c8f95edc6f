//! The one error body of every answer (RFC 9457), and the only place that picks an error's status.

use std::{borrow::Cow, fmt};

use poem::{
    Response,
    error::{MethodNotAllowedError, NotFoundError, ResponseError},
    http::{HeaderName, HeaderValue, StatusCode, header},
};
use poem_openapi::{
    Enum, Object,
    error::{AuthorizationError, ParsePathError},
    types::Example,
};
use serde::Serialize;

use crate::db::DbError;

/// The media type of [`Problem`] (RFC 9457, section 6.1).
pub const MEDIA_TYPE: &str = "application/problem+json";

/// Seconds after which a client may try again.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("1");

/// What went wrong; clients branch on it, so a released code keeps its meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum, Serialize)]
#[oai(rename = "ProblemCode", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum Code {
    /// The request is not well-formed: a body that is not JSON, or a header that cannot be read.
    MalformedRequest,
    /// No bearer token was sent.
    TokenMissing,
    /// The token's time is over; a new one is needed.
    TokenExpired,
    /// The token is malformed, forged, or not meant for this server.
    TokenInvalid,
    /// The task belongs to another user.
    TaskForbidden,
    /// There is no task with this id.
    TaskNotFound,
    /// There is no such path.
    RouteNotFound,
    /// The path does not take this method; `Allow` lists those it takes.
    MethodNotAllowed,
    /// The body did not arrive in time.
    RequestTimeout,
    /// A request with the same `Idempotency-Key` is still being worked on; try again after `Retry-After`.
    IdempotencyKeyInFlight,
    /// The `Idempotency-Key` stands for a request with another body.
    IdempotencyKeyReused,
    /// The task has another version than `If-Match` expects.
    PreconditionFailed,
    /// The body is larger than the server takes.
    PayloadTooLarge,
    /// The body is not declared as `application/json`.
    UnsupportedMediaType,
    /// A body, query parameter or header breaks the rules that `errors` lists.
    ValidationFailed,
    /// An internal error; the request id finds its cause in the log.
    InternalError,
    /// The database cannot be reached, or the server is about to stop; try again after `Retry-After`.
    Unavailable,
}

impl Code {
    /// The status that answers it.
    #[must_use]
    pub const fn status(self) -> StatusCode {
        match self {
            Self::MalformedRequest => StatusCode::BAD_REQUEST,
            Self::TokenMissing | Self::TokenExpired | Self::TokenInvalid => StatusCode::UNAUTHORIZED,
            Self::TaskForbidden => StatusCode::FORBIDDEN,
            Self::TaskNotFound | Self::RouteNotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::RequestTimeout => StatusCode::REQUEST_TIMEOUT,
            Self::IdempotencyKeyInFlight => StatusCode::CONFLICT,
            Self::PreconditionFailed => StatusCode::PRECONDITION_FAILED,
            Self::PayloadTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::IdempotencyKeyReused | Self::ValidationFailed => StatusCode::UNPROCESSABLE_ENTITY,
            Self::InternalError => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    const fn title(self) -> &'static str {
        match self {
            Self::MalformedRequest => "The request is malformed",
            Self::TokenMissing => "A bearer token is required",
            Self::TokenExpired => "The token has expired",
            Self::TokenInvalid => "The token is not valid",
            Self::TaskForbidden => "The task belongs to another user",
            Self::TaskNotFound => "There is no such task",
            Self::RouteNotFound => "There is no such path",
            Self::MethodNotAllowed => "The path does not take this method",
            Self::RequestTimeout => "The request did not arrive in time",
            Self::IdempotencyKeyInFlight => "The idempotency key is in flight",
            Self::IdempotencyKeyReused => "The idempotency key stands for another request",
            Self::PreconditionFailed => "The task has changed",
            Self::PayloadTooLarge => "The body is too large",
            Self::UnsupportedMediaType => "The body must be application/json",
            Self::ValidationFailed => "The request breaks the contract",
            Self::InternalError => "Internal server error",
            Self::Unavailable => "The service is not available for the moment",
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

/// One rule that the request breaks, and where.
#[derive(Debug, Clone, PartialEq, Eq, Object, Serialize)]
#[oai(skip_serializing_if_is_none)]
pub struct Violation {
    /// JSON pointer (RFC 6901) into the body; absent where a parameter is at fault.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pointer: Option<String>,
    /// Name of the query parameter or header; absent where the body is at fault.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parameter: Option<String>,
    /// The rule, in words.
    pub detail: String,
}

/// A request that failed, and why.
#[derive(Debug, Clone)]
pub struct Problem {
    code: Code,
    detail: Cow<'static, str>,
    errors: Vec<Violation>,
    headers: Vec<(HeaderName, HeaderValue)>,
    /// What failed inside the server: for the log alone.
    cause: Option<String>,
}

impl Problem {
    /// A problem with a sentence for the developer who reads it; it must name no secret and no cause inside the server.
    #[must_use]
    pub fn new(code: Code, detail: impl Into<Cow<'static, str>>) -> Self {
        let headers = match code.status() {
            StatusCode::UNAUTHORIZED => vec![(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))],
            StatusCode::CONFLICT | StatusCode::SERVICE_UNAVAILABLE => vec![(header::RETRY_AFTER, RETRY_AFTER)],
            _ => Vec::new(),
        };
        Self { code, detail: detail.into(), errors: Vec::new(), headers, cause: None }
    }

    /// A request that breaks the rules listed.
    #[must_use]
    pub fn validation(errors: Vec<Violation>) -> Self {
        Self { errors, ..Self::new(Code::ValidationFailed, "see `errors` for every rule that the request breaks") }
    }

    /// A token that was sent and refused, with the challenge of RFC 6750, section 3.
    #[must_use]
    pub fn invalid_token(code: Code, reason: impl Into<Cow<'static, str>>) -> Self {
        let reason = reason.into();
        let challenge = format!(r#"Bearer error="invalid_token", error_description="{reason}""#);
        let challenge = HeaderValue::try_from(challenge).unwrap_or(HeaderValue::from_static("Bearer"));
        Self { headers: vec![(header::WWW_AUTHENTICATE, challenge)], ..Self::new(code, reason) }
    }

    /// A failure inside the server: the cause goes to the log and nowhere else.
    #[must_use]
    pub fn internal(cause: &dyn fmt::Display) -> Self {
        Self::new(Code::InternalError, "the request id finds the cause in the server's log").caused_by(cause)
    }

    /// Adds what failed inside the server: it goes to the log and nowhere else.
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

    /// What went wrong.
    #[must_use]
    pub const fn code(&self) -> Code {
        self.code
    }

    /// What failed inside the server; it must not reach a client.
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

    pub(crate) fn document(self, request_id: &str) -> ProblemDocument {
        ProblemDocument {
            r#type: format!("urn:todo-api:problem:{}", self.code),
            title: self.code.title().to_owned(),
            status: self.code.status().as_u16(),
            detail: self.detail.into_owned(),
            instance: request_id.to_owned(),
            code: self.code,
            errors: self.errors,
        }
    }
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

impl From<DbError> for Problem {
    fn from(error: DbError) -> Self {
        let detail = match error {
            DbError::Unavailable(_) | DbError::Refused(_) | DbError::Unsuitable(_) => {
                "the database cannot be reached; nothing was changed"
            }
            DbError::Unknown(_) => {
                "the database did not answer; whether the change was made is unknown: read before you repeat"
            }
            DbError::Unique(_) | DbError::ForeignKey(_) | DbError::Internal(_) => return Self::internal(&error),
        };
        Self::new(Code::Unavailable, detail).caused_by(&error)
    }
}

/// What poem and poem-openapi answer by themselves, in our form.
impl From<poem::Error> for Problem {
    fn from(error: poem::Error) -> Self {
        let error = match error.downcast::<Self>() {
            Ok(problem) => return problem,
            Err(error) => error,
        };
        if error.is::<AuthorizationError>() {
            Self::new(Code::TokenMissing, "send the header `Authorization: Bearer <token>`")
        } else if error.is::<ParsePathError>() {
            Self::new(Code::TaskNotFound, "no task has such an id: ids are lower-case UUIDs with hyphens")
        } else if error.is::<NotFoundError>() || error.is::<poem::error::ParsePathError>() {
            Self::new(Code::RouteNotFound, "see /docs for the paths there are")
        } else if error.is::<MethodNotAllowedError>() {
            Self::new(Code::MethodNotAllowed, "see the header `Allow` for the methods there are")
        } else if error.status().is_client_error() {
            Self::new(Code::MalformedRequest, "the request is not what it should be")
        } else {
            Self::internal(&error)
        }
    }
}

/// The body of every error answer: a problem document (RFC 9457).
#[derive(Debug, Object, Serialize)]
#[oai(rename = "Problem", example, skip_serializing_if_is_empty)]
pub(crate) struct ProblemDocument {
    /// A URN that names the kind of problem: `urn:todo-api:problem:` and the code.
    r#type: String,
    /// The kind of problem in a few words, always the same for a code.
    title: String,
    /// The status of the answer.
    status: u16,
    /// What is wrong with this request, and how to fix it.
    detail: String,
    /// The id of the request, also in the header `X-Request-Id`.
    instance: String,
    /// The kind of problem, for programs.
    code: Code,
    /// Every rule that the request breaks, with 422 only.
    #[oai(default)]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<Violation>,
}

impl Example for ProblemDocument {
    fn example() -> Self {
        let detail = "is required".to_owned();
        Problem::validation(vec![Violation { pointer: Some("/title".to_owned()), parameter: None, detail }])
            .document(EXAMPLE_REQUEST_ID)
    }
}

/// The id of the request in examples.
pub(crate) const EXAMPLE_REQUEST_ID: &str = "019aa5d0-6b1e-7c3a-9a55-3d1f0c7b2e88";
