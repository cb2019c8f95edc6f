//! The endpoints for orchestrators and load balancers: is the process alive, and may it get traffic?

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering::Relaxed},
};

use poem::{IntoResponse, Response, handler, web::Data};
use serde::Serialize;

use super::{
    body::Json,
    problem::{Code, Problem},
};
use crate::db::Db;

/// Whether the server is about to stop. Clones share the state.
#[derive(Debug, Clone, Default)]
pub struct Stopping(Arc<AtomicBool>);

impl Stopping {
    /// Makes `/ready` fail from now on.
    pub fn begin(&self) {
        self.0.store(true, Relaxed);
    }
}

#[derive(Serialize)]
struct Health {
    status: &'static str,
}

/// `GET /health`: the process is alive.
#[handler]
pub(crate) fn live() -> Response {
    Json(Health { status: "ok" }).into_response()
}

/// `GET /ready`: the schema is up to date, the database answers and accepts changes, and the server is not about to
/// stop.
#[handler]
pub(crate) async fn ready(db: Data<&Db>, stopping: Data<&Stopping>) -> poem::Result<Response> {
    if stopping.0.0.load(Relaxed) {
        return Err(Problem::because(Code::Unavailable, "the server is about to stop").into());
    }
    let not_ready = |error| Problem::because(Code::Unavailable, "the database is not ready").caused_by(&error);
    db.ping().await.map_err(not_ready)?;
    Ok(Json(Health { status: "ready" }).into_response())
}
