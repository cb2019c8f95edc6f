//! The operations.

use std::{error::Error, sync::Arc};

use axum::{
    Router,
    body::Bytes,
    extract::{FromRequestParts, Path, RawQuery, State},
    http::{
        StatusCode,
        header::{AUTHORIZATION, CONTENT_TYPE, ETAG},
        request::Parts,
    },
    response::{IntoResponse, Response},
    routing::{get, patch},
    serve::ListenerExt,
};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tokio::net::TcpListener;
use uuid::Uuid;

use crate::{
    store::Store,
    task::{Completion, NewTask, Task, Update},
};

/// What all requests share.
struct App<S> {
    store: S,
    key: DecodingKey,
    validation: Validation,
}

/// Serves until the process ends. Says first where, as todo-api does in its log.
pub(crate) async fn serve<S: Store>(listener: TcpListener, secret: &str, store: S) {
    let mut validation = Validation::new(Algorithm::HS256);
    validation.validate_aud = false;
    let app = App { store, key: DecodingKey::from_secret(secret.as_bytes()), validation };
    let routes = Router::new()
        .route("/health", get(StatusCode::OK))
        .route("/ready", get(StatusCode::OK))
        .route("/api/tasks", get(list_tasks::<S>).post(create_task::<S>))
        .route("/api/tasks/{id}", get(get_task::<S>).put(update_task::<S>).delete(delete_task::<S>))
        .route("/api/tasks/{id}/complete", patch(complete_task::<S>))
        .with_state(Arc::new(app));
    eprintln!(r#"{{"message":"listening","address":"{}"}}"#, listener.local_addr().unwrap());
    let listener = listener.tap_io(|stream| drop(stream.set_nodelay(true)));
    axum::serve(listener, routes).await.unwrap();
}

/// The user whose token a request has.
struct User(String);

#[derive(Deserialize)]
struct Claims {
    sub: String,
}

impl<S: Store> FromRequestParts<Arc<App<S>>> for User {
    type Rejection = Failed;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App<S>>) -> Result<Self, Failed> {
        let token = parts.headers.get(AUTHORIZATION).and_then(|value| value.as_bytes().strip_prefix(b"Bearer "));
        let token = token.ok_or(Failed(StatusCode::UNAUTHORIZED))?;
        let verified = jsonwebtoken::decode::<Claims>(token, &app.key, &app.validation);
        verified.map(|token| Self(token.claims.sub)).map_err(|_| Failed(StatusCode::UNAUTHORIZED))
    }
}

/// The status of an error.
struct Failed(StatusCode);

impl From<Box<dyn Error + Send + Sync>> for Failed {
    fn from(error: Box<dyn Error + Send + Sync>) -> Self {
        eprintln!("{error}");
        Self(StatusCode::INTERNAL_SERVER_ERROR)
    }
}

impl IntoResponse for Failed {
    fn into_response(self) -> Response {
        self.0.into_response()
    }
}

type Shared<S> = State<Arc<App<S>>>;

async fn list_tasks<S: Store>(
    State(app): Shared<S>,
    User(owner): User,
    RawQuery(query): RawQuery,
) -> Result<Response, Failed> {
    let pending = query.is_some_and(|query| query.split('&').any(|parameter| parameter == "status=pending"));
    let tasks = app.store.newest(&owner, pending).await?;
    Ok(([(CONTENT_TYPE, JSON)], to_json(&tasks)).into_response())
}

async fn create_task<S: Store>(State(app): Shared<S>, User(owner): User, body: Bytes) -> Result<Response, Failed> {
    let task = app.store.create(read::<NewTask>(&body)?.of(owner)).await?;
    Ok((StatusCode::CREATED, answer(Some(task))?).into_response())
}

async fn get_task<S: Store>(
    State(app): Shared<S>,
    User(owner): User,
    Path(id): Path<Uuid>,
) -> Result<Response, Failed> {
    answer(app.store.task(&owner, id).await?)
}

async fn update_task<S: Store>(
    State(app): Shared<S>,
    User(owner): User,
    Path(id): Path<Uuid>,
    body: Bytes,
) -> Result<Response, Failed> {
    answer(app.store.update(&owner, id, read::<Update>(&body)?).await?)
}

/// Toggles a task, or sets the state in the body. A task that has this state already keeps its version.
async fn complete_task<S: Store>(
    State(app): Shared<S>,
    User(owner): User,
    Path(id): Path<Uuid>,
    body: Bytes,
) -> Result<Response, Failed> {
    if body.is_empty() {
        return answer(app.store.toggle(&owner, id).await?);
    }
    let Completion { completed } = read(&body)?;
    match app.store.set(&owner, id, completed).await? {
        None => answer(app.store.task(&owner, id).await?),
        changed => answer(changed),
    }
}

async fn delete_task<S: Store>(
    State(app): Shared<S>,
    User(owner): User,
    Path(id): Path<Uuid>,
) -> Result<StatusCode, Failed> {
    Ok(if app.store.delete(&owner, id).await? { StatusCode::NO_CONTENT } else { StatusCode::NOT_FOUND })
}

const JSON: &str = "application/json";

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Failed> {
    serde_json::from_slice(body).map_err(|_| Failed(StatusCode::UNPROCESSABLE_ENTITY))
}

/// The response with one task.
fn answer(task: Option<Task>) -> Result<Response, Failed> {
    let task = task.ok_or(Failed(StatusCode::NOT_FOUND))?;
    let headers = [(CONTENT_TYPE, JSON.to_owned()), (ETAG, format!("\"{}\"", task.version))];
    Ok((headers, to_json(&task)).into_response())
}

fn to_json(content: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(content).unwrap()
}
