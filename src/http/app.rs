//! The pages, and the processing of every request before and after its operation.

use std::{future::ready, panic::AssertUnwindSafe, sync::Arc, time::Instant};

use futures_util::{FutureExt, future::Either};
use poem::{
    Endpoint, EndpointExt, IntoEndpoint, IntoResponse, Request, Response,
    endpoint::{BoxEndpoint, make_sync},
    http::{HeaderName, HeaderValue, Method, StatusCode, header},
    web::Redirect,
};
use poem_openapi::OpenApi;
use uuid::Uuid;

use super::{
    context::{BodyLimits, Context, Shared},
    cors::Cors,
    docs,
    health::{self, Stopping},
    message,
    problem::{Code, Problem},
    rate_limit::RateLimits,
    routes::{Resource, Routes},
};
use crate::{
    auth::{User, Verifier},
    db::Db,
    openapi::{self, Contract, InvalidDocument, Outline, Version},
    telemetry::{self, traces::RequestTrace},
};

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const NOSNIFF: HeaderValue = HeaderValue::from_static("nosniff");
/// The methods of all paths together.
const METHODS: HeaderValue = HeaderValue::from_static("DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT");
/// The paths of health checks, which no limit may fail.
const HEALTH: [&str; 2] = ["/health", "/ready"];
/// Answers are the caller's own: nobody keeps them, unless the answer says otherwise.
const NO_STORE: HeaderValue = HeaderValue::from_static("private, no-store");
/// Maximum length of a caller's request id.
const REQUEST_ID_MAX: usize = 128;

/// The parts that the application uses.
#[derive(Debug)]
pub struct State {
    /// Stores the tasks.
    pub db: Db,
    /// Verifies tokens.
    pub verifier: Verifier,
    /// The origins whose pages may read answers.
    pub cors: Cors,
    /// Whether the server is about to stop.
    pub stopping: Stopping,
    /// Limits of request bodies.
    pub limits: BodyLimits,
    /// Limits of the rate of requests.
    pub rates: RateLimits,
}

/// The whole application. Every request gets a [`Response`], never an error.
pub struct App {
    routes: Routes,
    cors: Cors,
    shared: Arc<Shared>,
}

/// Builds the application, with this API below `/api`.
///
/// # Errors
///
/// [`InvalidDocument`], which is a defect of the program.
pub fn build<A: OpenApi + 'static>(state: State, api: A, outline: Outline) -> Result<App, InvalidDocument> {
    let State { db, verifier, cors, stopping, limits, rates } = state;
    let contract = Contract::of(openapi::derive::<A>(&outline, Version::V3_1)?)?;
    let mut routes = Routes::default();
    routes.add_api(api, contract.templates())?;
    // The API is where the document was fetched from: a proxy may have put both below a prefix, which it strips. Not `./`:
    // tools that only append a path would get two slashes.
    let outline = Arc::new(Outline { server: ".".to_owned(), ..outline });
    let document = |version, media_type, write| page(docs::document::<A>(&outline, version, media_type, write));
    for (path, page) in [
        ("/", page(make_sync(|_| Redirect::temporary("docs")))),
        ("/docs", page(docs::page::<A>(&outline))),
        ("/openapi.json", document(Version::V3_1, "application/json", openapi::to_json)),
        ("/openapi-3.0.json", document(Version::V3_0, "application/json", openapi::to_json)),
        ("/openapi.yaml", document(Version::V3_1, "application/yaml", openapi::to_yaml)),
        ("/health", page(health::live)),
        ("/ready", page(health::ready.data(db).data(stopping))),
    ] {
        routes.add(path, [(Method::GET, page)])?;
    }
    if let Some(metrics) = telemetry::metrics() {
        for code in Code::ALL {
            metrics.refusals(&code.to_string(), 0);
        }
    }
    Ok(App { routes, cors, shared: Arc::new(Shared { verifier, limits, rates, contract }) })
}

fn page(endpoint: impl IntoEndpoint<Endpoint: 'static>) -> BoxEndpoint<'static> {
    endpoint.map_to_response().boxed()
}

impl Endpoint for App {
    type Output = Response;

    /// Not `async`, so that the future carries only what the second half needs.
    fn call(&self, mut request: Request) -> impl Future<Output = poem::Result<Response>> {
        let started = Instant::now();
        let id = request_id(&request);
        let trace = RequestTrace::begin(request.method(), request.headers(), !HEALTH.contains(&request.uri().path()));
        let resource = self.routes.find(request.uri().path());
        let context = Arc::new(Context::new(self.shared.clone(), resource.map(Resource::template).cloned()));
        let method = request.method().clone();
        let cors = self.cors.exchange(&method, request.headers());
        request.set_data(context.clone());
        if method == Method::HEAD {
            // The same answer. hyper leaves out its body (RFC 9110, section 9.3.2).
            request.set_method(Method::GET);
        }

        let address = self.shared.rates.limited_address(&request);
        let slashes = self.without_extra_slashes(request.uri().path());
        let known = |answer| Either::Left(ready(answer));
        let work = match message::check(&request).map(|()| (cors.preflight(request.headers()), resource)) {
            Err(problem) => known(Err(problem.into())),
            Ok((Some(preflight), _)) => known(Ok(preflight)),
            Ok((None, Some(resource))) => Either::Right(trace.within(resource.call(request))),
            // The options of the whole server (RFC 9110, section 9.3.7).
            Ok((None, None)) if method == Method::OPTIONS && request.uri().path() == "*" => {
                known(Ok(StatusCode::NO_CONTENT.with_header(header::ALLOW, METHODS).into_response()))
            }
            Ok((None, None)) => known(Err(Problem::of(Code::RouteNotFound).into())),
        };
        let work = AssertUnwindSafe(work).catch_unwind();
        async move {
            let outcome = match work.await {
                Ok(outcome) => outcome.map_err(Problem::from),
                Err(_) => Err(Problem::internal(&"a panic, whose place is logged just before")),
            };
            let template = context.template();
            let is_free = method == Method::OPTIONS || template.is_some_and(|path| HEALTH.contains(&path));
            let outcome = match address {
                // Only now is it certain that the token is not valid: the users behind an address share it with strangers.
                Some(address) if !is_free && context.user().is_none() => context.anonymous(address).and(outcome),
                _ => outcome,
            };
            let outcome = outcome.map_err(|problem| match slashes {
                Some(path) if problem.code() == Code::RouteNotFound => {
                    Problem::because(Code::RouteNotFound, format!("the path has a slash too many: use {path}"))
                }
                _ => problem,
            });
            let cause = outcome.as_ref().err().and_then(Problem::cause).map(str::to_owned);
            let code = outcome.as_ref().err().map(Problem::code);
            let mut response = match outcome {
                Ok(response) => response,
                Err(problem) => match resource {
                    Some(resource) if problem.code() == Code::MethodNotAllowed => {
                        other_method(problem, resource, method == Method::OPTIONS, &id)
                    }
                    _ => problem.respond(&id),
                },
            };

            let headers = response.headers_mut();
            cors.mark(headers);
            if let Some(quota) = context.quota() {
                quota.mark(headers);
            }
            headers.insert(header::X_CONTENT_TYPE_OPTIONS, NOSNIFF);
            headers.entry(header::CACHE_CONTROL).or_insert(NO_STORE);
            if let Ok(id) = HeaderValue::from_str(&id) {
                headers.insert(X_REQUEST_ID, id);
            }
            let duration = started.elapsed();
            // `OPTIONS` is no refusal.
            let code = code.filter(|code| response.status() == code.status());
            if let Some(metrics) = telemetry::metrics() {
                metrics.request(method.as_str(), template, response.status().as_str(), duration);
                if let Some(code) = code {
                    metrics.refusals(&code.to_string(), 1);
                }
            }
            let (trace_id, span_id) = trace.ids().unzip();
            macro_rules! log {
                ($level:ident) => {
                    tracing::$level!(
                        target: "todo_api::request",
                        method = method.as_str(),
                        route = template.unwrap_or("-"),
                        status = response.status().as_u16(),
                        duration_ms = duration.as_secs_f64() * 1e3,
                        request_id = id,
                        trace_id = trace_id.map(tracing::field::display),
                        span_id = span_id.map(tracing::field::display),
                        user = context.user().map(tracing::field::display),
                        cause,
                    )
                };
            }
            let (user, error) = (context.user().map(User::id), code.map(|code| code.to_string()));
            trace.end(template, response.status().as_u16(), user, error.as_deref(), cause.as_deref());
            if cause.is_some() {
                log!(error);
            } else {
                log!(info);
            }
            Ok(response)
        }
    }
}

impl App {
    /// The path without slashes too many, if it has some and is a path of ours without them.
    fn without_extra_slashes(&self, path: &str) -> Option<String> {
        // Those in the middle may stand around an id that is empty.
        if !path.ends_with('/') && !path.starts_with("//") {
            return None;
        }
        let path = format!("/{}", path.trim_matches('/'));
        self.routes.find(&path).is_some().then_some(path)
    }
}

/// The answer to a method that the resource does not take: which it takes (RFC 9110, sections 9.3.7 and 15.5.6).
fn other_method(problem: Problem, resource: &Resource, options: bool, id: &str) -> Response {
    let mut methods: Vec<&str> = resource.methods().map(Method::as_str).collect();
    if methods.contains(&"GET") {
        methods.push("HEAD");
    }
    methods.push("OPTIONS");
    methods.sort_unstable();
    let allow = HeaderValue::try_from(methods.join(", ")).unwrap_or(HeaderValue::from_static(""));
    if options {
        return StatusCode::NO_CONTENT.with_header(header::ALLOW, allow).into_response();
    }
    problem.with_header(header::ALLOW, allow).respond(id)
}

/// The caller's request id if it is safe in a log and a URI, else a new one.
fn request_id(request: &Request) -> String {
    let own = request.headers().get(X_REQUEST_ID).and_then(|id| id.to_str().ok());
    let fit = |id: &&str| {
        (1..=REQUEST_ID_MAX).contains(&id.len())
            && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte))
    };
    own.filter(fit).map_or_else(|| Uuid::now_v7().to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{api, auth::Secret};

    #[tokio::test]
    async fn a_panic_is_answered_as_an_internal_error_without_its_message() {
        let secret = Secret::new("0kP2xV7mQ4tY9sW1cR6eU3iA8oL5zN+b".to_owned()).unwrap();
        let shared = Shared {
            verifier: Verifier::new(Some(&secret), None, None, None),
            limits: BodyLimits { size: 1, time: Duration::MAX },
            rates: RateLimits::default(),
            contract: Contract::of(api::document(api::DEFAULT_SERVER, Version::V3_1).unwrap()).unwrap(),
        };
        let mut routes = Routes::default();
        routes.add("/api/tasks", [(Method::GET, page(make_sync(|_| -> Response { panic!("the cause") })))]).unwrap();
        let app = App { routes, cors: Cors::default(), shared: Arc::new(shared) };
        let response = app.call(Request::builder().uri_str("/api/tasks").header("Host", "x").finish()).await.unwrap();
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        let body = response.into_body().into_string().await.unwrap();
        assert!(body.contains(r#""code":"internal_error""#) && !body.contains("cause\""), "{body}");
    }
}
