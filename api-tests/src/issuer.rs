//! A server that publishes keys and can misbehave. The tests with Better Auth cover the normal behaviour.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpListener,
    sync::{Arc, Condvar, Mutex},
    thread,
    time::Duration,
};

use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};

use crate::{SigningKey, now};

/// Time limit for any operation on a loaded machine.
const PATIENCE: Duration = Duration::from_mins(1);

/// The reply to a request.
#[derive(Debug, Clone)]
pub enum Reply {
    /// Sends all of this, then closes the connection.
    Bytes(Vec<u8>),
    /// Sends only this, and keeps the connection open until another reply is set; then sends that.
    Stall(Vec<u8>),
}

/// Publishes keys on its own port.
#[derive(Debug)]
pub struct Issuer {
    url: String,
    state: Arc<State>,
}

#[derive(Debug)]
struct State {
    /// The current reply, and the path and query of each request so far.
    served: Mutex<(Reply, Vec<String>)>,
    changed: Condvar,
}

impl Reply {
    /// A JWK Set of these keys.
    pub fn keys<'a>(keys: impl IntoIterator<Item = &'a SigningKey>) -> Self {
        Self::json(&json!({ "keys": keys.into_iter().map(SigningKey::jwk).collect::<Vec<_>>() }))
    }

    /// Any JSON, with 200.
    pub fn json(body: &Value) -> Self {
        Self::http("200 OK", "Content-Type: application/json\r\n", &body.to_string())
    }

    /// An answer with its length.
    pub fn http(status: &str, headers: &str, body: &str) -> Self {
        let length = body.len();
        Self::Bytes(format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {length}\r\n\r\n{body}").into())
    }
}

impl Issuer {
    /// An issuer that replies with this.
    pub fn start(reply: Reply) -> Self {
        Self::with(reply, None)
    }

    /// An issuer that speaks TLS, with this certificate.
    pub fn with_tls(reply: Reply, tls: ServerConfig) -> Self {
        Self::with(reply, Some(Arc::new(tls)))
    }

    fn with(reply: Reply, tls: Option<Arc<ServerConfig>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let url = format!("{}://localhost:{}", if tls.is_some() { "https" } else { "http" }, address.port());
        let state = Arc::new(State { served: Mutex::new((reply, Vec::new())), changed: Condvar::new() });
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

    /// Sets the reply, also for waiting requests.
    pub fn reply(&self, reply: Reply) {
        self.state.served.lock().unwrap().0 = reply;
        self.state.changed.notify_all();
    }

    /// Number of requests so far.
    pub fn requests(&self) -> usize {
        self.state.served.lock().unwrap().1.len()
    }

    /// Path and query of each request so far.
    pub fn targets(&self) -> Vec<String> {
        self.state.served.lock().unwrap().1.clone()
    }

    /// Waits until there were more than this many requests.
    pub fn wait_for_more_than(&self, requests: usize) {
        let served = self.state.served.lock().unwrap();
        let more = self.state.changed.wait_timeout_while(served, PATIENCE, |(_, seen)| seen.len() <= requests).unwrap();
        assert!(!more.1.timed_out(), "no more than {requests} requests have come");
    }

    /// Its origin.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Claims that are valid for an hour at a server that expects this issuer.
    pub fn claims(&self, user: &str) -> Value {
        json!({ "sub": user, "exp": now() + 3600, "iss": self.url(), "aud": self.url() })
    }
}

impl State {
    fn serve(&self, mut connection: impl Read + Write) {
        let lines = BufReader::new(&mut connection).lines().map_while(Result::ok);
        let head: Vec<_> = lines.take_while(|line| !line.is_empty()).collect();
        let Some(target) = head.first().and_then(|line| line.split(' ').nth(1)) else { return };
        let mut served = self.served.lock().unwrap();
        served.1.push(target.to_owned());
        self.changed.notify_all();
        // The client may have disconnected.
        if let Reply::Stall(bytes) = &served.0 {
            drop(connection.write_all(bytes));
        }
        let served = self.changed.wait_while(served, |(reply, _)| matches!(reply, Reply::Stall(_))).unwrap();
        let Reply::Bytes(bytes) = served.0.clone() else { unreachable!("it was waited for") };
        drop(served);
        drop(connection.write_all(&bytes));
    }
}
