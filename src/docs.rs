//! Swagger UI at `/docs`: everything it needs comes from this server, under a strict Content-Security-Policy.

use std::sync::LazyLock;

use aws_lc_rs::digest::{SHA256, digest};
use base64::{Engine, prelude::BASE64_STANDARD};
use poem::{
    Body, Request, Response, handler,
    http::{StatusCode, header},
};

use crate::{
    etag,
    openapi::{self, Version},
};

/// A document that is the same for everybody, and changes with the program only.
struct Static {
    media_type: &'static str,
    body: String,
    /// The opaque part of its entity tag.
    tag: String,
    /// Its Content-Security-Policy.
    policy: Option<String>,
}

/// Made when it is first asked for: there are 1.6 MB to hash.
static PAGE: LazyLock<Static> = LazyLock::new(|| {
    let (html, document) = openapi::swagger_ui();
    // As poem-openapi makes it, the page holds the document in 3.0 and forgets the token when it is loaded again. The
    // address is relative: a proxy may have put all of this below a prefix.
    let html = html
        .trim_start()
        .replacen("<html charset=\"UTF-8\">", "<!doctype html>\n<html lang=\"en\">", 1)
        .replacen("<title>Swagger UI</title>", "<title>todo-api</title>\n    <link rel=\"icon\" href=\"data:,\">", 1)
        .replacen(&format!("let spec = {document};"), "", 1)
        .replacen("spec: spec,", "url: 'openapi.json',\n        persistAuthorization: true,", 1);
    let policy = format!(
        "default-src 'none'; script-src {}; style-src {}; img-src data:; connect-src 'self'; base-uri 'none'; \
         form-action 'none'; frame-ancestors 'none'",
        hashes(&html, "script"),
        hashes(&html, "style"),
    );
    Static { policy: Some(policy), ..Static::new("text/html; charset=utf-8", html) }
});

impl Static {
    fn new(media_type: &'static str, body: String) -> Self {
        Self { media_type, tag: sha256(&body), body, policy: None }
    }

    fn answer(&'static self, request: &Request) -> Response {
        let known = etag::is_known(request, &self.tag);
        let response = Response::builder()
            .status(if known { StatusCode::NOT_MODIFIED } else { StatusCode::OK })
            .header(header::CACHE_CONTROL, "no-cache")
            .header(header::ETAG, format!("\"{}\"", self.tag))
            .content_type(self.media_type);
        let response = match &self.policy {
            Some(policy) => response.header(header::CONTENT_SECURITY_POLICY, policy),
            None => response,
        };
        response.body(if known { Body::empty() } else { self.body.as_str().into() })
    }
}

/// `GET /docs`
#[handler]
pub fn page(request: &Request) -> Response {
    PAGE.answer(request)
}

/// `GET /openapi.json`
#[handler]
pub fn json(request: &Request) -> Response {
    static JSON: LazyLock<Static> =
        LazyLock::new(|| Static::new("application/json", openapi::to_json(&openapi::served(Version::V3_1))));
    JSON.answer(request)
}

/// `GET /openapi-3.0.json`
#[handler]
pub fn json_3_0(request: &Request) -> Response {
    static JSON: LazyLock<Static> =
        LazyLock::new(|| Static::new("application/json", openapi::to_json(&openapi::served(Version::V3_0))));
    JSON.answer(request)
}

/// `GET /openapi.yaml`
#[handler]
pub fn yaml(request: &Request) -> Response {
    static YAML: LazyLock<Static> =
        LazyLock::new(|| Static::new("application/yaml", openapi::to_yaml(&openapi::served(Version::V3_1))));
    YAML.answer(request)
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
