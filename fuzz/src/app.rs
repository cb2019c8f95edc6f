//! The application of `todo-api serve` on SQLite, in this process. It checks every answer against the document.

use std::{net::SocketAddr, sync::LazyLock, time::Duration};

use api_tests::{Answer, Document, SECRET, sign};
use poem::{
    Addr, Body, Endpoint, EndpointExt, Request, RequestParts, Response,
    endpoint::BoxEndpoint,
    http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, header, request, uri::Scheme},
    web::{LocalAddr, RemoteAddr},
};
use serde_json::{Value, json};
use tempfile::TempDir;
use todo_api::{
    api,
    auth::{Secret, Verifier},
    config::DEFAULT_BODY_LIMIT,
    db::{Db, Lanes},
    http::{
        BodyLimits, RateLimit, RateLimits, Stopping, TrustedProxies,
        app::{self, State},
        cors::Cors,
    },
    tasks::TasksApi,
};
use tokio::runtime::{Builder, Runtime};

/// The path of all tasks.
pub(crate) const ALL: &str = "/api/tasks";
/// In the year 2100, so that the corpus can have tokens.
pub(crate) const EXPIRY: i64 = 4_102_444_800;
/// More than any check sends.
const RATE: usize = 1_000_000;

pub(crate) struct App {
    runtime: Runtime,
    endpoint: BoxEndpoint<'static, Response>,
    _folder: TempDir,
}

/// The one application of this process.
pub(crate) static APP: LazyLock<App> = LazyLock::new(App::start);

/// A token of a user, always the same.
pub(crate) fn token(user: &str) -> String {
    sign(&json!({ "sub": user, "exp": EXPIRY }))
}

/// The headers of a user's requests.
pub(crate) fn headers(user: &str) -> HeaderMap {
    let bearer = format!("Bearer {}", token(user));
    HeaderMap::from_iter([
        (header::HOST, HeaderValue::from_static("localhost")),
        (header::AUTHORIZATION, bearer.parse().unwrap()),
        (header::CONTENT_TYPE, HeaderValue::from_static("application/json")),
    ])
}

impl App {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let url = format!("sqlite://{}/todo.db?mode=rwc", folder.path().display());
        let db = Db::open(&url.parse().unwrap(), Lanes { reads: 1, writes: 1 }).unwrap();
        runtime.block_on(db.migrate_up()).unwrap();
        db.connect().unwrap();
        let secret = Secret::new(SECRET.to_owned()).unwrap();
        let state = State {
            db: db.clone(),
            verifier: Verifier::new(Some(&secret), None, None, None),
            cors: Cors::of(vec![HeaderValue::from_static("https://app.example.com")]),
            stopping: Stopping::default(),
            limits: BodyLimits { size: DEFAULT_BODY_LIMIT, time: Duration::from_mins(1) },
            rates: RateLimits {
                user: Some(RateLimit::new("user", RATE)),
                anonymous: Some(RateLimit::new("address", RATE)),
                trusted_proxies: TrustedProxies::of(vec!["127.0.0.0/8".parse().unwrap()]),
            },
        };
        let endpoint = app::build(state, TasksApi::new(db), api::outline(DEFAULT_BODY_LIMIT)).unwrap().boxed();
        Self { runtime, endpoint, _folder: folder }
    }

    /// Sends a request. Fails if the document does not declare the answer, or if it is a 5xx.
    pub(crate) fn send(&self, method: &Method, target: &Uri, headers: &HeaderMap, body: &[u8]) -> Answer {
        let (mut parts, ()) = request::Builder::new().method(method).uri(target).body(()).unwrap().into_parts();
        parts.headers = headers.clone();
        let address = |port| Addr::SocketAddr(SocketAddr::from(([127, 0, 0, 1], port)));
        let (local, remote) = (LocalAddr(address(8000)), RemoteAddr(address(50_000)));
        let parts = RequestParts::from((parts, local, remote, Scheme::HTTP));
        let request = Request::from_parts(parts, Body::from(body.to_vec()));
        let answer = self.runtime.block_on(async {
            let (parts, body) = self.endpoint.call(request).await.unwrap().into_parts();
            Answer { status: parts.status.as_u16(), headers: parts.headers, body: body.into_vec().await.unwrap() }
        });
        Document::unrecorded().check(method, target.path(), &answer);
        assert!(answer.status < 500, "{answer:?}");
        answer.problem();
        answer
    }

    /// Sends a user's request to this path.
    pub(crate) fn json(&self, user: &str, method: &Method, path: &str, body: &[u8]) -> Answer {
        self.send(method, &path.parse().unwrap(), &headers(user), body)
    }

    /// Creates a task, and returns its path.
    pub(crate) fn create(&self, user: &str, task: &Value) -> String {
        let created = self.json(user, &Method::POST, ALL, task.to_string().as_bytes());
        assert_eq!(created.status, 201, "{created:?}");
        created.header("location").to_owned()
    }
}

/// Header fields, one on each line. Leaves out lines that the HTTP library would not take as one.
pub(crate) fn fields(text: &[u8]) -> impl Iterator<Item = (HeaderName, HeaderValue)> {
    text.split(|byte| *byte == b'\n').filter_map(|line| {
        let colon = line.iter().position(|byte| *byte == b':')?;
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        Some((HeaderName::from_bytes(name).ok()?, HeaderValue::from_bytes(value).ok()?))
    })
}
