//! Filters of a list. The server applies them itself, to the tasks that it reads off the index of the list. So they work
//! with every sort on both databases, and need no statements or indexes of their own.

use caseless::Caseless;
use unicode_normalization::UnicodeNormalization;

use super::{
    entity::Task,
    fields::{Priority, Tags},
};
use crate::timestamp::Timestamp;

/// The filters of a list; a task must meet all of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Filters {
    /// In the title or the description, whatever its case and composition.
    pub(super) q: Option<String>,
    pub(super) priority: Option<Priority>,
    /// One tag, exactly.
    pub(super) tag: Option<String>,
    /// Due then or later.
    pub(super) due_after: Option<Timestamp>,
    /// Due earlier.
    pub(super) due_before: Option<Timestamp>,
}

/// Filters that are ready to be applied.
#[derive(Debug)]
pub(super) struct Matcher<'a> {
    filters: &'a Filters,
    /// `q` as it is compared.
    q: Option<String>,
}

impl Filters {
    /// The filters as parameters of a query. The next link and the binding of cursors are made from them.
    pub(super) fn parameters(&self) -> impl Iterator<Item = (&'static str, String)> {
        let Self { q, priority, tag, due_after, due_before } = self;
        let parameters = [
            ("q", q.clone()),
            ("priority", priority.map(|priority| priority.to_string())),
            ("tag", tag.clone()),
            ("due_after", due_after.map(|time| time.to_string())),
            ("due_before", due_before.map(|time| time.to_string())),
        ];
        parameters.into_iter().filter_map(|(name, value)| Some((name, value?)))
    }

    /// Whether every task meets them.
    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The filters, ready to be applied.
    pub(super) fn matcher(&self) -> Matcher<'_> {
        Matcher { filters: self, q: self.q.as_deref().map(folded) }
    }
}

impl Matcher<'_> {
    /// Whether the task meets all filters.
    pub(super) fn matches(&self, task: &Task) -> bool {
        let Filters { q: _, priority, tag, due_after, due_before } = self.filters;
        let due_date = task.due_date.map(Timestamp::from);
        priority.is_none_or(|priority| Priority::from(task.priority) == priority)
            && due_after.is_none_or(|first| due_date.is_some_and(|due| due >= first))
            && due_before.is_none_or(|end| due_date.is_some_and(|due| due < end))
            && tag.as_ref().is_none_or(|tag| has_tag(&task.tags, tag))
            && self.q.as_ref().is_none_or(|q| {
                folded(&task.title).contains(q)
                    || task.description.as_ref().is_some_and(|description| folded(description).contains(q))
            })
    }
}

/// Whether the JSON array of tags has this one.
fn has_tag(tags: &str, tag: &str) -> bool {
    Tags::from_json(tags).iter().any(|one| one == tag)
}

/// The text without differences of case (Unicode, section 3.13) and composition (section 3.11).
fn folded(text: &str) -> String {
    if text.is_ascii() { text.to_ascii_lowercase() } else { text.nfd().default_case_fold().nfc().collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_compared_whatever_their_case_and_composition() {
        for (text, q) in [
            ("Buy Milk", "milk"),
            ("CAFÉ", "café"),
            ("cafe\u{301}", "CAFÉ"),
            ("Straße", "STRASSE"),
            ("ΟΔΟΣ", "οδός".trim_end_matches("ός")),
            ("ﬁsh", "FISH"),
            ("İstanbul", "i\u{307}stanbul"),
        ] {
            assert!(folded(text).contains(&folded(q)), "{text} {q}");
        }
        for (text, q) in [("cafe", "café"), ("café", "cafe"), ("a", "b")] {
            assert!(!folded(text).contains(&folded(q)), "{text} {q}");
        }
    }

    #[test]
    fn a_tag_is_matched_exactly() {
        let tags = r#"["shop","a\"b","é"]"#;
        assert!(["shop", "a\"b", "é"].iter().all(|tag| has_tag(tags, tag)));
        assert!(["Shop", "sho", "b", "\"", "e\u{301}", ""].iter().all(|tag| !has_tag(tags, tag)));
    }
}
