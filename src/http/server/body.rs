//! Request bodies. The server reads what a handler leaves unread, so that the connection can be used again.

use std::{
    io,
    pin::Pin,
    sync::{Arc, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http_body_util::{BodyExt, combinators::BoxBody};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::time::timeout;

use super::connections::Connection;

/// Bytes of a body that are read and discarded, so that the client receives the answer instead of a connection reset.
const REST: usize = 8 << 20;
/// Longest wait for the next part of it.
const PATIENCE: Duration = Duration::from_secs(1);

/// A body whose unread rest goes back to the connection when the handler drops it.
struct Lent {
    body: Option<Incoming>,
    connection: Arc<Connection>,
}

/// Lends a body to a handler.
pub(super) fn lend(body: Incoming, connection: &Arc<Connection>) -> poem::Body {
    if body.is_end_stream() {
        return poem::Body::empty();
    }
    BoxBody::new(Lent { body: Some(body), connection: connection.clone() }).into()
}

impl Body for Lent {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        let frame = Pin::new(body).poll_frame(cx).map_err(io::Error::other);
        if matches!(frame, Poll::Ready(None | Some(Err(_)))) {
            self.body = None;
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let Some(body) = self.body.take().filter(|body| !body.is_end_stream()) {
            *self.connection.rest.lock().unwrap_or_else(PoisonError::into_inner) = Some(body);
        }
    }
}

/// Takes the part that the handler left unread.
pub(super) fn rest(connection: &Connection) -> Option<Incoming> {
    connection.rest.lock().unwrap_or_else(PoisonError::into_inner).take()
}

/// Reads the rest of a body; returns whether its end came within `time`.
pub(super) async fn is_read(mut body: Incoming, time: Duration) -> bool {
    let all = async {
        let mut spare = REST;
        loop {
            match timeout(PATIENCE, body.frame()).await {
                Ok(None) => return true,
                Ok(Some(Ok(frame))) => spare = spare.saturating_sub(frame.data_ref().map_or(0, Bytes::len)),
                Ok(Some(Err(_))) | Err(_) => return false,
            }
            if spare == 0 {
                return false;
            }
        }
    };
    timeout(time, all).await.unwrap_or(false)
}
