//! The context of a request, for extractors.

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
    pub(crate) contract: Contract,
}

/// The context of a request.
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

    /// Sets the user, for the log.
    pub(super) fn signed_in(&self, user: User) -> User {
        self.user.get_or_init(|| user).clone()
    }
}
