//! Swagger UI at `/docs`, and the documents. Everything comes from this server, and the page has a strict
//! Content-Security-Policy.

use std::sync::{Arc, OnceLock};

use aws_lc_rs::digest::{SHA256, digest};
use base64::{Engine, prelude::BASE64_STANDARD};
use poem::{
    Body, Endpoint, Request, Response,
    http::{StatusCode, header},
};
use poem_openapi::OpenApi;
use serde_json::Value;

use super::{etag, problem::Problem};
use crate::openapi::{self, InvalidDocument, Outline, Version};

/// A public resource that changes only with a new version of the program.
struct Static {
    media_type: &'static str,
    body: String,
    /// The opaque part of its entity tag.
    tag: String,
    /// Its Content-Security-Policy.
    policy: Option<String>,
}

/// Serves a [`Static`], made at the first request, because the page alone has 1.6 MB to hash.
pub(super) struct Lazy {
    make: Box<dyn Fn() -> Result<Static, InvalidDocument> + Send + Sync>,
    made: OnceLock<Static>,
}

/// `GET /docs`
pub(super) fn page<A: OpenApi>(outline: &Arc<Outline>) -> Lazy {
    let outline = outline.clone();
    Lazy::new(move || swagger_ui::<A>(&outline))
}

/// `GET /openapi.json`, `/openapi-3.0.json` or `/openapi.yaml`
pub(super) fn document<A: OpenApi>(
    outline: &Arc<Outline>,
    version: Version,
    media_type: &'static str,
    write: fn(&Value) -> String,
) -> Lazy {
    let outline = outline.clone();
    Lazy::new(move || Ok(Static::new(media_type, write(&openapi::derive::<A>(&outline, version)?))))
}

impl Lazy {
    fn new(make: impl Fn() -> Result<Static, InvalidDocument> + Send + Sync + 'static) -> Self {
        Self { make: Box::new(make), made: OnceLock::new() }
    }

    fn get(&self) -> Result<&Static, InvalidDocument> {
        if let Some(made) = self.made.get() {
            return Ok(made);
        }
        let made = (self.make)()?;
        Ok(self.made.get_or_init(|| made))
    }
}

impl Endpoint for Lazy {
    type Output = Response;

    async fn call(&self, request: Request) -> poem::Result<Response> {
        Ok(self.get().map_err(Problem::from)?.answer(&request))
    }
}

impl Static {
    fn new(media_type: &'static str, body: String) -> Self {
        Self { media_type, tag: sha256(&body), body, policy: None }
    }

    fn answer(&self, request: &Request) -> Response {
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
        response.body(if known { Body::empty() } else { self.body.clone().into() })
    }
}

/// Changes the page of poem-openapi: it loads the document in 3.1 and keeps the token over a reload. The address is
/// relative, because a proxy may serve all of this below a prefix.
fn swagger_ui<A: OpenApi>(outline: &Outline) -> Result<Static, InvalidDocument> {
    let (page, document) = openapi::swagger_ui::<A>(outline);
    let mut page = page.trim_start().to_owned();
    let title = format!("<title>{}</title>\n    <link rel=\"icon\" href=\"data:,\">", outline.title);
    for (part, replacement) in [
        ("<html charset=\"UTF-8\">", "<!doctype html>\n<html lang=\"en\">"),
        ("<title>Swagger UI</title>", &title),
        (&format!("let spec = {document};"), ""),
        ("spec: spec,", "url: 'openapi.json',\n        persistAuthorization: true,"),
    ] {
        if page.matches(part).count() != 1 {
            let part: String = part.chars().take(40).collect();
            return Err(InvalidDocument::new(format!("the page of Swagger UI does not have `{part}` once")));
        }
        page = page.replacen(part, replacement, 1);
    }
    let policy = format!(
        "default-src 'none'; script-src {}; style-src {}; img-src data:; connect-src 'self'; base-uri 'none'; \
         form-action 'none'; frame-ancestors 'none'",
        hashes(&page, "script"),
        hashes(&page, "style"),
    );
    Ok(Static { policy: Some(policy), ..Static::new("text/html; charset=utf-8", page) })
}

/// The hashes of the page's inline elements with this tag, for the policy.
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
