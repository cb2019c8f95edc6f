//! The same work as todo-api, by hand: axum on the schema that `todo-api migrate` makes, and nothing else. It has no
//! document, checks only tokens and the types of fields, and writes no log.

mod http;
mod postgres;
mod sql;
mod sqlite;
mod store;
mod task;

use std::env;

use mimalloc::MiMalloc;
use tokio::net::TcpListener;

use self::{postgres::Postgres, sqlite::Sqlite};

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// The value of an environment variable, which means the same to todo-api.
fn variable(name: &str) -> String {
    env::var(name).unwrap_or_else(|_| panic!("{name} is not set"))
}

#[tokio::main]
async fn main() {
    let url = variable("DATABASE_URL");
    let secret = variable("BETTER_AUTH_SECRET");
    let listener = TcpListener::bind(format!("127.0.0.1:{}", variable("PORT"))).await.unwrap();
    match url.strip_prefix("sqlite://") {
        Some(file) => {
            let path = file.split('?').next().unwrap_or_default();
            http::serve(listener, &secret, Sqlite::open(path)).await;
        }
        None => http::serve(listener, &secret, Postgres::connect(&url).await.unwrap()).await,
    }
}
