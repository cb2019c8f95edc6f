//! The routes: from the path of a request to the operation of its method.

use std::{collections::HashMap, future::ready, sync::Arc};

use futures_util::future::Either;
use percent_encoding::percent_decode_str;
use poem::{
    Request, Response,
    endpoint::{BoxEndpoint, DynEndpoint},
    http::Method,
};
use poem_openapi::{__private::UrlQuery, OpenApi};

use super::problem::{Code, Problem};
use crate::openapi::InvalidDocument;

/// The resources by the templates of their paths. poem's own routes, and those that poem-openapi makes, take a boxed
/// future for each step from the path to the operation, and each moves the request.
#[derive(Default)]
pub(super) struct Routes(matchit::Router<Resource>);

/// A resource.
pub(super) struct Resource {
    template: Arc<str>,
    operations: Vec<(Method, BoxEndpoint<'static>)>,
}

impl Routes {
    /// Adds a resource.
    ///
    /// # Errors
    ///
    /// [`InvalidDocument`] if the router rejects the template, for example because it has the same one.
    pub(super) fn add(
        &mut self,
        template: &str,
        operations: impl IntoIterator<Item = (Method, BoxEndpoint<'static>)>,
    ) -> Result<(), InvalidDocument> {
        let resource = Resource { template: template.into(), operations: operations.into_iter().collect() };
        self.0.insert(template, resource).map_err(InvalidDocument::new)
    }

    /// Adds the resources of an API, whose document has these templates.
    ///
    /// # Errors
    ///
    /// [`InvalidDocument`] if the document has other paths than the API.
    pub(super) fn add_api<'a, A: OpenApi>(
        &mut self,
        api: A,
        templates: impl Iterator<Item = &'a str>,
    ) -> Result<(), InvalidDocument> {
        let mut resources = HashMap::new();
        api.add_routes(&mut resources);
        for template in templates {
            let operations = resources.remove(&pattern(template));
            self.add(template, operations.ok_or_else(|| InvalidDocument::new("it has another path than the API"))?)?;
        }
        if resources.is_empty() { Ok(()) } else { Err(InvalidDocument::new("it lacks a path of the API")) }
    }

    /// The resource at this path.
    pub(super) fn find(&self, path: &str) -> Option<&Resource> {
        let resource = self.0.at(path).ok()?.value;
        // A path that is not UTF-8 is none of ours.
        (!path.contains('%') || percent_decode_str(path).decode_utf8().is_ok()).then_some(resource)
    }
}

impl Resource {
    /// The template of its path (OpenAPI 3.1, section 4.8.8), such as `/api/tasks/{id}`.
    pub(super) const fn template(&self) -> &Arc<str> {
        &self.template
    }

    /// The methods of its operations.
    pub(super) fn methods(&self) -> impl Iterator<Item = &Method> {
        self.operations.iter().map(|(method, _)| method)
    }

    /// Runs the operation of the request's method.
    pub(super) fn call(&self, mut request: Request) -> impl Future<Output = poem::Result<Response>> {
        let Some((_, operation)) = self.operations.iter().find(|(method, _)| method == request.method()) else {
            return Either::Left(ready(Err(Problem::of(Code::MethodNotAllowed).into())));
        };
        // The code that poem-openapi derives for an operation expects the query here.
        let query = UrlQuery(request.params().unwrap_or_default());
        request.extensions_mut().insert(query);
        Either::Right(DynEndpoint::call(&**operation, request))
    }
}

/// The name that poem-openapi gives to a path for poem's router: `/api/tasks/:param0` for `/api/tasks/{id}`.
fn pattern(template: &str) -> String {
    let mut parameters = 0;
    let segment = |segment: &str| {
        if !segment.starts_with('{') {
            return segment.to_owned();
        }
        parameters += 1;
        format!(":param{}", parameters - 1)
    };
    template.split('/').map(segment).collect::<Vec<_>>().join("/")
}
