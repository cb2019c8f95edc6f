//! The query of an operation without a body.

use poem::{FromRequest, Request, RequestBody};

use crate::{context::Context, problem::Problem};

/// Query parameters that the document declares, and none else: for operations without a body, whose
/// [`Body`](crate::payload::Body) sees to that otherwise. It stands behind the bearer and the headers, since arguments
/// are extracted in order.
#[derive(Debug)]
pub struct DeclaredQuery;

impl<'a> FromRequest<'a> for DeclaredQuery {
    async fn from_request(request: &'a Request, _: &mut RequestBody) -> poem::Result<Self> {
        let violations = Context::of(request)?.contract().check_query(request)?;
        if violations.is_empty() { Ok(Self) } else { Err(Problem::validation(violations).into()) }
    }
}
