//! The trace of a request.

mod caller;

use opentelemetry::trace::{SpanContext, SpanId, TraceId};
use poem::http::HeaderMap;

/// The trace that a request belongs to, if its caller named one.
#[derive(Debug)]
pub struct RequestTrace {
    caller: Option<SpanContext>,
}

impl RequestTrace {
    /// The trace of the request with these headers.
    #[must_use]
    pub fn begin(headers: &HeaderMap) -> Self {
        Self { caller: caller::span(headers) }
    }

    /// The ids for the log line.
    #[must_use]
    pub fn ids(&self) -> Option<(TraceId, SpanId)> {
        self.caller.as_ref().map(|caller| (caller.trace_id(), caller.span_id()))
    }
}
