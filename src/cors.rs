//! Cross-origin resource sharing (the Fetch standard), with credentials, for the origins that are configured.

use poem::http::{HeaderMap, HeaderValue, header};

const METHODS: HeaderValue = HeaderValue::from_static("GET, POST, PUT, PATCH, DELETE");
const REQUEST_HEADERS: HeaderValue =
    HeaderValue::from_static("Authorization, Content-Type, If-Match, If-None-Match, Idempotency-Key");
const EXPOSED_HEADERS: HeaderValue =
    HeaderValue::from_static("ETag, Link, Location, Retry-After, Idempotency-Replayed, X-Request-Id");
/// Seconds for which a browser may remember a preflight.
const MAX_AGE: HeaderValue = HeaderValue::from_static("600");

/// The origins whose pages may read answers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cors(Vec<HeaderValue>);

impl Cors {
    /// Origins as browsers write them, such as `https://example.com`.
    #[must_use]
    pub const fn of(origins: Vec<HeaderValue>) -> Self {
        Self(origins)
    }

    /// The origin of the request, where it is one of those configured.
    #[must_use]
    pub fn allowed(&self, request: &HeaderMap) -> Option<HeaderValue> {
        request.get(header::ORIGIN).filter(|origin| self.0.contains(origin)).cloned()
    }
}

/// Marks an answer: every one depends on the origin, and one for an allowed origin says so.
pub fn mark(answer: &mut HeaderMap, origin: Option<HeaderValue>) {
    answer.insert(header::VARY, HeaderValue::from_static("Origin"));
    if let Some(origin) = origin {
        answer.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        answer.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        answer.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED_HEADERS);
    }
}

/// Answers what a browser asks before it sends a request of an allowed origin.
pub fn permit(answer: &mut HeaderMap) {
    answer.insert(header::ACCESS_CONTROL_ALLOW_METHODS, METHODS);
    answer.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, REQUEST_HEADERS);
    answer.insert(header::ACCESS_CONTROL_MAX_AGE, MAX_AGE);
}
