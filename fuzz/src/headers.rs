//! The header fields of a request, one on each line. Compares the server with the published patterns, and with simple
//! readers of what they allow.

use std::{net::Ipv6Addr, sync::LazyLock};

use api_tests::{Answer, Document};
use jsonschema::Validator;
use poem::http::{HeaderMap, HeaderValue, Method, header};
use serde_json::{Value, json};

use crate::app::{ALL, APP, fields, headers, token};

const USER: &str = "headers";
/// hyper takes no more.
const MOST: usize = 64;

/// A task whose version stays `"1"`.
static TASK: LazyLock<String> = LazyLock::new(|| APP.create(USER, &json!({ "title": "x" })));
static TOKEN: LazyLock<String> = LazyLock::new(|| token(USER));

static HOST: LazyLock<Validator> =
    LazyLock::new(|| pattern(&json!({ "pattern": r"^(\[[^\]]*\]|[-A-Za-z0-9._~!$&'()*+,;=%]*)(:[0-9]*)?$" })));
static CONDITION: LazyLock<Validator> = LazyLock::new(|| declared("/api/tasks/{id}", "put", "If-Match"));
static KEY: LazyLock<Validator> = LazyLock::new(|| declared(ALL, "post", "Idempotency-Key"));

fn pattern(schema: &Value) -> Validator {
    jsonschema::draft202012::new(schema).unwrap()
}

/// The published schema of a header.
fn declared(path: &str, method: &str, name: &str) -> Validator {
    let parameters = Document::unrecorded().value["paths"][path][method]["parameters"].as_array().unwrap();
    pattern(&parameters.iter().find(|parameter| parameter["name"] == name).unwrap()["schema"])
}

/// The status of each operation is what the headers ask for.
pub fn check(input: &[u8]) {
    let mut sent = HeaderMap::new();
    for (name, value) in fields(input).take(MOST) {
        sent.append(name, value);
    }
    for (name, value) in headers(USER) {
        sent.entry(name.unwrap()).or_insert(value);
    }
    let known = condition(&sent, "if-none-match");
    let expected = condition(&sent, "if-match");
    let is_new = known.as_ref().is_ok_and(|known| known.as_ref().is_none_or(|tags| !tags.weakly));
    let may_change = is_new && expected.as_ref().is_ok_and(|tags| tags.as_ref().is_none_or(|tags| tags.strongly));
    let key = value(&sent, "idempotency-key").is_none_or(|key| KEY.is_valid(&key.into()));
    let refused = refused(&sent);
    let status = |is_valid: bool, status| refused.or((!is_valid).then_some(400)).unwrap_or(status);
    let ask = |method, path: &str, body| APP.send(&method, &path.parse().unwrap(), &sent, body);

    let get = ask(Method::GET, &TASK, b"");
    assert_eq!(get.status, status(known.is_ok(), if is_new { 200 } else { 304 }), "{sent:?} {get:?}");
    let put = status(known.is_ok() && expected.is_ok(), if may_change { 200 } else { 412 });
    judge(&sent, &ask(Method::PUT, &TASK, b"{}"), put);
    judge(&sent, &ask(Method::POST, ALL, b"{}"), status(key, 422));
}

/// Compares the answer to a request with a body.
fn judge(sent: &HeaderMap, answer: &Answer, expected: u16) {
    let described = [header::CONTENT_ENCODING, header::CONTENT_LENGTH].iter().any(|name| sent.contains_key(name));
    let media_type = value(sent, "content-type").unwrap().to_ascii_lowercase();
    // The server reads the body only if all other headers are fine.
    let is_unread = [400, 401].contains(&expected);
    if !is_unread && [413, 415].contains(&answer.status) {
        assert!(described || media_type != "application/json", "{sent:?} {answer:?}");
    } else {
        assert_eq!(answer.status, expected, "{sent:?} {answer:?}");
        assert!(is_unread || media_type.split(';').next().unwrap().trim() == "application/json", "{sent:?}");
    }
    let id = value(sent, "x-request-id").filter(|id| id.len() <= 128 && !id.is_empty() && id.bytes().all(is_word));
    assert!(id.is_none_or(|id| answer.header("x-request-id") == id), "{sent:?} {answer:?}");
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)
}

/// The value of a field, with its lines joined, and each byte as a character.
fn value(sent: &HeaderMap, name: &str) -> Option<String> {
    let lines: Vec<_> = sent.get_all(name).iter().map(HeaderValue::as_bytes).collect();
    (!lines.is_empty()).then(|| lines.join(&b", "[..]).into_iter().map(char::from).collect())
}

/// The status for requests that no operation sees.
fn refused(sent: &HeaderMap) -> Option<u16> {
    let host = value(sent, "host").unwrap();
    let bracketed = host.strip_prefix('[').map(|rest| rest.split(']').next().unwrap());
    let is_host = HOST.is_valid(&host.as_str().into())
        && bracketed.is_none_or(|address| address.parse::<Ipv6Addr>().is_ok())
        && sent.get_all(header::HOST).iter().count() == 1;
    let is_framed = value(sent, "transfer-encoding").is_none_or(|encodings| encodings.eq_ignore_ascii_case("chunked"));
    if !is_host || !is_framed {
        return Some(400);
    }
    let authorization = value(sent, "authorization").unwrap();
    let (scheme, token) = authorization.split_once(' ').unwrap_or_default();
    let passes = scheme.eq_ignore_ascii_case("Bearer") && token.trim_start() == *TOKEN;
    (!passes).then_some(401)
}

/// Whether a condition has the tag of the task, by the two comparisons.
struct Tags {
    strongly: bool,
    weakly: bool,
}

fn condition(sent: &HeaderMap, name: &str) -> Result<Option<Tags>, ()> {
    let Some(value) = value(sent, name) else { return Ok(None) };
    if !CONDITION.is_valid(&value.as_str().into()) {
        return Err(());
    }
    // A valid value has no quotes but those around the tags.
    let parts: Vec<_> = value.split('"').collect();
    let has = |prefixes: &[bool]| {
        parts.chunks_exact(2).any(|pair| pair[1] == "1" && prefixes.contains(&pair[0].ends_with("W/")))
    };
    let any = value == "*";
    Ok(Some(Tags { strongly: any || has(&[false]), weakly: any || has(&[false, true]) }))
}
