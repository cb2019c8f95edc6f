//! The export of spans by OTLP over HTTP. The SDK collects and encodes them, on a thread of its own.

use std::{
    error::Error,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::HttpsConnector;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use opentelemetry::Context;
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_otlp::{Protocol, SpanExporter as Otlp, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    trace::{BatchConfigBuilder, BatchSpanProcessor, Span, SpanData, SpanExporter, SpanProcessor},
};
use poem::http::{HeaderMap, HeaderValue, Request, Response, Uri, header};
use rustls::RootCertStore;
use tokio::{runtime::Handle, time::timeout};

use crate::{telemetry::metrics, tls};

/// Spans that may wait.
const QUEUE: usize = 2048;
/// Spans of one export, and the longest pause between two.
const BATCH: usize = 512;
const PAUSE: Duration = Duration::from_secs(1);
/// Maximum size of a response in bytes.
const ANSWER: usize = 64 * 1024;
const USER_AGENT: HeaderValue = HeaderValue::from_static(concat!("todo-api/", env!("CARGO_PKG_VERSION")));

/// The address without its query, which may contain a secret.
pub(super) fn address(uri: &Uri) -> String {
    let address = uri.to_string();
    address.split_once('?').map_or_else(|| address.clone(), |(address, _)| address.to_owned())
}

/// An exporter to this address.
///
/// # Errors
///
/// If it cannot be set up.
pub(super) fn exporter(
    url: &Uri,
    mut headers: HeaderMap,
    timeout: Duration,
    authorities: RootCertStore,
    runtime: Handle,
) -> Result<Otlp, String> {
    headers.entry(header::USER_AGENT).or_insert(USER_AGENT);
    let connector = tls::connector(authorities).map_err(|error| error.to_string())?;
    let client = Client::builder(TokioExecutor::new()).build(connector);
    let exporter = Otlp::builder()
        .with_http()
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(url.to_string())
        .with_timeout(timeout)
        .with_http_client(Sender { client, headers, timeout, runtime, fails: AtomicBool::new(false) });
    exporter.build().map_err(|error| error.to_string())
}

/// Sends spans in batches, from a bounded queue.
pub(super) fn processor(exporter: Otlp, queue: Arc<Queue>) -> impl SpanProcessor + 'static {
    let batches = BatchConfigBuilder::default()
        .with_max_queue_size(QUEUE)
        .with_max_export_batch_size(BATCH)
        .with_scheduled_delay(PAUSE);
    let exporter = Counted { exporter, queue: queue.clone() };
    let batches = BatchSpanProcessor::builder(exporter).with_batch_config(batches.build());
    Bounded { batches: batches.build(), queue }
}

/// Counts spans. The SDK has a bound, too, but reports the spans beyond it only when the process ends.
#[derive(Debug, Default)]
pub(super) struct Queue {
    waiting: AtomicUsize,
    /// Spans that had no room or were not taken, and that the log has not reported yet.
    lost: AtomicUsize,
}

impl Queue {
    /// Spans that wait or are being sent.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    fn lose(&self, spans: usize) {
        self.lost.fetch_add(spans, Ordering::Relaxed);
        if let Some(metrics) = metrics::metrics() {
            metrics.lost_spans(spans);
        }
    }
}

/// The entrance of the queue.
#[derive(Debug)]
struct Bounded {
    batches: BatchSpanProcessor,
    queue: Arc<Queue>,
}

impl SpanProcessor for Bounded {
    fn on_start(&self, _: &mut Span, _: &Context) {}

    fn on_end(&self, span: SpanData) {
        if self.queue.waiting.fetch_add(1, Ordering::Relaxed) >= QUEUE {
            self.queue.waiting.fetch_sub(1, Ordering::Relaxed);
            self.queue.lose(1);
        } else {
            self.batches.on_end(span);
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.batches.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.batches.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.batches.set_resource(resource);
    }
}

/// The exit of the queue.
#[derive(Debug)]
struct Counted {
    exporter: Otlp,
    queue: Arc<Queue>,
}

impl SpanExporter for Counted {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len();
        let outcome = self.exporter.export(batch).await;
        self.queue.waiting.fetch_sub(spans, Ordering::Relaxed);
        if outcome.is_err() {
            self.queue.lose(spans);
            return outcome;
        }
        let lost = self.queue.lost.swap(0, Ordering::Relaxed);
        if lost > 0 {
            tracing::warn!(lost, "spans were lost");
        }
        outcome
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

/// Sends requests.
#[derive(Debug)]
struct Sender {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    headers: HeaderMap,
    timeout: Duration,
    /// The thread of the queue has no runtime of its own.
    runtime: Handle,
    /// Whether the last request failed.
    fails: AtomicBool,
}

impl Sender {
    async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, String> {
        let sent = self.client.request(request.map(Full::new));
        let answer = async {
            let (parts, body) = sent.await.map_err(|error| root(&error))?.into_parts();
            let body = Limited::new(body, ANSWER).collect().await.map_err(|error| root(error.as_ref()))?;
            Ok(Response::from_parts(parts, body.to_bytes()))
        };
        let limit = self.timeout;
        let answer = self.runtime.spawn(async move { timeout(limit, answer).await });
        let answer = answer.await.map_err(|error| error.to_string())?;
        answer.unwrap_or_else(|_| Err(format!("no answer within {} ms", limit.as_millis())))
    }
}

#[async_trait]
impl HttpClient for Sender {
    async fn send_bytes(&self, mut request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        // Last, because the exporter also reads them from the environment, which an option replaces.
        request.headers_mut().extend(self.headers.clone());
        let answer = self.send(request).await;
        let error = match &answer {
            Ok(answer) if answer.status().is_success() => None,
            Ok(answer) => Some(format!("the answer was {}", answer.status())),
            Err(error) => Some(error.clone()),
        };
        // Warns once for each outage.
        match (error, self.fails.load(Ordering::Relaxed)) {
            (Some(error), false) => tracing::warn!(error, "traces cannot be exported"),
            (Some(error), true) => tracing::debug!(error, "traces cannot be exported"),
            (None, true) => tracing::info!("traces are exported again"),
            (None, false) => {}
        }
        self.fails.store(!answer.as_ref().is_ok_and(|answer| answer.status().is_success()), Ordering::Relaxed);
        answer.map_err(Into::into)
    }
}

/// The innermost error, which has the actual reason.
fn root(error: &(dyn Error + 'static)) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}
