//! What extractors need to know, carried by each request.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use poem::Request;

use super::problem::Problem;
use crate::{
    auth::{User, Verifier},
    openapi::Contract,
};

/// Bounds of a request body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BodyLimits {
    /// Its size in bytes.
    pub size: usize,
    /// The time for all of it to arrive.
    pub time: Duration,
}

/// What is the same for every request.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) verifier: Verifier,
    pub(crate) limits: BodyLimits,
    pub(crate) contract: Contract,
}

/// What extractors need to know, carried by the request.
#[derive(Debug)]
pub(super) struct Context {
    shared: Arc<Shared>,
    user: OnceLock<User>,
}

impl Context {
    /// The context of a new request.
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, user: OnceLock::new() }
    }

    /// The context of a request.
    ///
    /// # Errors
    ///
    /// A request that did not come through [`App`](super::app::App).
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

    /// Bounds of the body.
    #[must_use]
    pub(super) fn limits(&self) -> BodyLimits {
        self.shared.limits
    }

    /// Who sent the request, once that is known.
    #[must_use]
    pub(super) fn user(&self) -> Option<&User> {
        self.user.get()
    }

    /// Notes who sent the request, for the log.
    pub(super) fn signed_in(&self, user: User) -> User {
        self.user.get_or_init(|| user).clone()
    }
}
