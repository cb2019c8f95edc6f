//! A client that validates every answer against the document of its server.

use std::fmt;

use reqwest::{
    Method,
    blocking::{Client as Http, RequestBuilder},
    header::{HeaderMap, HeaderName},
};
use serde_json::Value;

use crate::{Document, Version};

/// A client of one server, with the token of one user or without one.
#[derive(Debug, Clone)]
pub struct Client {
    http: Http,
    base: String,
    token: Option<String>,
    document: &'static Document,
}

/// A complete answer.
#[derive(Clone, PartialEq, Eq)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Vec<u8>,
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?} {}", self.status, self.headers, String::from_utf8_lossy(&self.body))
    }
}

impl Client {
    /// A client of the server at `address`.
    pub fn new(address: &str, token: Option<String>) -> Self {
        Self::of(Version::Current, address, token)
    }

    /// A client of the server at `address`, which has this version.
    pub fn of(version: Version, address: &str, token: Option<String>) -> Self {
        let http = Http::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        Self { http, base: format!("http://{address}"), token, document: version.document() }
    }

    /// The same client with another token.
    pub fn with_token(&self, token: &str) -> Self {
        Self { token: Some(token.to_owned()), ..self.clone() }
    }

    /// A new request, to [send](Client::send).
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.base));
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    /// Sends a request. Fails if the document does not declare the answer.
    pub fn send(&self, request: RequestBuilder) -> Answer {
        self.try_send(request).unwrap_or_else(|error| panic!("{error:?}"))
    }

    /// As [`Client::send`], but the connection may fail.
    ///
    /// # Errors
    ///
    /// If there is no answer, or not a complete one.
    pub fn try_send(&self, request: RequestBuilder) -> Result<Answer, reqwest::Error> {
        let request = request.build()?;
        let (method, path) = (request.method().clone(), request.url().path().to_owned());
        let response = self.http.execute(request)?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let answer = Answer { status, headers, body: response.bytes()?.into() };
        self.document.check(&method, &path, &answer);
        Ok(answer)
    }

    /// `GET`
    pub fn get(&self, path: &str) -> Answer {
        self.send(self.request(Method::GET, path))
    }

    /// `POST` of JSON
    pub fn post(&self, path: &str, body: &Value) -> Answer {
        self.json(Method::POST, path, body)
    }

    /// `PUT` of JSON
    pub fn put(&self, path: &str, body: &Value) -> Answer {
        self.json(Method::PUT, path, body)
    }

    /// `DELETE`
    pub fn delete(&self, path: &str) -> Answer {
        self.send(self.request(Method::DELETE, path))
    }

    /// `PATCH` of JSON, or without a body
    pub fn patch(&self, path: &str, body: Option<&Value>) -> Answer {
        match body {
            Some(body) => self.json(Method::PATCH, path, body),
            None => self.send(self.request(Method::PATCH, path)),
        }
    }

    /// Any method with a JSON body
    pub fn json(&self, method: Method, path: &str, body: &Value) -> Answer {
        let request = self.request(method, path).header("Content-Type", "application/json");
        self.send(request.body(body.to_string()))
    }

    /// Sends a request with an optional header and an optional JSON body.
    pub fn with_header(
        &self,
        method: Method,
        path: &str,
        header: (&str, Option<&str>),
        body: Option<&Value>,
    ) -> Answer {
        let request = self.request(method, path);
        let request = header.1.into_iter().fold(request, |request, value| request.header(header.0, value));
        self.send(match body {
            Some(body) => request.header("Content-Type", "application/json").body(body.to_string()),
            None => request,
        })
    }

    /// Creates a task with only a title, and returns its representation.
    pub fn create(&self, title: &str) -> Value {
        let answer = self.post("/api/tasks", &serde_json::json!({ "title": title }));
        assert_eq!(answer.status, 201, "{answer:?}");
        answer.json()
    }

    /// Sends a create with an idempotency key.
    pub fn create_with_key(&self, key: &str, body: &Value) -> Answer {
        let request = self.request(Method::POST, "/api/tasks").header("Idempotency-Key", key);
        self.send(request.header("Content-Type", "application/json").body(body.to_string()))
    }

    /// All pages of a list, the first one at `path`.
    pub fn pages(&self, path: &str) -> Vec<Vec<Value>> {
        let mut pages = Vec::new();
        let mut path = Some(path.to_owned());
        while let Some(this) = path {
            let answer = self.get(&this);
            assert_eq!(answer.status, 200, "{answer:?}");
            path = answer.next_page();
            pages.push(serde_json::from_slice(&answer.body).unwrap());
        }
        pages
    }

    /// All tasks of the user, newest first.
    pub fn all(&self) -> Vec<Value> {
        self.pages("/api/tasks?limit=500").concat()
    }

    /// The first page of the list with this query, such as `?status=pending`.
    pub fn list(&self, query: &str) -> Vec<Value> {
        let answer = self.get(&format!("/api/tasks{query}"));
        assert_eq!(answer.status, 200, "{answer:?}");
        serde_json::from_slice(&answer.body).unwrap()
    }
}

impl Answer {
    /// Parses an answer to this request, as received over a connection. It must be complete and have a length.
    pub fn read(method: &Method, path: &str, text: &str) -> Self {
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {text}"));
        let mut lines = head.lines();
        let status = lines.next().unwrap()["HTTP/1.1 ".len()..][..3].parse().unwrap();
        let header = |line: &str| {
            let (name, value) = line.split_once(": ").unwrap();
            (name.parse::<HeaderName>().unwrap(), value.parse().unwrap())
        };
        let answer = Self { status, headers: lines.map(header).collect(), body: body.into() };
        Document::committed().check(method, path, &answer);
        answer
    }

    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// A header as text; empty if it is absent.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// Path and query of the next page, from `Link`.
    pub fn next_page(&self) -> Option<String> {
        let link = self.headers.get("link")?.to_str().unwrap();
        Some(link.strip_prefix('<').unwrap().strip_suffix(">; rel=\"next\"").unwrap().to_owned())
    }

    /// `status code` of a problem, such as `404 task_not_found`; only the status for other bodies.
    pub fn problem(&self) -> String {
        if self.header("content-type") != "application/problem+json" {
            return self.status.to_string();
        }
        let problem = self.json();
        assert_eq!(problem["status"], self.status, "{problem}");
        assert_eq!(problem["instance"], self.header("x-request-id"), "{problem}");
        format!("{} {}", self.status, problem["code"].as_str().unwrap())
    }

    /// The places of a 422's violations: their pointers and parameters, sorted.
    pub fn violations(&self) -> Vec<String> {
        assert_eq!(self.problem(), "422 validation_failed");
        let problem = self.json();
        let errors = problem["errors"].as_array().unwrap().iter();
        let mut places: Vec<_> = errors
            .map(|error| error.get("pointer").or(error.get("parameter")).unwrap().as_str().unwrap().to_owned())
            .collect();
        places.sort();
        places
    }
}
