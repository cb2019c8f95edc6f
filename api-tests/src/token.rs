//! Tokens, signed as a sign-in signs them.

use std::time::{SystemTime, UNIX_EPOCH};

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

/// The secret that test servers share with their sign-in.
pub const SECRET: &str = "0kP2xV7mQ4tY9sW1cR6eU3iA8oL5zN+b";

/// A token of the user, good for an hour.
pub fn token(user: &str) -> String {
    sign(&json!({ "sub": user, "exp": seconds() + 3600 }))
}

/// A token with these claims.
pub fn sign(claims: &Value) -> String {
    jsonwebtoken::encode(&Header::new(Algorithm::HS256), claims, &EncodingKey::from_secret(SECRET.as_bytes())).unwrap()
}

fn seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}
