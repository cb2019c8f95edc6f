//! The query of an operation without a body.

use poem::{FromRequest, Request, RequestBody};

use super::{context::Context, problem::Problem};

/// Validates the query of an operation without a body; [`Body`](super::Body) does it for the others. It must come after
/// the bearer and the headers, because arguments are extracted in order.
#[derive(Debug)]
pub struct DeclaredQuery;

impl<'a> FromRequest<'a> for DeclaredQuery {
    async fn from_request(request: &'a Request, _: &mut RequestBody) -> poem::Result<Self> {
        let violations = Context::of(request)?.check_query(request)?;
        if violations.is_empty() { Ok(Self) } else { Err(Problem::validation(violations).into()) }
    }
}
