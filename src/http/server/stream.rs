//! The TCP stream of a connection. It fails if the client is too slow.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::{Instant, Sleep, sleep},
};

use super::{
    Limits,
    connections::{Connection, Connections, Phase},
};
use crate::telemetry::metrics::Closed;

/// A stream that fails if the client is too slow. The deadline moves only when a read has to wait, so a busy connection
/// resets one timer for each request.
#[derive(Debug)]
pub(super) struct Timed {
    stream: TcpStream,
    connection: Arc<Connection>,
    connections: Arc<Connections>,
    limits: Limits,
    /// The packed phase that `deadline` belongs to.
    armed: Option<u32>,
    deadline: Pin<Box<Sleep>>,
    /// Bytes of the current answer written so far.
    written: usize,
    slow: Option<Slow>,
}

/// An answer that the client does not take at once.
#[derive(Debug)]
struct Slow {
    since: Instant,
    /// Bytes written before the client fell behind.
    before: usize,
    deadline: Pin<Box<Sleep>>,
}

impl Timed {
    pub(super) fn new(
        stream: TcpStream,
        connection: Arc<Connection>,
        connections: Arc<Connections>,
        limits: Limits,
    ) -> Self {
        let deadline = Box::pin(sleep(limits.first_byte));
        let armed = Some(connection.phase().1);
        Self { stream, connection, connections, limits, armed, deadline, written: 0, slow: None }
    }

    fn poll_deadline(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let (phase, number) = self.connection.phase();
        let (limit, reason) = match phase {
            Phase::Serving | Phase::Answering => return Poll::Pending,
            Phase::Closed => return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into())),
            Phase::New => (self.limits.first_byte, Closed::FirstByteTimeout),
            Phase::Header => (self.limits.header, Closed::HeaderTimeout),
            Phase::Idle => (self.limits.keep_alive, Closed::KeepAliveTimeout),
        };
        if self.armed != Some(number) {
            self.armed = Some(number);
            let now = Instant::now();
            self.connections.wait_for_client(&self.connection, now);
            self.deadline.as_mut().reset(now + limit);
        }
        ready!(self.deadline.as_mut().poll(cx));
        self.connections.closed(reason, 1);
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }

    /// Fails if the client takes the answer too slowly. `size` bytes of it are left.
    fn poll_written(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<usize>>,
        size: usize,
    ) -> Poll<io::Result<usize>> {
        if let Poll::Ready(written) = written {
            self.written += written.as_ref().copied().unwrap_or_default();
            return Poll::Ready(written);
        }
        let slow = self.slow.get_or_insert_with(|| {
            let since = Instant::now();
            self.connections.hold(&self.connection, self.written + size, since);
            Slow { since, before: self.written, deadline: Box::pin(sleep(self.limits.write)) }
        });
        loop {
            ready!(slow.deadline.as_mut().poll(cx));
            let milliseconds = (self.written - slow.before).saturating_mul(1000) / self.limits.write_rate;
            let taken = Duration::from_millis(milliseconds.try_into().unwrap_or(u64::MAX));
            let deadline = slow.since + self.limits.write + taken;
            if deadline <= Instant::now() {
                self.connections.closed(Closed::WriteTimeout, 1);
                // The kernel discards the bytes that it still buffers.
                drop(self.stream.set_zero_linger());
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
            slow.deadline.as_mut().reset(deadline);
        }
    }
}

impl AsyncRead for Timed {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        if read.is_pending() {
            return self.poll_deadline(cx);
        }
        let begins = buf.filled().len() > before && matches!(self.connection.phase().0, Phase::New | Phase::Idle);
        if begins && !self.connection.enter(Phase::Header) {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        read
    }
}

impl AsyncWrite for Timed {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.poll_written(cx, written, buf.len())
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.poll_written(cx, written, bufs.iter().map(|buf| buf.len()).sum())
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    /// hyper calls this when it has written the whole answer. The time for the next request begins.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.written = 0;
        if self.slow.take().is_some() {
            self.connections.release(&self.connection);
        }
        if self.connection.phase().0 == Phase::Answering && self.connection.enter(Phase::Idle) {
            // Only to arm the deadline: it cannot have passed yet.
            drop(self.poll_deadline(cx));
        }
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
