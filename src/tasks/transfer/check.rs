//! The rules of fields that the databases do not check.

use std::{borrow::Cow, fmt};

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::tasks::fields::{Rule, Tags, Text};

/// What is wrong with a line. It never repeats a value, which may be the text of a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Flaw {
    /// The kind of line and its field; empty for the line as a whole.
    field: &'static str,
    problem: Cow<'static, str>,
}

impl Flaw {
    pub(super) const fn of(field: &'static str, problem: &'static str) -> Self {
        Self { field, problem: Cow::Borrowed(problem) }
    }

    pub(super) fn whole(problem: impl Into<Cow<'static, str>>) -> Self {
        Self { field: "", problem: problem.into() }
    }
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.field.is_empty() { f.write_str(&self.problem) } else { write!(f, "{} {}", self.field, self.problem) }
    }
}

/// Whether a text is fit to be printed as the name of a field.
pub(super) fn is_name(text: &str) -> bool {
    (1..=40).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// A field that may be missing or null.
pub(super) fn optional<'a, T: Deserialize<'a>>(
    name: &'static str,
    field: Option<&'a RawValue>,
    rule: &'static str,
) -> Result<Option<T>, Flaw> {
    let read = |field: &'a RawValue| serde_json::from_str(field.get()).map_err(|_| Flaw::of(name, rule));
    field.map(read).transpose()
}

/// A field that must be there.
pub(super) fn required<'a, T: Deserialize<'a>>(
    name: &'static str,
    field: Option<&'a RawValue>,
    rule: &'static str,
) -> Result<T, Flaw> {
    optional(name, field, rule)?.ok_or(Flaw::of(name, "is missing"))
}

/// A text field.
pub(super) fn text<R: Rule>(name: &'static str, field: Option<&RawValue>) -> Result<Option<Text<R>>, Flaw> {
    let rule = Text::<R>::rule();
    let text: Option<String> = optional(name, field, rule)?;
    text.map(|text| Text::checked(&text).ok_or(Flaw::of(name, rule))).transpose()
}

/// The tags of a task; none if the field is missing.
pub(super) fn tags(name: &'static str, field: Option<&RawValue>) -> Result<Tags, Flaw> {
    let rule = "must be a list of at most 20 different tags, each of 1 to 50 characters, not counting white space around \
                them, and without U+0000";
    let tags: Vec<String> = optional(name, field, rule)?.unwrap_or_default();
    Tags::checked(&tags).ok_or(Flaw::of(name, rule))
}
