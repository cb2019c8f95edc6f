//! Verifies tokens. This module does not depend on the HTTP server.

mod fetch;
mod jwks;
mod key;
mod token;
mod verified;

use std::sync::Arc;

use serde::de::DeserializeOwned;

pub use self::{
    jwks::{Freshness, Jwks},
    key::{InvalidSecret, Secret},
    token::{TokenError, Verifier, check_subject, sign},
};

/// A user with a verified token. Only [`Verifier`] creates one.
#[derive(Debug, Clone)]
pub struct User(Arc<String>);

impl User {
    /// The id: `sub` of the token.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.0
    }

    /// The id, shared. Every task of an answer has it.
    #[must_use]
    pub fn shared_id(&self) -> Arc<String> {
        self.0.clone()
    }
}

impl std::fmt::Display for User {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// Parses a JSON object; `None` for anything else. serde alone also accepts a list for a struct.
fn object<T: DeserializeOwned>(json: &[u8]) -> Option<T> {
    if json.trim_ascii_start().first() != Some(&b'{') {
        return None;
    }
    serde_json::from_slice(json).ok()
}
