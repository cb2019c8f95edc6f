//! Checks of what must hold for any input, a module for each kind of input. `make fuzz` runs them in libFuzzer, and
//! `tests/corpus.rs` in an ordinary test.

mod app;
pub mod body;
pub mod cursor;
pub mod database_url;
pub mod dotenv;
pub mod headers;
pub mod jwks;
pub mod token;
