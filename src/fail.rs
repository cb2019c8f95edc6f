//! How an operation fails, as the document declares it: with which statuses, and a [`Problem`] as the body.

use poem_openapi::{
    ApiResponse,
    registry::{MetaHeader, MetaMediaType, MetaResponse, MetaResponses, Registry},
    types::{Example, ToJSON, Type},
};

use crate::{
    db::DbError,
    problem::{Code, EXAMPLE_REQUEST_ID, MEDIA_TYPE, Problem, ProblemDocument},
};

/// An operation on one task: it may be missing, or another user's.
pub const ITEM: u8 = 1;
/// An operation that takes a body.
pub const BODY: u8 = 2;
/// An operation that takes `If-Match`.
pub const IF_MATCH: u8 = 4;
/// An operation that takes `If-None-Match`.
pub const IF_NONE_MATCH: u8 = 8;
/// An operation that takes `Idempotency-Key`.
pub const KEY: u8 = 16;
const ANY: u8 = u8::MAX;

/// What an operation answers when it fails: a [`Problem`] with one of the statuses that its `TRAITS` imply, so that
/// the document of each operation lists exactly the statuses it can answer.
#[derive(Debug)]
pub struct Fail<const TRAITS: u8>(Problem);

/// Status, the traits that imply it, description.
const RESPONSES: [(u16, u8, &str); 12] = [
    (400, ANY, "The body is not JSON, or a header cannot be read."),
    (401, ANY, "No token, or one that is malformed, expired or otherwise not valid."),
    (403, ITEM, "The task belongs to another user."),
    (404, ITEM, "There is no such task, or the id is not a lower-case UUID."),
    (408, BODY, "The body did not arrive in time."),
    (409, KEY, "A request with the same `Idempotency-Key` is still being worked on."),
    (412, IF_MATCH, "The task has another version than `If-Match` expects; nothing was changed."),
    (413, BODY, "The body is larger than 64 KiB."),
    (415, BODY, "The body is not declared as `application/json`."),
    (
        422,
        ANY,
        "The body or a parameter breaks the rules that `errors` lists, or the `Idempotency-Key` stands for another \
         request; nothing was changed.",
    ),
    (500, ANY, "An internal error; the answer says nothing of its cause."),
    (
        503,
        ANY,
        "The database cannot be reached, or the server is about to stop. Nothing was changed, unless `detail` says that \
         it is unknown whether the change was made.",
    ),
];

impl<const TRAITS: u8> From<Problem> for Fail<TRAITS> {
    fn from(problem: Problem) -> Self {
        Self(problem)
    }
}

impl<const TRAITS: u8> From<DbError> for Fail<TRAITS> {
    fn from(error: DbError) -> Self {
        Self(error.into())
    }
}

impl<const TRAITS: u8> From<Fail<TRAITS>> for poem::Error {
    fn from(fail: Fail<TRAITS>) -> Self {
        fail.0.into()
    }
}

impl<const TRAITS: u8> ApiResponse for Fail<TRAITS> {
    fn meta() -> MetaResponses {
        let header = |name: &str, description: &str, schema| MetaHeader {
            name: name.to_owned(),
            description: Some(description.to_owned()),
            required: true,
            deprecated: false,
            schema,
        };
        let declared = RESPONSES.iter().filter(|(_, traits, _)| *traits == ANY || TRAITS & traits != 0);
        let responses = declared.map(|&(status, _, description)| MetaResponse {
            description,
            status: Some(status),
            status_range: None,
            content: vec![MetaMediaType { content_type: MEDIA_TYPE, schema: ProblemDocument::schema_ref() }],
            headers: match status {
                401 => vec![header(
                    "WWW-Authenticate",
                    "The challenge of RFC 6750, with the reason for a refusal.",
                    String::schema_ref(),
                )],
                409 | 503 => vec![header("Retry-After", "Seconds after which to try again.", u32::schema_ref())],
                _ => Vec::new(),
            },
        });
        MetaResponses { responses: responses.collect() }
    }

    fn register(registry: &mut Registry) {
        ProblemDocument::register(registry);
    }
}

/// A problem with this status, as the document shows it.
#[must_use]
pub fn example(status: &str) -> serde_json::Value {
    let (code, detail) = match status {
        "400" => (Code::MalformedRequest, "the body is not JSON: expected value at line 1 column 1"),
        "401" => (Code::TokenExpired, "the token has expired"),
        "403" => (Code::TaskForbidden, "only its owner may see or change it"),
        "404" => (Code::TaskNotFound, "no task has this id"),
        "408" => (Code::RequestTimeout, "send the whole body at once"),
        "409" => (Code::IdempotencyKeyInFlight, "the first request with this key has no answer yet"),
        "412" => (Code::PreconditionFailed, "read the task again: its ETag is no longer the one expected"),
        "413" => (Code::PayloadTooLarge, "send at most 65536 bytes"),
        "415" => (Code::UnsupportedMediaType, "send the header `Content-Type: application/json`"),
        "422" => return ProblemDocument::example().to_json().unwrap_or_default(),
        "503" => (Code::Unavailable, "the database cannot be reached; nothing was changed"),
        _ => (Code::InternalError, "the request id finds the cause in the server's log"),
    };
    serde_json::to_value(Problem::new(code, detail).document(EXAMPLE_REQUEST_ID)).unwrap_or_default()
}
