//! All errors: code, status, title and sentence, and the operations for which the document declares each status.

use poem::http::StatusCode;
use poem_openapi::Enum;
use serde::Serialize;

use super::{MEDIA_TYPE, Problem, ProblemDocument};
use crate::openapi::{Failure, HeaderType, Violation, When};

/// What went wrong; clients branch on it, so a released code keeps its meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum, Serialize)]
#[oai(rename = "ProblemCode", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum Code {
    /// The request is malformed: its body is not JSON, or one of its headers cannot be read.
    MalformedRequest,
    /// No bearer token was sent.
    TokenMissing,
    /// The token has expired; a new one is needed.
    TokenExpired,
    /// The token is malformed, forged, or not meant for this server.
    TokenInvalid,
    /// The task belongs to another user.
    TaskForbidden,
    /// No task has this id.
    TaskNotFound,
    /// There is no such path.
    RouteNotFound,
    /// The path does not take this method; `Allow` lists those that it takes.
    MethodNotAllowed,
    /// The body did not arrive in time.
    RequestTimeout,
    /// A request with the same `Idempotency-Key` is in flight; try again after `Retry-After`.
    IdempotencyKeyInFlight,
    /// The `Idempotency-Key` stands for a request with another body.
    IdempotencyKeyReused,
    /// The task has another version than `If-Match` expects, or one that `If-None-Match` excludes.
    PreconditionFailed,
    /// The body is larger than the server takes.
    PayloadTooLarge,
    /// The body is not declared as `application/json`.
    UnsupportedMediaType,
    /// A body, query parameter or header breaks the rules that `errors` lists.
    ValidationFailed,
    /// The user, or the address of a request without a valid token, sends too many requests; try again after
    /// `Retry-After`.
    RateLimited,
    /// An internal error; the request id finds its cause in the log.
    InternalError,
    /// The database cannot be reached, or the server is about to stop; try again after `Retry-After`.
    Unavailable,
}

/// All that there is to say about a code.
pub(super) struct Definition {
    pub(super) status: StatusCode,
    /// The kind of problem in a few words: `title`.
    pub(super) title: &'static str,
    /// The default of `detail`. The place that finds the problem may have a more precise sentence. `{limit}` stands for the
    /// maximum size of a body in bytes.
    pub(super) detail: &'static str,
    pub(super) header: Option<CommonHeader>,
    /// Of the codes that share a status, one declares it.
    declared: Option<Declared>,
}

/// How the document declares a status.
struct Declared {
    when: When,
    /// `{size}` stands for the maximum size of a body.
    description: &'static str,
    /// `detail` of the example, if it is not the default.
    example: Option<&'static str>,
}

/// A header of every answer with a code.
#[derive(Clone, Copy)]
pub(super) struct CommonHeader {
    pub(super) name: &'static str,
    /// Its default value.
    pub(super) value: &'static str,
    description: &'static str,
    kind: HeaderType,
}

const CHALLENGE: CommonHeader = CommonHeader {
    name: "WWW-Authenticate",
    value: "Bearer",
    description: "The challenge of RFC 6750, with the reason for a refusal.",
    kind: HeaderType::Text,
};

const RETRY_AFTER: CommonHeader = CommonHeader {
    name: "Retry-After",
    value: "1",
    description: "Seconds after which to try again.",
    kind: HeaderType::Number,
};

const fn define(status: StatusCode, title: &'static str, detail: &'static str) -> Definition {
    Definition { status, title, detail, header: None, declared: None }
}

impl Definition {
    const fn header(self, header: CommonHeader) -> Self {
        Self { header: Some(header), ..self }
    }

    const fn declared(self, when: When, description: &'static str) -> Self {
        Self { declared: Some(Declared { when, description, example: None }), ..self }
    }

    const fn example(self, detail: &'static str) -> Self {
        let declared = match self.declared {
            Some(Declared { when, description, .. }) => Some(Declared { when, description, example: Some(detail) }),
            None => None,
        };
        Self { declared, ..self }
    }
}

impl Code {
    /// All codes, by status.
    pub(in crate::http) const ALL: [Self; 18] = [
        Self::MalformedRequest,
        Self::TokenMissing,
        Self::TokenExpired,
        Self::TokenInvalid,
        Self::TaskForbidden,
        Self::TaskNotFound,
        Self::RouteNotFound,
        Self::MethodNotAllowed,
        Self::RequestTimeout,
        Self::IdempotencyKeyInFlight,
        Self::PreconditionFailed,
        Self::PayloadTooLarge,
        Self::UnsupportedMediaType,
        Self::ValidationFailed,
        Self::IdempotencyKeyReused,
        Self::RateLimited,
        Self::InternalError,
        Self::Unavailable,
    ];

    /// The status of the answer.
    #[must_use]
    pub const fn status(self) -> StatusCode {
        self.definition().status
    }

    #[allow(clippy::too_many_lines, reason = "the table of all codes")]
    pub(super) const fn definition(self) -> Definition {
        use StatusCode as S;
        match self {
            Self::MalformedRequest => {
                define(S::BAD_REQUEST, "The request is malformed", "the request is not what it should be")
                    .declared(When::Always, "The body is not JSON or has a name twice, or a header cannot be read.")
                    .example("the body is not JSON: expected value at line 1 column 1")
            }
            Self::TokenMissing => {
                define(S::UNAUTHORIZED, "A bearer token is required", "send the header `Authorization: Bearer <token>`")
                    .header(CHALLENGE)
            }
            Self::TokenExpired => define(S::UNAUTHORIZED, "The token has expired", "the token has expired")
                .header(CHALLENGE)
                .declared(When::Secured, "No token, or one that is malformed, expired or otherwise not valid."),
            Self::TokenInvalid => {
                define(S::UNAUTHORIZED, "The token is not valid", "the token is not valid").header(CHALLENGE)
            }
            Self::TaskForbidden => {
                define(S::FORBIDDEN, "The task belongs to another user", "only its owner may see or change it")
                    .declared(When::PathParameter, "The task belongs to another user.")
            }
            Self::TaskNotFound => define(S::NOT_FOUND, "There is no such task", "no task has this id")
                .declared(When::PathParameter, "There is no such task, or the id is not a lower-case UUID."),
            Self::RouteNotFound => define(S::NOT_FOUND, "There is no such path", "see /docs for the paths there are"),
            Self::MethodNotAllowed => define(
                S::METHOD_NOT_ALLOWED,
                "The path does not take this method",
                "see the header `Allow` for the methods there are",
            ),
            Self::RequestTimeout => {
                define(S::REQUEST_TIMEOUT, "The request did not arrive in time", "send the whole body at once")
                    .declared(When::Body, "The body did not arrive in time.")
            }
            Self::IdempotencyKeyInFlight => define(
                S::CONFLICT,
                "The idempotency key is in flight",
                "the first request with this key has no answer yet",
            )
            .header(RETRY_AFTER)
            .declared(
                When::Header("Idempotency-Key"),
                "A request with the same `Idempotency-Key` is still being worked on.",
            ),
            Self::IdempotencyKeyReused => define(
                S::UNPROCESSABLE_ENTITY,
                "The idempotency key stands for another request",
                "a new request needs a new Idempotency-Key",
            ),
            Self::PreconditionFailed => define(
                S::PRECONDITION_FAILED,
                "The task has changed",
                "read the task again: its ETag is no longer the one expected",
            )
            .declared(
                When::Header("If-Match"),
                "The task has another version than `If-Match` expects, or one that `If-None-Match` excludes; nothing was \
                 changed. A weak tag in `If-Match` never matches.",
            ),
            Self::PayloadTooLarge => define(S::PAYLOAD_TOO_LARGE, "The body is too large", "send at most {limit} bytes")
                .declared(When::Body, "The body is larger than {size}."),
            Self::UnsupportedMediaType => define(
                S::UNSUPPORTED_MEDIA_TYPE,
                "The body must be application/json",
                "send the header `Content-Type: application/json`",
            )
            .declared(When::Body, "The body is not declared as `application/json`, or it is encoded."),
            Self::ValidationFailed => define(
                S::UNPROCESSABLE_ENTITY,
                "The request breaks the contract",
                "see `errors` for every rule that the request breaks",
            )
            .declared(
                When::Always,
                "The body or a parameter breaks the rules that `errors` lists, or the `Idempotency-Key` stands for \
                 another request; nothing was changed.",
            ),
            Self::RateLimited => define(
                S::TOO_MANY_REQUESTS,
                "Too many requests",
                "too many requests in a short time; nothing was changed: try again in a second",
            )
            .header(RETRY_AFTER)
            .declared(
                When::Always,
                "The user, or the address of a request without a valid token, sends more requests than the operator of the \
                 server allows; nothing was changed. By default there is no such limit.",
            ),
            Self::InternalError => define(
                S::INTERNAL_SERVER_ERROR,
                "Internal server error",
                "the request id finds the cause in the server's log",
            )
            .declared(When::Always, "An internal error; the answer says nothing of its cause."),
            Self::Unavailable => define(
                S::SERVICE_UNAVAILABLE,
                "The service is not available for the moment",
                "the database cannot be reached; nothing was changed",
            )
            .header(RETRY_AFTER)
            .declared(
                When::Always,
                "The database cannot be reached, or the server is about to stop. Nothing was changed, unless `detail` \
                 says that it is unknown whether the change was made.",
            ),
        }
    }
}

/// The id of the request in examples.
const REQUEST_ID: &str = "019aa5d0-6b1e-7c3a-9a55-3d1f0c7b2e88";

/// An example, as part of the document.
pub(super) fn example(problem: Problem) -> ProblemDocument {
    problem.document(REQUEST_ID)
}

/// The example of a validation error.
pub(super) fn invalid() -> Problem {
    Problem::validation(vec![Violation::of_body("/title".to_owned(), "is required".to_owned())])
}

/// The errors of operations for the document, by status. `body_limit` is the maximum size of a body in bytes.
#[must_use]
pub fn failures(body_limit: usize) -> Vec<Failure> {
    let failure = |code: Code| {
        let Definition { status, header, declared, .. } = code.definition();
        let Declared { when, description, example: detail } = declared?;
        let problem = match code {
            Code::ValidationFailed => invalid(),
            Code::PayloadTooLarge => Problem::payload_too_large(body_limit),
            code => detail.map_or_else(|| Problem::of(code), |detail| Problem::because(code, detail)),
        };
        Some(Failure {
            status: status.as_u16(),
            when,
            description: description.replace("{size}", &size(body_limit)),
            header: header.map(|header| (header.name, header.description, header.kind)),
            media_type: MEDIA_TYPE,
            schema: "Problem",
            example: serde_json::to_value(example(problem)).unwrap_or_default(),
        })
    };
    Code::ALL.into_iter().filter_map(failure).collect()
}

/// A number of bytes, for people.
fn size(bytes: usize) -> String {
    if bytes.is_multiple_of(1024) { format!("{} KiB", bytes / 1024) } else { format!("{bytes} bytes") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{api, openapi::Version};

    #[test]
    fn each_status_of_a_code_is_declared_once_unless_the_router_answers_it() {
        let declared: Vec<u16> = failures(1).iter().map(|failure| failure.status).collect();
        assert!(declared.is_sorted_by(|one, other| one < other), "{declared:?}");
        for code in Code::ALL {
            let by_router = code == Code::MethodNotAllowed;
            assert!(by_router || declared.contains(&code.status().as_u16()), "{code:?}");
        }
        let document = api::document(api::DEFAULT_SERVER, Version::V3_1).unwrap();
        let codes = document["components"]["schemas"]["ProblemCode"]["enum"].as_array().unwrap();
        let all: Vec<_> = Code::ALL.iter().map(ToString::to_string).collect();
        assert!(codes.iter().all(|code| all.iter().any(|one| code == one)), "ALL lacks a code");
    }
}
