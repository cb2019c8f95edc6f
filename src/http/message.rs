//! Rejects ambiguous requests, as RFC 9112 requires. hyper accepts them, but a proxy in front might read them
//! differently.

use std::net::Ipv6Addr;

use poem::{
    Request,
    http::{HeaderValue, Version, header},
};

use super::problem::{Code, Problem};

/// Checks that the request has one host and a clear end.
///
/// # Errors
///
/// A 400. It closes the connection if the end of the body is unclear.
pub(super) fn check(request: &Request) -> Result<(), Problem> {
    let refuse = |rule: &'static str| Problem::because(Code::MalformedRequest, rule);
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
        let problem = refuse("chunked is the only Transfer-Encoding that the server accepts");
        return Err(problem.with_header(header::CONNECTION, close));
    }
    Ok(())
}

/// Whether the value is a host with an optional port (RFC 9110, section 7.2), or empty, for a target without authority.
fn is_host(value: &HeaderValue) -> bool {
    let Ok(value) = value.to_str() else { return false };
    // An IPv6 address in brackets, or a registered name (RFC 3986, section 3.2.2).
    let bracketed = value.strip_prefix('[').and_then(|rest| rest.split_once(']'));
    let (is_host, port) = if let Some((address, port)) = bracketed {
        (address.parse::<Ipv6Addr>().is_ok(), port)
    } else {
        let (name, port) = value.split_at(value.find(':').unwrap_or(value.len()));
        let in_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=%".contains(&byte);
        (name.bytes().all(in_name), port)
    };
    let digits = port.strip_prefix(':').unwrap_or(port);
    is_host && digits.bytes().all(|byte| byte.is_ascii_digit()) && (port.is_empty() || port.starts_with(':'))
}
