//! Swagger UI at `/docs`: everything it needs comes from this server, under a strict Content-Security-Policy.

use std::sync::LazyLock;

use aws_lc_rs::digest::{SHA256, digest};
use base64::{Engine, prelude::BASE64_STANDARD};
use poem::{
    Body, Request, Response, handler,
    http::{StatusCode, header},
};

use crate::openapi::{self, Version};

struct Page {
    html: String,
    policy: String,
    etag: String,
}

/// Made when it is first asked for: there are 1.6 MB to hash.
static PAGE: LazyLock<Page> = LazyLock::new(|| {
    let (html, document) = openapi::swagger_ui();
    // As poem-openapi makes it, the page holds the document in 3.0 and forgets the token when it is loaded again.
    let html = html
        .trim_start()
        .replacen("<html charset=\"UTF-8\">", "<!doctype html>\n<html lang=\"en\">", 1)
        .replacen("<title>Swagger UI</title>", "<title>todo-api</title>\n    <link rel=\"icon\" href=\"data:,\">", 1)
        .replacen(&format!("let spec = {document};"), "", 1)
        .replacen("spec: spec,", "url: '/openapi.json',\n        persistAuthorization: true,", 1);
    let policy = format!(
        "default-src 'none'; script-src {}; style-src {}; img-src data:; connect-src 'self'; base-uri 'none'; \
         form-action 'none'; frame-ancestors 'none'",
        hashes(&html, "script"),
        hashes(&html, "style"),
    );
    let etag = format!("\"{}\"", sha256(&html));
    Page { html, policy, etag }
});

/// `GET /docs`
#[handler]
pub fn page(request: &Request) -> Response {
    let known = request.header(header::IF_NONE_MATCH) == Some(PAGE.etag.as_str());
    Response::builder()
        .status(if known { StatusCode::NOT_MODIFIED } else { StatusCode::OK })
        .header(header::CACHE_CONTROL, "no-cache")
        .header(header::CONTENT_SECURITY_POLICY, PAGE.policy.as_str())
        .header(header::ETAG, PAGE.etag.as_str())
        .content_type("text/html; charset=utf-8")
        .body(if known { Body::empty() } else { PAGE.html.as_str().into() })
}

/// `GET /openapi.json`
#[handler]
pub fn json() -> Response {
    static BODY: LazyLock<String> = LazyLock::new(|| openapi::json(Version::V3_1));
    document("application/json", BODY.as_str())
}

/// `GET /openapi-3.0.json`
#[handler]
pub fn json_3_0() -> Response {
    static BODY: LazyLock<String> = LazyLock::new(|| openapi::json(Version::V3_0));
    document("application/json", BODY.as_str())
}

/// `GET /openapi.yaml`
#[handler]
pub fn yaml() -> Response {
    static BODY: LazyLock<String> = LazyLock::new(|| openapi::yaml(Version::V3_1));
    document("application/yaml", BODY.as_str())
}

fn document(media_type: &str, body: &'static str) -> Response {
    Response::builder().header(header::CACHE_CONTROL, "no-cache").content_type(media_type).body(body)
}

/// The sources of the page's inline elements with this tag, as the policy names them.
fn hashes(html: &str, tag: &str) -> String {
    let (open, close) = (format!("<{tag}"), format!("</{tag}>"));
    let mut sources = Vec::new();
    let mut rest = html;
    while let Some((content, behind)) =
        rest.split_once(&open).and_then(|(_, rest)| rest.split_once('>')).and_then(|(_, rest)| rest.split_once(&close))
    {
        sources.push(format!("'sha256-{}'", sha256(content)));
        rest = behind;
    }
    sources.join(" ")
}

fn sha256(content: &str) -> String {
    BASE64_STANDARD.encode(digest(&SHA256, content.as_bytes()))
}
