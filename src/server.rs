//! The accept loop: connections with limits, timeouts and an orderly end, which poem's own server does not have.

use std::{
    convert::Infallible,
    io,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::{rt::TokioIo, server::graceful::GracefulShutdown};
use poem::{
    Endpoint, Response,
    http::uri::Scheme,
    web::{LocalAddr, RemoteAddr},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::{Instant, Sleep, sleep, timeout},
};

/// Bounds of connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Connections at a time; further ones wait to be accepted.
    pub connections: usize,
    /// From the connection to the first byte of its first request.
    pub first_byte: Duration,
    /// From the first byte of a request to the end of its headers.
    pub header: Duration,
    /// From an answer to the first byte of the next request.
    pub keep_alive: Duration,
    /// For the client to take some of an answer.
    pub write: Duration,
    /// From the signal to stop to the end of accepting connections.
    pub shutdown_delay: Duration,
    /// From the end of accepting connections to the end of the process.
    pub shutdown_grace: Duration,
}

/// The headers of a request, in bytes and in number.
const HEADER_BYTES: usize = 32 * 1024;
const HEADERS: usize = 64;
/// Pause after an error of `accept`, such as too many open files, which would otherwise spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves until `stop` is done; then for `shutdown_delay` longer, so that load balancers see that `/ready` has turned; then
/// closes idle connections, answers the requests in flight, and returns within `shutdown_grace`.
pub async fn serve<E>(listener: TcpListener, app: E, limits: Limits, stop: impl Future<Output = ()>)
where
    E: Endpoint<Output = Response> + 'static,
{
    let app = Arc::new(app);
    let local = listener.local_addr().map_or_else(|_| LocalAddr::default(), |address| LocalAddr(address.into()));
    let places = Arc::new(Semaphore::new(limits.connections));
    let connections = GracefulShutdown::new();
    let mut http = http1::Builder::new();
    http.max_buf_size(HEADER_BYTES).max_headers(HEADERS).half_close(true);
    let mut stopped = pin!(async {
        stop.await;
        sleep(limits.shutdown_delay).await;
    });
    loop {
        let accepted = async {
            let place = places.clone().acquire_owned().await;
            (listener.accept().await, place)
        };
        let (accepted, place) = tokio::select! {
            () = &mut stopped => break,
            accepted = accepted => accepted,
        };
        let (stream, remote) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        drop(stream.set_nodelay(true));
        let phase = Arc::new(Phase::default());
        let stream = TokioIo::new(Timed::new(stream, phase.clone(), limits));
        let (app, local) = (app.clone(), local.clone());
        let service = service_fn(move |request: hyper::Request<Incoming>| {
            phase.set(Phase::SERVING);
            let request = (request, local.clone(), RemoteAddr(remote.into()), Scheme::HTTP).into();
            let (app, phase) = (app.clone(), phase.clone());
            async move {
                let response = app.get_response(request).await;
                phase.set(Phase::IDLE);
                Ok::<_, Infallible>(hyper::Response::from(response))
            }
        });
        let connection = connections.watch(http.serve_connection(stream, service));
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "connection ended");
            }
            drop(place);
        });
    }
    drop(listener);
    if timeout(limits.shutdown_grace, connections.shutdown()).await.is_err() {
        tracing::warn!("requests were still in flight at the end of the grace period");
    }
}

/// Where a connection stands, and how often that has changed, as one number.
#[derive(Debug, Default)]
struct Phase(AtomicU32);

impl Phase {
    const NEW: u32 = 0;
    const HEADER: u32 = 1;
    const SERVING: u32 = 2;
    const IDLE: u32 = 3;

    fn get(&self) -> u32 {
        self.0.load(Relaxed)
    }

    fn set(&self, phase: u32) {
        self.0.store((self.get() & !3).wrapping_add(4) | phase, Relaxed);
    }
}

/// A stream that fails when its client takes too long. The deadline is moved only where a read has to wait, so a busy
/// connection pays one reset of a timer for each request.
#[derive(Debug)]
struct Timed {
    stream: TcpStream,
    phase: Arc<Phase>,
    limits: Limits,
    /// The phase that `deadline` belongs to.
    armed: Option<u32>,
    deadline: Pin<Box<Sleep>>,
    write_deadline: Option<Pin<Box<Sleep>>>,
}

impl Timed {
    fn new(stream: TcpStream, phase: Arc<Phase>, limits: Limits) -> Self {
        let deadline = Box::pin(sleep(limits.first_byte));
        Self { stream, phase, limits, armed: Some(Phase::NEW), deadline, write_deadline: None }
    }

    fn poll_deadline(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let phase = self.phase.get();
        let limit = match phase & 3 {
            Phase::SERVING => return Poll::Pending,
            Phase::NEW => self.limits.first_byte,
            Phase::HEADER => self.limits.header,
            _ => self.limits.keep_alive,
        };
        if self.armed != Some(phase) {
            self.armed = Some(phase);
            self.deadline.as_mut().reset(Instant::now() + limit);
        }
        ready!(self.deadline.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }

    fn poll_written(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if written.is_ready() {
            self.write_deadline = None;
            self.armed = None;
            return written;
        }
        let limit = self.limits.write;
        ready!(self.write_deadline.get_or_insert_with(|| Box::pin(sleep(limit))).as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Timed {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        if read.is_pending() {
            return self.poll_deadline(cx);
        }
        if buf.filled().len() > before && matches!(self.phase.get() & 3, Phase::NEW | Phase::IDLE) {
            self.phase.set(Phase::HEADER);
        }
        read
    }
}

impl AsyncWrite for Timed {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.poll_written(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.poll_written(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
