//! A multi-user task API: OpenAPI first, on SQLite or PostgreSQL. ARCHITECTURE.md is the map.

pub mod app;
pub mod auth;
pub mod bearer;
pub mod config;
pub mod context;
pub mod contract;
pub mod cors;
pub mod db;
pub mod docs;
pub mod etag;
pub mod fail;
pub mod header;
pub mod health;
pub mod host;
pub mod message;
pub mod openapi;
pub mod payload;
pub mod problem;
pub mod query;
pub mod server;
pub mod startup;
pub mod tasks;
pub mod telemetry;
pub mod timestamp;
pub mod tls;
