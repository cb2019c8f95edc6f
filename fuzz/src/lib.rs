//! What must hold for any input, one module for each kind of input. `make fuzz` runs the checks in libFuzzer, and
//! `tests/corpus.rs` runs them in an ordinary test.

mod app;
pub mod body;
pub mod cursor;
pub mod database_url;
pub mod dotenv;
pub mod headers;
pub mod jwks;
pub mod token;
