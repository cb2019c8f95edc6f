//! The value of a variable: from the command line, the environment, `.env` or its default, in this order.

use std::{
    env,
    ffi::{OsStr, OsString},
    time::Duration,
};

use clap::{Arg, ArgMatches};
use url::Url;

use super::{ConfigError, dotenv::Dotenv, variable::Variable};
use crate::host;

/// The options of a command with these variables.
#[must_use]
pub fn options(variables: &[&[&Variable]]) -> Vec<Arg> {
    variables.iter().copied().flatten().map(|variable| variable.option()).collect()
}

/// The values of variables. There is no `Debug`: it would show secrets.
pub struct Settings {
    options: ArgMatches,
    file: Dotenv,
    warnings: Vec<String>,
}

impl Settings {
    /// The settings of a command with these options; reads `.env`.
    ///
    /// # Errors
    ///
    /// A line for the operator, if the file cannot be read.
    pub fn of(options: ArgMatches) -> Result<Self, String> {
        Ok(Self { options, file: Dotenv::find()?, warnings: Vec::new() })
    }

    /// Warnings for the operator about the values read so far.
    #[must_use]
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// The value, or its default.
    pub(super) fn get(&mut self, variable: &Variable) -> Result<Option<String>, ConfigError> {
        let option = self.options.try_get_one::<OsString>(variable.name);
        let option = option.map_err(|_| variable.invalid("is not among the options of this command"))?.cloned();
        let value = match option.filter(is_set).or_else(|| env::var_os(variable.name).filter(is_set)) {
            Some(value) => Some(value.into_string().map_err(|_| variable.invalid("is not UTF-8"))?),
            None => self.file.get(variable)?.filter(is_set),
        };
        Ok(value.map(|value| self.plain(variable, &value)).or_else(|| variable.default.map(str::to_owned)))
    }

    /// The URL of a variable. Rejects an `@`, because a part of a password could be taken as the host, which is logged.
    pub(super) fn address(&mut self, variable: &Variable) -> Result<Option<Url>, ConfigError> {
        let Some(value) = self.get(variable)? else { return Ok(None) };
        if value.contains('@') {
            return Err(variable.invalid("has an @, though no user and password belong there"));
        }
        let is_web = |url: &Url| matches!(url.scheme(), "http" | "https") && host::is_possible(url);
        let problem = "is not an http:// or https:// URL with the name or IP address of a host";
        let url = value.parse().ok().filter(is_web).ok_or_else(|| variable.invalid(problem))?;
        if url.fragment().is_some() {
            return Err(variable.invalid("has a fragment: leave out the # and everything after it"));
        }
        Ok(Some(url))
    }

    /// The value without white space and quotes around it: they come from mistakes in files and shells.
    fn plain(&mut self, variable: &Variable, value: &str) -> String {
        let inner = bare(value);
        if !variable.verbatim {
            if inner != value {
                self.warnings.push(format!("{} has white space or quotes around its value: ignored", variable.name));
            }
            return inner.to_owned();
        }
        if value.trim_matches(|c: char| c.is_whitespace() || QUOTES.contains(&c)) != value {
            let problem = "begins or ends with white space, a newline or a quote, which is part of the value: \
                           make sure that all programs with this value have it as well";
            self.warnings.push(format!("{} {problem}", variable.name));
        }
        value.to_owned()
    }

    pub(super) fn duration(&mut self, variable: &Variable) -> Result<Duration, ConfigError> {
        let value = self.get(variable)?.unwrap_or_default();
        let duration = humantime::parse_duration(&value);
        let duration = duration.map_err(|_| variable.invalid("is not a duration such as 500ms, 10s or 1m"))?;
        if duration > LONGEST {
            return Err(variable.invalid("is longer than 365 days"));
        }
        Ok(duration)
    }

    /// A timeout. Rejects 0: it means no limit in other programs, but here every wait would fail at once.
    pub(super) fn timeout(&mut self, variable: &Variable) -> Result<Duration, ConfigError> {
        let duration = self.duration(variable)?;
        if duration.is_zero() { Err(variable.invalid("must be longer than 0")) } else { Ok(duration) }
    }

    pub(super) fn number(&mut self, variable: &Variable, max: usize) -> Result<usize, ConfigError> {
        self.optional_number(variable, max).map(Option::unwrap_or_default)
    }

    /// The number of a variable without a default.
    pub(super) fn optional_number(&mut self, variable: &Variable, max: usize) -> Result<Option<usize>, ConfigError> {
        let Some(value) = self.get(variable)? else { return Ok(None) };
        let number = value.parse().ok().filter(|number| (1..=max).contains(number));
        number.map(Some).ok_or_else(|| variable.invalid(format!("is not a whole number from 1 to {max}")))
    }
}

/// Longer durations could overflow the clock.
const LONGEST: Duration = Duration::from_hours(365 * 24);
const QUOTES: [char; 2] = ['"', '\''];

/// The text without white space around it, and without one pair of quotes.
fn bare(value: &str) -> &str {
    let value = value.trim();
    let unquoted = QUOTES.iter().find_map(|quote| value.strip_prefix(*quote)?.strip_suffix(*quote));
    unquoted.map_or(value, str::trim)
}

/// A blank value counts as not set, because Compose files pass unset variables as empty ones.
fn is_set(value: &impl AsRef<OsStr>) -> bool {
    !bare(&value.as_ref().to_string_lossy()).is_empty()
}
