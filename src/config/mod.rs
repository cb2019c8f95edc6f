//! Reads the environment into a typed configuration, checked once at the start. Every error names its variable.

mod auth;
mod database;
mod dotenv;
mod serve;
mod settings;
mod traces;
mod variable;

use std::fmt;

pub use self::{
    auth::{AUTH, Auth, SIGNER, Signer},
    database::{DATABASE, Database, LANES},
    serve::{DEFAULT_BODY_LIMIT, LISTEN, SERVE, Serve, reach},
    settings::{Settings, options},
    traces::TRACES,
    variable::Variable,
};

/// A variable that cannot be used: one line with its name, the problem and an example. It never repeats the value,
/// which may be a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    variable: &'static str,
    problem: String,
    example: &'static str,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}; for example {}={}", self.variable, self.problem, self.variable, self.example)
    }
}

impl std::error::Error for ConfigError {}

fn invalid(variable: &'static str, problem: impl Into<String>, example: &'static str) -> ConfigError {
    ConfigError { variable, problem: problem.into(), example }
}
