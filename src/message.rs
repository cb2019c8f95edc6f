//! Requests that RFC 9112 has a server refuse, and hyper lets through: a proxy might read them in another way.

use poem::{
    Request,
    http::{HeaderValue, Version, header, uri::Authority},
};

use crate::problem::{Code, Problem};

/// Sees that it is certain for which host a request is and where its body ends.
///
/// # Errors
///
/// A 400, after which the connection ends where the body is at fault.
pub fn check(request: &Request) -> Result<(), Problem> {
    let refuse = |rule: &'static str| Problem::new(Code::MalformedRequest, rule);
    let headers = request.headers();
    let mut hosts = headers.get_all(header::HOST).iter();
    match (hosts.next(), hosts.next()) {
        (None, _) if request.version() == Version::HTTP_11 => return Err(refuse("the header Host is missing")),
        (_, Some(_)) => return Err(refuse("send the header Host once")),
        (Some(host), None) if !is_host(host) => {
            return Err(refuse("the header Host is not a host name or an IP address with an optional port"));
        }
        _ => {}
    }
    let mut encodings = headers.get_all(header::TRANSFER_ENCODING).iter();
    if let Some(first) = encodings.next()
        && !(first.as_bytes().eq_ignore_ascii_case(b"chunked") && encodings.next().is_none())
    {
        let close = HeaderValue::from_static("close");
        let problem = refuse("chunked is the only Transfer-Encoding that the server takes");
        return Err(problem.with_header(header::CONNECTION, close));
    }
    Ok(())
}

/// Section 7.2 of RFC 9110: a host and, if need be, a port; empty where the target has no authority.
fn is_host(value: &HeaderValue) -> bool {
    let Ok(authority) = Authority::try_from(value.as_bytes()) else { return value.is_empty() };
    let port = authority.as_str().strip_prefix(authority.host()).unwrap_or("@");
    let port = port.strip_prefix(':').unwrap_or(if port.is_empty() { "" } else { "@" });
    port.bytes().all(|byte| byte.is_ascii_digit())
}
