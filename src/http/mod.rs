//! The HTTP layer, common to all operations.

pub mod app;
mod bearer;
mod body;
mod client_address;
mod context;
pub mod cors;
mod docs;
mod etag;
mod headers;
mod health;
mod json;
mod message;
pub mod metrics;
mod path;
mod problem;
mod query;
mod rate_limit;
mod routes;
pub mod server;

pub use self::{
    bearer::Bearer,
    body::{Body, Json},
    client_address::TrustedProxies,
    context::BodyLimits,
    etag::{ETag, IfMatch, IfNoneMatch},
    headers::{HeaderField, OptionalHeader},
    health::Stopping,
    path::PathParameter,
    problem::{Code, Problem, failures},
    query::DeclaredQuery,
    rate_limit::{RateLimit, RateLimits},
};
