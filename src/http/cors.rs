//! Cross-origin resource sharing (the Fetch standard), with credentials, for the configured origins.

use poem::{
    Response,
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header},
};
use url::Url;

use crate::host;

const METHODS: HeaderValue = HeaderValue::from_static("GET, POST, PUT, PATCH, DELETE");
/// The headers that the API reads, for a preflight that asks for none.
const REQUEST_HEADERS: HeaderValue =
    HeaderValue::from_static("Authorization, Content-Type, If-Match, If-None-Match, Idempotency-Key");
const EXPOSED_HEADERS: HeaderValue =
    HeaderValue::from_static("ETag, Link, Location, Retry-After, Idempotency-Replayed, X-Request-Id, X-Total-Count");
/// Seconds for which a browser may cache a preflight.
const MAX_AGE: HeaderValue = HeaderValue::from_static("600");
/// Maximum length of the request headers that a preflight asks for, because proxies limit the headers of an answer.
const REQUEST_HEADERS_MAX: usize = 1024;

const REQUEST_PRIVATE_NETWORK: HeaderName = HeaderName::from_static("access-control-request-private-network");
const ALLOW_PRIVATE_NETWORK: HeaderName = HeaderName::from_static("access-control-allow-private-network");

const VARY: HeaderValue = HeaderValue::from_static("Origin");
const VARY_OF_OPTIONS: HeaderValue = HeaderValue::from_static(
    "Origin, Access-Control-Request-Method, Access-Control-Request-Headers, Access-Control-Request-Private-Network",
);

/// The origins whose pages may read answers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cors(Vec<HeaderValue>);

/// The CORS state of one request: taken from the request, applied to its answer.
#[derive(Debug)]
pub struct Exchange {
    origin: Option<HeaderValue>,
    /// Whether the method is `OPTIONS`.
    options: bool,
}

impl Cors {
    /// Origins as [`origin`] writes them.
    #[must_use]
    pub const fn of(origins: Vec<HeaderValue>) -> Self {
        Self(origins)
    }

    /// The CORS state of this request.
    #[must_use]
    pub fn exchange(&self, method: &Method, request: &HeaderMap) -> Exchange {
        let mut sent = request.get_all(header::ORIGIN).iter();
        let origin = match (sent.next(), sent.next()) {
            (Some(origin), None) if self.0.contains(origin) => Some(origin.clone()),
            _ => None,
        };
        Exchange { origin, options: method == Method::OPTIONS }
    }
}

impl Exchange {
    /// The answer to a preflight of a listed origin. It is the same on every path, so the page can read a 404.
    pub fn preflight(&self, request: &HeaderMap) -> Option<Response> {
        let asks = self.options && self.origin.is_some() && request.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
        asks.then(|| permit(request))
    }

    /// Adds the CORS headers: `Vary` to every answer, the others only for a listed origin.
    pub fn mark(self, answer: &mut HeaderMap) {
        answer.insert(header::VARY, if self.options { VARY_OF_OPTIONS } else { VARY });
        if let Some(origin) = self.origin {
            answer.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
            answer.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
            answer.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED_HEADERS);
        }
    }
}

/// The answer to a preflight of a listed origin.
fn permit(request: &HeaderMap) -> Response {
    let mut response = Response::from(StatusCode::NO_CONTENT);
    let answer = response.headers_mut();
    answer.insert(header::ACCESS_CONTROL_ALLOW_METHODS, METHODS);
    answer.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, requested_headers(request).unwrap_or(REQUEST_HEADERS));
    answer.insert(header::ACCESS_CONTROL_MAX_AGE, MAX_AGE);
    // A listed public page may reach a server in a private network.
    if request.get(REQUEST_PRIVATE_NETWORK).is_some_and(|asked| asked == "true") {
        answer.insert(ALLOW_PRIVATE_NETWORK, HeaderValue::from_static("true"));
    }
    response
}

/// The request headers that a preflight asks for, if they are a valid list. Not only those of the API, because tracing
/// libraries add their own.
fn requested_headers(request: &HeaderMap) -> Option<HeaderValue> {
    let lines = request.get_all(header::ACCESS_CONTROL_REQUEST_HEADERS).iter();
    let list = lines.map(HeaderValue::to_str).collect::<Result<Vec<_>, _>>().ok()?.join(", ");
    // A list may have empty elements (RFC 9110, section 5.6.1).
    let mut names = list.split(',').map(str::trim).filter(|name| !name.is_empty()).peekable();
    let any = list.len() <= REQUEST_HEADERS_MAX && names.peek().is_some();
    (any && names.all(|name| HeaderName::try_from(name).is_ok())).then(|| HeaderValue::try_from(list).ok())?
}

/// Schemes of pages that never have their own origin.
const OTHER_SCHEMES: [&str; 8] = ["about", "blob", "data", "file", "ftp", "javascript", "ws", "wss"];

/// Parses an origin. The result has the form that browsers send, such as `https://example.com`, because it must match
/// that.
///
/// # Errors
///
/// The reason why no browser would send it.
pub fn origin(entry: &str) -> Result<HeaderValue, &'static str> {
    if entry.eq_ignore_ascii_case("null") {
        return Err("is null, the origin of every sandboxed page: it would let in all of them");
    }
    if entry.contains('*') {
        return Err("has a wildcard: list each origin");
    }
    if entry.contains(|character: char| character == ';' || character.is_whitespace()) {
        return Err("holds several origins: separate them with commas");
    }
    let is_scheme = |scheme: &str| {
        scheme.starts_with(|first: char| first.is_ascii_alphabetic())
            && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
    };
    let (scheme, rest) =
        entry.split_once("://").filter(|(scheme, _)| is_scheme(scheme)).ok_or("has no scheme, such as https://")?;
    let scheme = scheme.to_ascii_lowercase();
    if OTHER_SCHEMES.contains(&scheme.as_str()) {
        return Err("has a scheme that no page's origin has");
    }
    if rest.contains(['?', '#']) {
        return Err("has a query or a fragment");
    }
    let authority = rest.strip_suffix('/').unwrap_or(rest);
    if authority.is_empty() || authority.starts_with(['/', ':']) {
        return Err("has no host");
    }
    if authority.contains(['/', '\\']) {
        return Err("has a path");
    }
    if authority.contains('@') {
        return Err("has a user");
    }
    let unclear = "is not an origin: a scheme, a host and, if need be, a port";
    let written = format!("{scheme}://{authority}");
    let url: Url = written.parse().map_err(|_| unclear)?;
    if url.host_str().is_some_and(|host| host.ends_with('.')) {
        return Err("has a host that ends with a dot");
    }
    let origin = match scheme.as_str() {
        // In lower case, in Punycode, and without the port that the scheme implies.
        "http" | "https" => {
            (host::is_possible(&url) && url.port() != Some(0)).then(|| url.origin().ascii_serialization())
        }
        // For other schemes (apps, extensions) browsers do not change the host.
        _ => (url.as_str() == written).then_some(written),
    };
    origin.and_then(|origin| HeaderValue::try_from(origin).ok()).ok_or(unclear)
}
