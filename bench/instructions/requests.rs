//! Counts the instructions of requests. Calls the application of `todo-api serve` on SQLite, in this process.

use std::{env, hint::black_box, mem, sync::Arc};

use api_tests::{Issuer, Reply, SECRET, SigningKey, now};
use clap::Command;
use gungraun::{
    Callgrind, EntryPoint, LibraryBenchmarkConfig, Sandbox, library_benchmark, library_benchmark_group, main,
};
use mimalloc::MiMalloc;
use poem::{
    Body, Endpoint, EndpointExt, Request, Response,
    endpoint::BoxEndpoint,
    http::{Method, StatusCode, header},
};
use serde_json::{Value, json};
use todo_api::{
    api,
    auth::Verifier,
    config::{self, Auth, Database, Serve, Settings},
    db::Db,
    http::{
        Stopping,
        app::{self, State},
    },
    tasks::TasksApi,
    telemetry::{self, Log},
};
use tokio::runtime::{Builder, Runtime};

/// As in the program.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// Uncounted calls that fill the caches of statements and of the allocator.
const WARM_UP: usize = 20;
const TASKS: usize = 100;
const ALL: &str = "/api/tasks";
/// The braces are replaced by the id of a task.
const ONE: &str = "/api/tasks/{}";
const NEW: &str = r#"{"title": "Buy milk", "description": "Two bottles", "due_date": "2030-01-02T10:00:00+01:00"}"#;

/// The default configuration of `todo-api serve`.
fn settings(name: &str, value: &str) -> Settings {
    let options = config::options(&[config::DATABASE, config::LANES, config::SIGNER, config::AUTH, config::SERVE]);
    Settings::of(Command::new("todo-api").args(options).get_matches_from(["todo-api", name, value])).unwrap()
}

fn verifier(settings: &mut Settings) -> Verifier {
    let Auth { signer, published } = Auth::read(settings).unwrap();
    Verifier::new(signer.secret.as_ref(), published.map(Arc::new), signer.issuer, signer.audience)
}

/// A request, and the status of all its answers.
struct Call {
    method: Method,
    path: &'static str,
    secret: &'static str,
    etag: Option<&'static str>,
    body: Option<&'static str>,
    status: StatusCode,
}

impl Call {
    fn get(path: &'static str) -> Self {
        Self { method: Method::GET, path, secret: SECRET, etag: None, body: None, status: StatusCode::OK }
    }

    fn post(body: &'static str, status: StatusCode) -> Self {
        Self { method: Method::POST, body: Some(body), status, ..Self::get(ALL) }
    }
}

fn token(secret: &str) -> String {
    SigningKey::secret(secret).token(&json!({ "sub": "alice", "exp": now() + 3600 }))
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

/// Number of counted calls: enough to hide the variation between runs, and the cost of the process's end.
fn calls() -> usize {
    env::var("CALLS").map_or(1, |calls| calls.parse().unwrap())
}

struct Server {
    runtime: Runtime,
    app: BoxEndpoint<'static, Response>,
    call: Call,
    path: String,
    authorization: String,
    _log: Log,
}

impl Server {
    /// A server with some tasks, after its first answers to this call.
    fn warm(call: Call) -> Self {
        let (runtime, mut settings) = (runtime(), settings("--better-auth-secret", SECRET));
        let (database, serve) = (Database::read(&mut settings).unwrap(), Serve::read(&mut settings).unwrap());
        let log = telemetry::start(serve.log_format, serve.log_filter).unwrap();
        let db = Db::open(&database.url, database.lanes).unwrap();
        runtime.block_on(db.migrate_up()).unwrap();
        db.connect().unwrap();
        let verifier = verifier(&mut settings);
        let (api, outline) = (TasksApi::new(db.clone()), api::outline(serve.body_limits.size));
        let state = State {
            db,
            verifier,
            cors: serve.cors,
            stopping: Stopping::default(),
            limits: serve.body_limits,
            rates: serve.rate_limits,
        };
        let app = app::build(state, api, outline).unwrap().boxed();

        let create = Call::post(NEW, StatusCode::CREATED);
        let authorization = format!("Bearer {}", token(SECRET));
        let mut server = Self { runtime, app, call: create, path: ALL.to_owned(), authorization, _log: log };
        let ids: Vec<String> = (0..TASKS).map(|_| server.create()).collect();
        server.path = call.path.replace("{}", &ids[TASKS / 2]);
        server.authorization = format!("Bearer {}", token(call.secret));
        server.call = call;
        server.answer(WARM_UP);
        server
    }

    /// The same, with metrics.
    fn measured(call: Call) -> Self {
        telemetry::metrics::start().unwrap();
        Self::warm(call)
    }

    fn create(&self) -> String {
        let created = async { self.answer_one().await.into_body().into_json::<Value>().await.unwrap() };
        self.runtime.block_on(created)["id"].as_str().unwrap().to_owned()
    }

    fn answer(&self, times: usize) {
        self.runtime.block_on(async {
            for _ in 0..times {
                self.answer_one().await;
            }
        });
    }

    async fn answer_one(&self) -> Response {
        let request = Request::builder()
            .method(self.call.method.clone())
            .uri_str(&self.path)
            .header(header::HOST, "localhost")
            .header(header::AUTHORIZATION, &self.authorization);
        let request = match self.call.etag {
            Some(etag) => request.header(header::IF_NONE_MATCH, etag),
            None => request,
        };
        let request = match self.call.body {
            Some(body) => request.content_type("application/json").body(Body::from(body)),
            None => request.finish(),
        };
        let response = self.app.call(request).await.unwrap();
        assert_eq!(response.status(), self.call.status);
        response
    }
}

#[library_benchmark(setup = Server::warm)]
#[bench::get(Call::get(ONE))]
#[bench::get_measured(args = (Call::get(ONE)), setup = Server::measured)]
#[bench::get_known(Call { etag: Some("\"1\""), status: StatusCode::NOT_MODIFIED, ..Call::get(ONE) })]
#[bench::list(Call::get("/api/tasks?limit=20"))]
#[bench::list_pending(Call::get("/api/tasks?limit=20&status=pending"))]
#[bench::post(Call::post(NEW, StatusCode::CREATED))]
#[bench::patch(Call {
    method: Method::PATCH,
    body: Some(r#"{"completed": true}"#),
    ..Call::get("/api/tasks/{}/complete")
})]
#[bench::bad_token(Call {
    secret: "another than the one of the server",
    status: StatusCode::UNAUTHORIZED,
    ..Call::get(ONE)
})]
#[bench::bad_body(Call::post(r#"{"title": ""}"#, StatusCode::UNPROCESSABLE_ENTITY))]
fn request(server: Server) {
    server.answer(calls());
    // To take it down would count.
    mem::forget(server);
}

/// Tokens to verify: each once, or the only one again and again.
struct Tokens {
    runtime: Runtime,
    verifier: Verifier,
    texts: Vec<String>,
}

impl Tokens {
    fn by_secret() -> Self {
        let texts = (0..WARM_UP + calls())
            .map(|id| SigningKey::secret(SECRET).token(&json!({ "sub": "alice", "exp": now() + 3600, "jti": id })));
        Self::warm(settings("--better-auth-secret", SECRET), texts.collect())
    }

    fn by_secret_again() -> Self {
        Self::warm(settings("--better-auth-secret", SECRET), vec![token(SECRET)])
    }

    fn by_published_key_again() -> Self {
        let key = SigningKey::generate("EdDSA", "1");
        let issuer = Issuer::start(Reply::keys([&key]));
        Self::warm(settings("--better-auth-url", issuer.url()), vec![key.token(&issuer.claims("alice"))])
    }

    fn warm(mut settings: Settings, texts: Vec<String>) -> Self {
        let tokens = Self { runtime: runtime(), verifier: verifier(&mut settings), texts };
        tokens.verify(0, WARM_UP);
        tokens
    }

    fn verify(&self, from: usize, times: usize) {
        self.runtime.block_on(async {
            for text in self.texts.iter().cycle().skip(from).take(times) {
                black_box(self.verifier.verify(text).await).unwrap();
            }
        });
    }
}

#[library_benchmark]
#[bench::hs256(Tokens::by_secret())]
#[bench::hs256_again(Tokens::by_secret_again())]
#[bench::eddsa_again(Tokens::by_published_key_again())]
fn verify(tokens: Tokens) {
    tokens.verify(WARM_UP, calls());
    mem::forget(tokens);
}

library_benchmark_group!(name = cost, benchmarks = [request, verify]);

main!(
    // SQLite's writer has its own thread. All threads count, from the start of the measured function.
    config = LibraryBenchmarkConfig::default().sandbox(Sandbox::new(true)).tool(
        Callgrind::with_args(["--cache-sim=no", "--separate-threads=no", "--zero-before=*::__gungraun_wrapper_mod::*"])
            .entry_point(EntryPoint::None)
    ),
    library_benchmark_groups = cost
);
