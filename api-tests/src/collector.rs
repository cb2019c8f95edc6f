//! A collector of OpenTelemetry: receives traces by OTLP over HTTP, and decodes them with the official messages.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    io::{BufRead, BufReader, Read, Write},
    net::TcpListener,
    sync::{Arc, Condvar, Mutex},
    thread,
    time::Duration,
};

use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::{KeyValue, any_value::Value},
    trace::v1::{self, span::SpanKind, status::StatusCode},
};
use prost::Message;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// Time limit for any operation on a loaded machine.
const PATIENCE: Duration = Duration::from_mins(1);

/// A span that a server has exported. Ids are in hex.
#[derive(Debug, Clone)]
pub struct ExportedSpan {
    /// The id of its trace.
    pub trace: String,
    /// Its own id.
    pub id: String,
    /// The id of its parent; empty if it has none.
    pub parent: String,
    /// The vendors' part of the trace.
    pub state: String,
    /// Its name.
    pub name: String,
    /// Its place in a call.
    pub kind: SpanKind,
    /// Its attributes.
    pub attributes: BTreeMap<String, String>,
    /// The text of its error, if it failed.
    pub error: Option<String>,
    /// When it began and ended, in nanoseconds since 1970.
    pub time: (u64, u64),
    /// The attributes of the process.
    pub resource: BTreeMap<String, String>,
}

impl ExportedSpan {
    /// An attribute; empty if it is absent.
    pub fn get(&self, name: &str) -> &str {
        self.attributes.get(name).map_or("", String::as_str)
    }
}

/// A collector on its own port.
#[derive(Debug)]
pub struct Collector {
    url: String,
    state: Arc<State>,
}

#[derive(Debug)]
struct State {
    seen: Mutex<Seen>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Seen {
    /// The status of the next answers; none makes requests wait.
    status: Option<&'static str>,
    /// The head of each request, in lower case.
    heads: Vec<String>,
    spans: Vec<ExportedSpan>,
}

impl Collector {
    /// A collector that takes everything.
    pub fn start() -> Self {
        Self::with(Some("200 OK"), None)
    }

    /// A collector with answers of this status, or with none.
    pub fn answering(status: Option<&'static str>) -> Self {
        Self::with(status, None)
    }

    /// A collector that speaks TLS, with this certificate.
    pub fn with_tls(tls: ServerConfig) -> Self {
        Self::with(Some("200 OK"), Some(Arc::new(tls)))
    }

    fn with(status: Option<&'static str>, tls: Option<Arc<ServerConfig>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let url = format!("{}://localhost:{port}", if tls.is_some() { "https" } else { "http" });
        let seen = Mutex::new(Seen { status, ..Seen::default() });
        let state = Arc::new(State { seen, changed: Condvar::new() });
        let serving = state.clone();
        thread::spawn(move || {
            for connection in listener.incoming().map_while(Result::ok) {
                let (state, tls) = (serving.clone(), tls.clone());
                thread::spawn(move || match tls {
                    Some(tls) => state.serve(StreamOwned::new(ServerConnection::new(tls).unwrap(), connection)),
                    None => state.serve(connection),
                });
            }
        });
        Self { url, state }
    }

    /// Its address, for `OTEL_EXPORTER_OTLP_ENDPOINT`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Sets the status of the answers, also to requests that wait.
    pub fn answer(&self, status: &'static str) {
        self.state.seen.lock().unwrap().status = Some(status);
        self.state.changed.notify_all();
    }

    /// The spans so far. A server that has ended has sent all of its own.
    pub fn spans(&self) -> Vec<ExportedSpan> {
        self.state.seen.lock().unwrap().spans.clone()
    }

    /// The head of each request so far, in lower case.
    pub fn heads(&self) -> Vec<String> {
        self.state.seen.lock().unwrap().heads.clone()
    }

    /// Waits until more than this many requests have come.
    pub fn wait_for_more_than(&self, requests: usize) {
        let seen = self.state.seen.lock().unwrap();
        let few = |seen: &mut Seen| seen.heads.len() <= requests;
        let (seen, waited) = self.state.changed.wait_timeout_while(seen, PATIENCE, few).unwrap();
        drop(seen);
        assert!(!waited.timed_out(), "no more than {requests} requests have come");
    }
}

impl State {
    /// Answers the requests of a connection. Keeps the spans of those with a success.
    fn serve(&self, connection: impl Read + Write) {
        let mut connection = BufReader::new(connection);
        while let Some((head, body)) = read(&mut connection) {
            let request = ExportTraceServiceRequest::decode(body.as_slice()).unwrap();
            let mut seen = self.seen.lock().unwrap();
            seen.heads.push(head);
            self.changed.notify_all();
            let mut seen = self.changed.wait_while(seen, |seen| seen.status.is_none()).unwrap();
            let status = seen.status.unwrap_or_default();
            if status.starts_with('2') {
                seen.spans.extend(spans(request));
            }
            drop(seen);
            // The server may have ended.
            drop(write!(connection.get_mut(), "HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n"));
            drop(connection.get_mut().flush());
        }
    }
}

fn read(connection: &mut impl BufRead) -> Option<(String, Vec<u8>)> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if connection.read_line(&mut head).ok()? == 0 {
            return None;
        }
    }
    let head = head.to_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
    let mut body = vec![0; length.parse().unwrap()];
    connection.read_exact(&mut body).ok()?;
    Some((head, body))
}

fn spans(request: ExportTraceServiceRequest) -> Vec<ExportedSpan> {
    let mut spans = Vec::new();
    for of_process in request.resource_spans {
        let resource = attributes(of_process.resource.unwrap_or_default().attributes);
        let all = of_process.scope_spans.into_iter().flat_map(|scope| scope.spans);
        spans.extend(all.map(|span| exported(span, &resource)));
    }
    spans
}

fn exported(span: v1::Span, resource: &BTreeMap<String, String>) -> ExportedSpan {
    let kind = span.kind();
    let status = span.status.unwrap_or_default();
    ExportedSpan {
        trace: hex(&span.trace_id),
        id: hex(&span.span_id),
        parent: hex(&span.parent_span_id),
        state: span.trace_state,
        name: span.name,
        kind,
        attributes: attributes(span.attributes),
        error: (status.code() == StatusCode::Error).then_some(status.message),
        time: (span.start_time_unix_nano, span.end_time_unix_nano),
        resource: resource.clone(),
    }
}

fn attributes(all: Vec<KeyValue>) -> BTreeMap<String, String> {
    let text = |value| match value {
        Some(Value::StringValue(text)) => text,
        Some(Value::IntValue(number)) => number.to_string(),
        other => format!("{other:?}"),
    };
    all.into_iter().map(|one| (one.key, text(one.value.and_then(|value| value.value)))).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}
