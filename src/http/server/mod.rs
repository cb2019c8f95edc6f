//! The accept loop. It adds limits, timeouts and a graceful shutdown, which poem's own server does not have.

mod body;
mod connections;
mod stream;

use std::{io, pin::pin, sync::Arc, time::Duration};

use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::{rt::TokioIo, server::graceful::GracefulShutdown};
use poem::{
    Endpoint, Error, Request, RequestParts, Response,
    http::{HeaderValue, header, uri::Scheme},
    web::{LocalAddr, RemoteAddr},
};
use socket2::SockRef;
use tokio::{
    net::TcpListener,
    time::{sleep, timeout},
};

use self::{
    connections::{Connection, Connections, Phase},
    stream::Timed,
};
use crate::telemetry::metrics::{Closed, Metrics};

/// Limits of connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Maximum number of connections. At the limit, the server closes those that have been idle the longest.
    pub connections: usize,
    /// From the connection to the first byte of its first request.
    pub first_byte: Duration,
    /// From the first byte of a request to the end of its headers.
    pub header: Duration,
    /// From an answer to the first byte of the next request.
    pub keep_alive: Duration,
    /// For the body of a request.
    pub body: Duration,
    /// For the client to take an answer, in addition to the time that `write_rate` allows for the bytes taken.
    pub write: Duration,
    /// Bytes per second at which the client must take an answer that it does not take at once.
    pub write_rate: usize,
    /// Bytes of all answers that wait to be sent. Over the limit, the server gives up those that have waited the
    /// longest.
    pub unsent: usize,
    /// From the stop signal to the moment when the server stops accepting connections.
    pub shutdown_delay: Duration,
    /// From then to the end of the process.
    pub shutdown_grace: Duration,
}

/// Maximum size of a request's headers in bytes. hyper also limits their number, to 100: with another limit, it would
/// move several KiB of memory for each request.
const HEADER_BYTES: usize = 32 * 1024;
/// Unsent bytes that the kernel buffers for a connection. If it buffered megabytes, a client that reads slowly would
/// look like one that does not read at all.
const KERNEL_BUFFER: u32 = 32 * 1024;
/// Pause after an error of `accept`, such as too many open files: the loop would spin without it.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves until `stop` is done, and then for `shutdown_delay` longer, while load balancers notice that `/ready` fails.
/// Then it closes idle connections, finishes the requests in flight, and returns within `shutdown_grace`. Counts the
/// connections in these metrics.
pub async fn serve<E>(
    listener: TcpListener,
    app: E,
    limits: Limits,
    metrics: Option<&'static Metrics>,
    stop: impl Future<Output = ()>,
) where
    E: Endpoint<Output = Response> + 'static,
{
    let app = Arc::new(app);
    let local = listener.local_addr().map_or_else(|_| LocalAddr::default(), |address| LocalAddr(address.into()));
    // Accepted connections inherit these options from the listener.
    let socket = SockRef::from(&listener);
    drop(socket.set_tcp_nodelay(true).and_then(|()| socket.set_tcp_notsent_lowat(KERNEL_BUFFER)));
    let connections = Arc::new(Connections::new(limits.connections, limits.unsent, metrics));
    if let Some(metrics) = metrics {
        let connections = connections.clone();
        metrics.at_scrape(move |metrics| connections.report(metrics));
    }
    let graceful = GracefulShutdown::new();
    let mut http = http1::Builder::new();
    http.max_header_size(HEADER_BYTES).max_buf_size(HEADER_BYTES).half_close(true);
    let mut stopped = pin!(async {
        stop.await;
        sleep(limits.shutdown_delay).await;
    });
    loop {
        let accepted = async {
            let (stream, remote) = listener.accept().await?;
            Ok((stream, remote, connections.permit().await))
        };
        let accepted: io::Result<_> = tokio::select! {
            () = &mut stopped => break,
            accepted = accepted => accepted,
        };
        let (stream, remote, permit) = match accepted {
            Ok(accepted) => accepted,
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => continue,
            Err(error) => {
                connections.not_accepted(&error);
                sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let connection = connections.connection();
        let stream = TokioIo::new(Timed::new(stream, connection.clone(), connections.clone(), limits));
        let (app, local, own) = (app.clone(), local.clone(), connection.clone());
        let service = service_fn(move |request: hyper::Request<Incoming>| {
            let addresses = (local.clone(), RemoteAddr(remote.into()));
            let (app, connection) = (app.clone(), own.clone());
            async move {
                if !connection.enter(Phase::Serving) {
                    return Err(io::ErrorKind::ConnectionAborted.into());
                }
                answer(&*app, request, addresses, &connection, limits.body).await
            }
        });
        let served = graceful.watch(http.serve_connection(stream, service));
        let all = connections.clone();
        connections.spawn(connection, permit, async move {
            if let Err(error) = served.await {
                if error.is_parse() {
                    all.closed(Closed::Malformed, 1);
                }
                tracing::debug!(%error, "connection ended");
            }
        });
    }
    drop(listener);
    if timeout(limits.shutdown_grace, graceful.shutdown()).await.is_err() {
        tracing::warn!("requests were still in flight at the end of the grace period");
    }
}

/// Answers a request. If the rest of its body cannot be read within the limits, the answer has `Connection: close`:
/// hyper would parse the rest as the next request.
///
/// Not `async`, so that the future does not keep a copy of the request.
fn answer<E: Endpoint<Output = Response>>(
    app: &E,
    request: hyper::Request<Incoming>,
    (local, remote): (LocalAddr, RemoteAddr),
    connection: &Arc<Connection>,
    time: Duration,
) -> impl Future<Output = io::Result<hyper::Response<BoxBody<Bytes, io::Error>>>> {
    let (parts, body) = request.into_parts();
    // A client that sent `Expect` may not send the body after a final answer (RFC 9110, section 10.1.1).
    let asks = parts.headers.contains_key(header::EXPECT);
    let body = body::lend(body, connection);
    let request = Request::from_parts(RequestParts::from((parts, local, remote, Scheme::HTTP)), body);
    let response = app.call(request);
    async move {
        let mut response = response.await.unwrap_or_else(Error::into_response);
        if let Some(rest) = body::rest(connection)
            && (asks || response.headers().contains_key(header::CONNECTION) || !body::is_read(rest, time).await)
        {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        connection.enter(Phase::Answering);
        Ok(response.into())
    }
}
