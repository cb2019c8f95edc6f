//! Request bodies. The server reads the bytes that a handler leaves unread, because the next request comes after them.

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

/// Bytes of an unread body that the server reads and discards: closing at once would reset the connection, and the
/// client would not get the answer.
const REST: usize = 8 << 20;
/// Longest wait for the next part of an unread body.
const PATIENCE: Duration = Duration::from_secs(1);

/// A request body. When the handler drops it, the unread rest goes back to the connection.
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

/// Takes the rest of the body that the handler left unread.
pub(super) fn rest(connection: &Connection) -> Option<Incoming> {
    connection.rest.lock().unwrap_or_else(PoisonError::into_inner).take()
}

/// Reads and discards the rest of a body. Returns whether its end came within `time`.
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
