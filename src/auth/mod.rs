//! From the bearer token of a request to the user who sent it.

mod fetch;
mod jwks;
mod key;
mod token;

use std::sync::Arc;

use poem::{Request, http::header};
use poem_openapi::{SecurityScheme, auth};

pub use self::{
    jwks::{Freshness, Jwks},
    key::{InvalidSecret, Key, Secret},
    token::{TokenError, Verifier, check_subject, sign},
};
use crate::{
    context::Context,
    problem::{Code, Problem},
};

// As the first argument of an operation it is both what documents and what enforces that the operation needs a token.
/// A JWT of the auth server, whose `sub` is the user's id.
#[derive(Debug, SecurityScheme)]
#[oai(ty = "bearer", bearer_format = "JWT", rename = "bearer", checker = "authenticate")]
pub struct Bearer(User);

impl Bearer {
    /// The user.
    #[must_use]
    pub const fn user(&self) -> &User {
        &self.0
    }
}

/// A user whose token was verified: only [`Verifier`] makes one.
#[derive(Debug, Clone)]
pub struct User(Arc<str>);

impl User {
    /// The id: `sub` of the token.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for User {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

async fn authenticate(request: &Request, bearer: auth::Bearer) -> poem::Result<User> {
    if request.headers().get_all(header::AUTHORIZATION).iter().count() > 1 {
        return Err(Problem::invalid_token(Code::TokenInvalid, "more than one Authorization header").into());
    }
    let context = Context::of(request)?;
    match context.verifier().verify(&bearer.token).await {
        Ok(user) => Ok(context.signed_in(user)),
        Err(error @ TokenError::Expired) => Err(Problem::invalid_token(Code::TokenExpired, error.to_string()).into()),
        Err(error @ TokenError::Unavailable) => {
            Err(Problem::new(Code::Unavailable, error.to_string()).caused_by(&error).into())
        }
        Err(error) => Err(Problem::invalid_token(Code::TokenInvalid, error.to_string()).into()),
    }
}
