//! The health check of `todo-api health`: one request to a server on the same machine.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use http_body_util::{BodyExt, Empty, Limited};
use hyper::{body::Bytes, client::conn::http1};
use hyper_util::rt::TokioIo;
use poem::http::{Request, StatusCode, header};
use serde_json::Value;
use tokio::{net::TcpStream, time::timeout};

/// Maximum size of an answer in bytes.
const LIMIT: usize = 64 * 1024;

/// Asks the first of these addresses that accepts a connection for a path, and returns a line about the answer.
///
/// # Errors
///
/// A line with the reason, if the answer is not a 200, or not complete within the time limit.
pub async fn ask(addresses: &[SocketAddr], path: &str, limit: Duration) -> Result<String, String> {
    let start = Instant::now();
    let unreachable = |error: String| {
        let addresses: Vec<_> = addresses.iter().map(|address| format!("http://{address}{path}")).collect();
        format!("no answer from {}: {error}", addresses.join(" and "))
    };
    let answer = timeout(limit, get(addresses, path)).await;
    let late = || format!("nothing within {}", humantime::format_duration(limit));
    let (address, status, body) = answer.map_err(|_| late()).and_then(|answer| answer).map_err(unreachable)?;
    let time = start.elapsed().as_millis();
    let line = format!("http://{address}{path} answered {status} after {time} ms");
    if status == StatusCode::OK {
        return Ok(line);
    }
    // The detail of a problem says what is wrong. It is on one line, whoever has sent it.
    let problem: Value = serde_json::from_slice(&body).unwrap_or_default();
    let detail = problem.get("detail").and_then(Value::as_str);
    Err(detail.map_or_else(|| line.clone(), |detail| format!("{line}: {}", detail.escape_debug())))
}

async fn get(addresses: &[SocketAddr], path: &str) -> Result<(SocketAddr, StatusCode, Bytes), String> {
    let connection = TcpStream::connect(addresses).await.map_err(|error| error.to_string())?;
    let address = connection.peer_addr().map_err(|error| error.to_string())?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(connection)).await.map_err(reason)?;
    tokio::spawn(connection);
    let request = Request::get(path)
        .header(header::HOST, address.to_string())
        .header(header::CONNECTION, "close")
        .header(header::USER_AGENT, concat!("todo-api/", env!("CARGO_PKG_VERSION")))
        .body(Empty::<Bytes>::new())
        .map_err(|error| error.to_string())?;
    let answer = sender.send_request(request).await.map_err(reason)?;
    let status = answer.status();
    let body = Limited::new(answer.into_body(), LIMIT).collect().await.map_err(|error| error.to_string())?;
    Ok((address, status, body.to_bytes()))
}

/// The error with its cause, which hyper does not print.
fn reason(error: hyper::Error) -> String {
    let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}"));
    format!("{error}{}", cause.unwrap_or_default())
}
