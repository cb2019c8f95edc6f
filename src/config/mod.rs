//! From the environment to typed configuration, checked once, at the start. Every complaint names its variable.

mod auth;
mod database;
mod serve;

use std::{fmt, time::Duration};

pub use self::{
    auth::{Auth, AuthOptions},
    database::{Database, DatabaseOptions},
    serve::{Serve, ServeOptions},
};

/// A variable that cannot be used: one line that names it, says what is wrong, and shows what would be right. It never
/// repeats a value, which may be a secret.
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

/// An empty variable is one that is not set: that is how compose files pass on what they do not have.
fn given(value: Option<&str>) -> Option<&str> {
    value.map(str::trim).filter(|value| !value.is_empty())
}

fn duration(variable: &'static str, value: &str, example: &'static str) -> Result<Duration, ConfigError> {
    humantime::parse_duration(value.trim())
        .map_err(|_| invalid(variable, "is not a duration such as 500ms, 10s or 1m", example))
}

fn number(variable: &'static str, value: &str, max: usize, example: &'static str) -> Result<usize, ConfigError> {
    let number = value.trim().parse().ok().filter(|number| (1..=max).contains(number));
    number.ok_or_else(|| invalid(variable, format!("is not a whole number from 1 to {max}"), example))
}
