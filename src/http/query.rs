//! The query of an operation without a body.

use poem::{FromRequest, Request, RequestBody};

use super::{context::Context, problem::Problem};

/// Query parameters that the document declares, and none else: for operations without a body, whose
/// [`Body`](super::Body) sees to that otherwise. It stands behind the bearer and the headers, since arguments
/// are extracted in order.
#[derive(Debug)]
pub struct DeclaredQuery;

impl<'a> FromRequest<'a> for DeclaredQuery {
    async fn from_request(request: &'a Request, _: &mut RequestBody) -> poem::Result<Self> {
        let violations = Context::of(request)?.contract().check_query(request).map_err(Problem::from)?;
        if violations.is_empty() { Ok(Self) } else { Err(Problem::validation(violations).into()) }
    }
}
