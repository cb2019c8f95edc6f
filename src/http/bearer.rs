//! The bearer scheme: from the `Authorization` header of a request to its user.

use poem::{Request, http::header};
use poem_openapi::{SecurityScheme, auth};

use super::{
    context::Context,
    problem::{Code, Problem},
};
use crate::auth::{TokenError, User};

// As the first argument of an operation, it both documents and enforces that the operation needs a token.
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

async fn authenticate(request: &Request, bearer: auth::Bearer) -> poem::Result<User> {
    if request.headers().get_all(header::AUTHORIZATION).iter().count() > 1 {
        return Err(Problem::invalid_token(Code::TokenInvalid, "more than one Authorization header").into());
    }
    let context = Context::of(request)?;
    match context.verifier().verify(&bearer.token).await {
        Ok(user) => Ok(context.signed_in(user)?),
        Err(error @ TokenError::Expired) => Err(Problem::invalid_token(Code::TokenExpired, error.to_string()).into()),
        Err(error @ TokenError::Unavailable) => {
            Err(Problem::because(Code::Unavailable, error.to_string()).caused_by(&error).into())
        }
        Err(error) => Err(Problem::invalid_token(Code::TokenInvalid, error.to_string()).into()),
    }
}
