//! A GET over HTTP or HTTPS that does not trust its server: no redirects, and limits of time and size.

use std::{error::Error, net::IpAddr, time::Duration};

use http_body_util::{BodyExt, Empty, Limited};
use hyper_rustls::HttpsConnector;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use poem::http::{Request, StatusCode, Uri, header};
use rustls::RootCertStore;

use crate::{
    telemetry::traces::{self, ClientSpan},
    tls,
};

/// Time limit from the name lookup to the last byte.
const TIMEOUT: Duration = Duration::from_secs(2);
/// Maximum size of a body in bytes.
const LIMIT: usize = 64 * 1024;

/// A document that is fetched again and again.
#[derive(Debug)]
pub(super) struct Source {
    uri: Uri,
    client: Client<HttpsConnector<HttpConnector>, Empty<&'static [u8]>>,
}

impl Source {
    /// A source. For https, it trusts these authorities.
    pub(super) fn new(uri: Uri, authorities: RootCertStore) -> Result<Self, rustls::Error> {
        let connector = tls::connector(authorities)?;
        // Usually minutes pass between two requests, so it keeps no connections.
        let client = Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build(connector);
        Ok(Self { uri, client })
    }

    /// The address of the document, without the query, which may contain a secret.
    pub(super) fn address(&self) -> String {
        let address = self.uri.to_string();
        address.split_once('?').map_or_else(|| address.clone(), |(address, _)| address.to_owned())
    }

    /// Whether the document comes over a network without TLS, where others could change it.
    pub(super) fn is_unprotected(&self) -> bool {
        let host = self.uri.host().unwrap_or_default();
        let address = host.trim_matches(['[', ']']).parse::<IpAddr>();
        let local = host == "localhost" || address.is_ok_and(|address| address.is_loopback());
        self.uri.scheme_str() == Some("http") && !local
    }

    /// Fetches the document.
    ///
    /// # Errors
    ///
    /// The reason, if the answer is not a complete 200 within the limits.
    pub(super) async fn get(&self) -> Result<Vec<u8>, String> {
        let mut span = traces::fetch(&self.uri);
        let answer = tokio::time::timeout(TIMEOUT, self.ask(&mut span)).await;
        let answer = answer.unwrap_or_else(|_| Err(format!("no answer within {} seconds", TIMEOUT.as_secs())));
        answer.inspect_err(|error| span.fail("_OTHER", error))
    }

    async fn ask(&self, span: &mut ClientSpan) -> Result<Vec<u8>, String> {
        let request = Request::get(&self.uri)
            .header(header::ACCEPT, "application/jwk-set+json, application/json")
            .header(header::USER_AGENT, concat!("todo-api/", env!("CARGO_PKG_VERSION")))
            .body(Empty::new())
            .map_err(|error| error.to_string())?;
        let answer = self.client.request(request).await.map_err(|error| root(&error))?;
        span.set("http.response.status_code", i64::from(answer.status().as_u16()));
        if answer.status() != StatusCode::OK {
            let redirect = if answer.status().is_redirection() { ", and redirects are not followed" } else { "" };
            return Err(format!("the answer was {}{redirect}", answer.status()));
        }
        let body = Limited::new(answer.into_body(), LIMIT).collect().await.map_err(|error| root(error.as_ref()))?;
        Ok(body.to_bytes().into())
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
