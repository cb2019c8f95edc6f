//! The context of a request, for extractors.

use std::{
    net::IpAddr,
    sync::{Arc, OnceLock},
    time::Duration,
};

use poem::Request;

use super::{
    problem::{Code, Problem},
    rate_limit::{Quota, RateLimits},
};
use crate::{
    auth::{User, Verifier},
    openapi::{Contract, Violation},
};

/// Limits of a request body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BodyLimits {
    /// Maximum size in bytes.
    pub size: usize,
    /// Time limit for the whole body to arrive.
    pub time: Duration,
}

/// The part of the context that is the same for all requests.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) verifier: Verifier,
    pub(crate) limits: BodyLimits,
    pub(crate) rates: RateLimits,
    pub(crate) contract: Contract,
}

/// The context of a request.
#[derive(Debug)]
pub(super) struct Context {
    shared: Arc<Shared>,
    template: Option<Arc<str>>,
    user: OnceLock<User>,
    quota: OnceLock<Quota>,
}

impl Context {
    /// The context of a new request, for a resource with this template.
    pub(super) fn new(shared: Arc<Shared>, template: Option<Arc<str>>) -> Self {
        Self { shared, template, user: OnceLock::new(), quota: OnceLock::new() }
    }

    /// The context of a request.
    ///
    /// # Errors
    ///
    /// An internal error if the request did not come through [`App`](super::app::App).
    pub(super) fn of(request: &Request) -> Result<&Arc<Self>, Problem> {
        request.data::<Arc<Self>>().ok_or_else(|| Problem::internal(&"the request has no context"))
    }

    /// Verifies tokens.
    #[must_use]
    pub(super) fn verifier(&self) -> &Verifier {
        &self.shared.verifier
    }

    /// The document, compiled.
    #[must_use]
    pub(super) fn contract(&self) -> &Contract {
        &self.shared.contract
    }

    /// The template of the path, if the path is one of ours.
    #[must_use]
    pub(super) fn template(&self) -> Option<&str> {
        self.template.as_deref()
    }

    /// All violations of the query.
    ///
    /// # Errors
    ///
    /// An internal error if the document does not have the operation.
    pub(super) fn check_query(&self, request: &Request) -> Result<Vec<Violation>, Problem> {
        let Some(query) = request.uri().query() else { return Ok(Vec::new()) };
        let template = self.template().unwrap_or_default();
        Ok(self.shared.contract.check_query(template, request.method(), query)?)
    }

    /// Bounds of the body.
    #[must_use]
    pub(super) fn limits(&self) -> BodyLimits {
        self.shared.limits
    }

    /// The user who sent the request, after the token was verified.
    #[must_use]
    pub(super) fn user(&self) -> Option<&User> {
        self.user.get()
    }

    /// Sets the user, for the log, and counts the request.
    ///
    /// # Errors
    ///
    /// If the user sends too many requests.
    pub(super) fn signed_in(&self, user: User) -> Result<User, Problem> {
        let user = self.user.get_or_init(|| user);
        self.count(self.shared.rates.take_for_user(user.id()))?;
        Ok(user.clone())
    }

    /// Counts a request without a valid token.
    ///
    /// # Errors
    ///
    /// If the address sends too many of them.
    pub(super) fn anonymous(&self, address: IpAddr) -> Result<(), Problem> {
        self.count(self.shared.rates.take_for_address(address))
    }

    fn count(&self, quota: Option<Quota>) -> Result<(), Problem> {
        let Some(quota) = quota else { return Ok(()) };
        if self.quota.get_or_init(|| quota).allows() { Ok(()) } else { Err(Problem::of(Code::RateLimited)) }
    }

    /// The quota of the user or the address, if the request was counted.
    #[must_use]
    pub(super) fn quota(&self) -> Option<&Quota> {
        self.quota.get()
    }
}
