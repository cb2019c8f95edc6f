//! The traces. They are off until [`start`], but the log always names the trace of the caller.
//!
//! Names and attributes of spans are those of OpenTelemetry's semantic conventions. Not all of them: a path or a query may
//! have anything that a client sends, so a span has the route alone.

mod caller;
mod export;

use std::{
    fmt::{self, Display},
    sync::{Arc, OnceLock},
    time::Duration,
};

use futures_util::future::Either;
use opentelemetry::{
    Context, KeyValue, Value,
    trace::{
        FutureExt, Span as _, SpanContext, SpanId, SpanKind, Status, TraceContextExt, TraceId, Tracer, TracerProvider,
    },
};
use opentelemetry_sdk::{
    Resource,
    trace::{Sampler, SdkTracer, SdkTracerProvider, Span},
};
use poem::http::{HeaderMap, Method, Uri};
use rustls::RootCertStore;
use tokio::runtime::Handle;

use self::export::Queue;
use super::metrics;

/// Longest wait for the last spans to be exported, at the shutdown.
const PATIENCE: Duration = Duration::from_secs(2);

static TRACES: OnceLock<Traces> = OnceLock::new();

/// Where spans go, and which.
pub struct Config {
    /// The address that takes traces by OTLP over HTTP. Its query may be secret.
    pub url: Uri,
    /// Headers for it, such as a key. They may be secret.
    pub headers: HeaderMap,
    /// Time limit of an export.
    pub timeout: Duration,
    /// The authorities to trust.
    pub authorities: RootCertStore,
    /// The name of this server in traces.
    pub service: String,
    /// Chooses the traces.
    pub sampler: Sampler,
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config").field("url", &export::address(&self.url)).finish_non_exhaustive()
    }
}

/// The traces of this process.
#[derive(Debug)]
struct Traces {
    tracer: SdkTracer,
    provider: SdkTracerProvider,
    queue: Arc<Queue>,
}

/// Starts the export. The runtime sends the spans.
///
/// # Errors
///
/// If the exporter cannot be set up.
pub fn start(config: Config, runtime: Handle) -> Result<(), String> {
    let Config { url, headers, timeout, authorities, service, sampler } = config;
    let queue = Arc::<Queue>::default();
    let exporter = export::exporter(&url, headers, timeout, authorities, runtime)?;
    let resource = Resource::builder()
        .with_service_name(service)
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")));
    let provider = SdkTracerProvider::builder()
        .with_sampler(sampler)
        .with_resource(resource.build())
        .with_span_processor(export::processor(exporter, queue.clone()))
        .build();
    tracing::info!(url = %export::address(&url), "exporting traces");
    TRACES.get_or_init(|| Traces { tracer: provider.tracer(env!("CARGO_PKG_NAME")), provider, queue });
    Ok(())
}

/// Exports the spans that wait, within two seconds.
pub fn end() {
    if let Some(traces) = TRACES.get()
        && traces.provider.shutdown_with_timeout(PATIENCE).is_err()
    {
        tracing::warn!(lost = traces.queue.waiting(), "the last spans were lost");
    }
}

/// The trace of a request: that of its caller or, if there is none and traces are exported, a new one.
#[derive(Debug)]
pub struct RequestTrace {
    caller: Option<SpanContext>,
    method: &'static str,
    /// Has the span of the request. It ends with the last reference, if the client disconnects.
    context: Option<Context>,
}

impl RequestTrace {
    /// Begins the span of a request, if it `is_traced` and traces are on.
    #[must_use]
    pub fn begin(method: &Method, headers: &HeaderMap, is_traced: bool) -> Self {
        let (caller, method) = (caller::span(headers), metrics::known_method(method.as_str()));
        let context = TRACES.get().filter(|_| is_traced).map(|Traces { tracer, .. }| {
            let parent = caller.clone().map_or_else(Context::new, |span| Context::new().with_remote_span_context(span));
            let attributes = [KeyValue::new("http.request.method", method), KeyValue::new("url.scheme", "http")];
            let span = tracer.span_builder(method).with_kind(SpanKind::Server).with_attributes(attributes);
            parent.with_span(span.start_with_context(tracer, &parent))
        });
        Self { caller, method, context }
    }

    /// Does the work of the request: spans that begin in it are children of this one.
    pub fn within<F: Future>(&self, work: F) -> impl Future<Output = F::Output> + use<F> {
        match &self.context {
            Some(context) => Either::Left(work.with_context(context.clone())),
            None => Either::Right(work),
        }
    }

    /// The ids for the log line: those of the span if it is exported, or else of the caller's.
    #[must_use]
    pub fn ids(&self) -> Option<(TraceId, SpanId)> {
        let span = self.context.as_ref().map(|context| context.span().span_context().clone());
        let known = span.filter(SpanContext::is_sampled).or_else(|| self.caller.clone());
        known.map(|span| (span.trace_id(), span.span_id()))
    }

    /// Ends the span. `route` is the template of the path, `error` the code of the answer's error.
    pub fn end(&self, route: Option<&str>, status: u16, user: Option<&str>, error: Option<&str>, cause: Option<&str>) {
        let Some(context) = &self.context else { return };
        let span = context.span();
        if !span.is_recording() {
            return;
        }
        if let Some(route) = route {
            span.update_name(format!("{} {route}", self.method));
        }
        span.set_attribute(KeyValue::new("http.response.status_code", i64::from(status)));
        for (name, text) in [("http.route", route), ("user.id", user), ("error.type", error)] {
            if let Some(text) = text {
                span.set_attribute(KeyValue::new(name, text.to_owned()));
            }
        }
        // A mistake of the client is no failure of the server.
        if status >= 500 {
            span.set_status(Status::error(cause.unwrap_or_default().to_owned()));
        }
        span.end();
    }
}

/// The span of a statement or a fetch, if it is exported. It ends when it is dropped. Boxed, because futures carry it.
#[derive(Debug)]
pub struct ClientSpan(Option<Box<Span>>);

impl ClientSpan {
    /// Begins a span within that of the request, if there is one.
    fn begin(name: &'static str) -> Self {
        let span = TRACES
            .get()
            .map(|Traces { tracer, .. }| tracer.span_builder(name).with_kind(SpanKind::Client).start(tracer));
        Self(span.filter(Span::is_recording).map(Box::new))
    }

    /// Adds an attribute.
    pub fn set(&mut self, name: &'static str, value: impl Into<Value>) {
        if let Some(span) = &mut self.0 {
            span.set_attribute(KeyValue::new(name, value));
        }
    }

    /// Marks it as failed with an error of this kind.
    pub fn fail(&mut self, kind: impl Display, text: impl Display) {
        if let Some(span) = &mut self.0 {
            span.set_attribute(KeyValue::new("error.type", kind.to_string()));
            span.set_status(Status::error(text.to_string()));
        }
    }
}

/// Begins the span of a statement. `text` has placeholders instead of values.
pub fn statement(system: &'static str, operation: &'static str, text: impl FnOnce() -> String) -> ClientSpan {
    let mut span = ClientSpan::begin(operation);
    if span.0.is_some() {
        span.set("db.system.name", system);
        span.set("db.operation.name", operation);
        span.set("db.query.text", text());
    }
    span
}

/// Begins the span of a GET.
pub fn fetch(uri: &Uri) -> ClientSpan {
    let mut span = ClientSpan::begin("GET");
    if span.0.is_some() {
        let default = if uri.scheme_str() == Some("https") { 443 } else { 80 };
        span.set("http.request.method", "GET");
        span.set("server.address", uri.host().unwrap_or_default().to_owned());
        span.set("server.port", i64::from(uri.port_u16().unwrap_or(default)));
        span.set("url.full", export::address(uri));
    }
    span
}

/// Work of a task of its own that belongs to the request of the caller.
pub fn carry<F: Future>(work: F) -> impl Future<Output = F::Output> + use<F> {
    match TRACES.get() {
        Some(_) => Either::Left(work.with_current_context()),
        None => Either::Right(work),
    }
}
