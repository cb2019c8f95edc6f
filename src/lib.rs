//! A multi-user task API: OpenAPI first, on SQLite or PostgreSQL. ARCHITECTURE.md is the map.

pub mod api;
pub mod auth;
pub mod commands;
pub mod config;
pub mod db;
mod host;
pub mod http;
pub mod openapi;
pub mod probe;
pub mod startup;
pub mod tasks;
pub mod telemetry;
mod timestamp;
mod tls;
