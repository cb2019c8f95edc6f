//! A variable of the configuration, with its texts in `--help` and in errors.

use std::ffi::OsString;

use clap::{Arg, value_parser};

use super::ConfigError;

/// A variable, and the option of the same name: `PORT` is also `--port`.
#[derive(Debug, Clone, Copy)]
pub struct Variable {
    /// Its name in the environment.
    pub name: &'static str,
    /// The name of its value in `--help`.
    kind: &'static str,
    help: &'static str,
    /// Its value if it is not set.
    pub(super) default: Option<&'static str>,
    /// The description in `--help` of what applies if it is not set and has no default.
    absent: Option<&'static str>,
    pub(super) example: Option<&'static str>,
    /// Whether white space and quotes around the value are part of it.
    pub(super) verbatim: bool,
}

impl Variable {
    pub(super) const fn new(name: &'static str, kind: &'static str, help: &'static str) -> Self {
        Self { name, kind, help, default: None, absent: None, example: None, verbatim: false }
    }

    pub(super) const fn default(self, value: &'static str) -> Self {
        Self { default: Some(value), ..self }
    }

    pub(super) const fn absent(self, meaning: &'static str) -> Self {
        Self { absent: Some(meaning), ..self }
    }

    pub(super) const fn example(self, value: &'static str) -> Self {
        Self { example: Some(value), ..self }
    }

    pub(super) const fn verbatim(self) -> Self {
        Self { verbatim: true, ..self }
    }

    /// The default of a variable that is a number; 0 if there is none.
    pub(super) const fn default_number(&self) -> usize {
        let Some(default) = self.default else { return 0 };
        match usize::from_str_radix(default, 10) {
            Ok(number) => number,
            Err(_) => 0,
        }
    }

    /// A valid value, to show in errors.
    pub(super) fn sample(&self) -> &'static str {
        self.example.or(self.default).unwrap_or_default()
    }

    pub(super) fn invalid(&self, problem: impl Into<String>) -> ConfigError {
        super::invalid(self.name, problem, self.sample())
    }

    /// The option. It accepts any value, so that clap never prints one in an error.
    pub(super) fn option(&self) -> Arg {
        let default = self.default.or(self.absent).map(|value| format!(" [default: {value}]"));
        Arg::new(self.name)
            .long(self.name.to_lowercase().replace('_', "-"))
            .value_name(self.kind)
            .value_parser(value_parser!(OsString))
            .help(format!("{} [env: {}]{}", self.help, self.name, default.unwrap_or_default()))
    }
}
