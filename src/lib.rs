//! A multi-user task API: OpenAPI first, on SQLite or PostgreSQL.

pub mod db;
