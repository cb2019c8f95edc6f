//! The listener of the metrics.

use std::{future::pending, time::Duration};

use poem::{Endpoint, Request, Response, http::Method};
use tokio::{net::TcpListener, task::spawn_blocking};

use super::{
    problem::{Code, Problem},
    server::{self, Limits},
};
use crate::telemetry::metrics::Metrics;

const PATH: &str = "/metrics";
/// The format that `prometheus` writes.
const MEDIA_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";
/// Enough for a pair of Prometheus servers and some people.
const CONNECTIONS: usize = 16;
const TIMEOUT: Duration = Duration::from_secs(10);
/// More than most intervals between two scrapes.
const KEEP_ALIVE: Duration = Duration::from_mins(5);

struct Page(&'static Metrics);

impl Endpoint for Page {
    type Output = Response;

    async fn call(&self, request: Request) -> poem::Result<Response> {
        if request.uri().path() != PATH || !matches!(*request.method(), Method::GET | Method::HEAD) {
            return Err(Problem::because(Code::RouteNotFound, format!("only GET {PATH} is here")).into());
        }
        let metrics = self.0;
        // On another thread, because it reads files, and requests to the API must not wait for it.
        let text = spawn_blocking(|| metrics.text()).await.map_err(|error| Problem::internal(&error))?;
        let text = text.map_err(|error| Problem::internal(&error))?;
        Ok(Response::builder().content_type(MEDIA_TYPE).body(text))
    }
}

/// Answers Prometheus. Never returns.
pub async fn serve(listener: TcpListener, metrics: &'static Metrics) {
    let limits = Limits {
        connections: CONNECTIONS,
        first_byte: TIMEOUT,
        header: TIMEOUT,
        keep_alive: KEEP_ALIVE,
        body: TIMEOUT,
        write: TIMEOUT,
        write_rate: 1 << 10,
        unsent: 64 << 20,
        shutdown_delay: Duration::ZERO,
        shutdown_grace: Duration::ZERO,
    };
    server::serve(listener, Page(metrics), limits, None, pending()).await;
}
