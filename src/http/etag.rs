//! Entity tags and their conditions (RFC 9110, sections 8.8.3 and 13.1). A tag is a row's version in quotes.

use std::borrow::Cow;

use poem::{
    Request,
    http::{
        HeaderName, HeaderValue,
        header::{IF_MATCH, IF_NONE_MATCH},
    },
};
use poem_openapi::{
    registry::{MetaSchema, MetaSchemaRef},
    types::{ToHeader, Type},
};

use super::headers::{self, HeaderField};

/// The strong entity tag of a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ETag(pub i64);

impl Type for ETag {
    const IS_REQUIRED: bool = true;

    type RawValueType = Self;
    type RawElementValueType = Self;

    fn name() -> Cow<'static, str> {
        "string(etag)".into()
    }

    fn schema_ref() -> MetaSchemaRef {
        MetaSchemaRef::Inline(Box::new(MetaSchema::new("string")))
    }

    fn as_raw_value(&self) -> Option<&Self> {
        Some(self)
    }

    fn raw_element_iter<'a>(&'a self) -> Box<dyn Iterator<Item = &'a Self> + 'a> {
        Box::new(std::iter::once(self))
    }
}

impl ToHeader for ETag {
    fn to_header(&self) -> Option<HeaderValue> {
        HeaderValue::try_from(format!("\"{}\"", self.0)).ok()
    }
}

/// `If-Match`: change the row only if it has one of these versions. The comparison is strong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IfMatch {
    /// `*`: if the row exists.
    Any,
    /// A row with one of these.
    OneOf {
        /// Versions of the strong tags; tags that no row can have are left out.
        versions: Vec<i64>,
        /// Whether there are weak tags, which never match: a proxy that changes the body of an answer weakens its tag.
        weak: bool,
    },
}

/// `If-None-Match`: send the row only if it has another version. The comparison is weak.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IfNoneMatch {
    /// `*`: if the row does not exist.
    Any,
    /// The versions of all tags, without tags that no row can have.
    NoneOf(Vec<i64>),
}

impl IfNoneMatch {
    /// Whether the caller has this version already.
    #[must_use]
    pub fn knows(&self, version: i64) -> bool {
        match self {
            Self::Any => true,
            Self::NoneOf(versions) => versions.contains(&version),
        }
    }
}

/// The same as [`condition`] takes.
const CONDITION: &str = r#"^(\*|[ \t,]*(W/)?"[!#-~\x80-\xff]*"([ \t]*,[ \t]*((W/)?"[!#-~\x80-\xff]*")?)*[ \t]*)$"#;
const RULE: &str = r#"must be * or a list of entity tags, such as "1" or "1", "2""#;

impl HeaderField for IfMatch {
    const NAME: HeaderName = IF_MATCH;

    fn schema() -> MetaSchema {
        condition_schema()
    }

    fn parse(value: &[u8]) -> Result<Self, &'static str> {
        Ok(condition(value)?.map_or(Self::Any, |tags| Self::OneOf {
            versions: tags.iter().filter(|tag| !tag.weak).filter_map(version).collect(),
            weak: tags.iter().any(|tag| tag.weak),
        }))
    }
}

impl HeaderField for IfNoneMatch {
    const NAME: HeaderName = IF_NONE_MATCH;

    fn schema() -> MetaSchema {
        condition_schema()
    }

    fn parse(value: &[u8]) -> Result<Self, &'static str> {
        Ok(condition(value)?.map_or(Self::Any, |tags| Self::NoneOf(tags.iter().filter_map(version).collect())))
    }
}

/// Whether the request's `If-None-Match` has this tag (weak comparison, RFC 9110, section 13.1.2). A malformed value
/// matches nothing, so the server sends the document again, which does no harm.
#[must_use]
pub(super) fn is_known(request: &Request, opaque: &str) -> bool {
    let Some(value) = headers::value(request, &IF_NONE_MATCH) else { return false };
    condition(&value).is_ok_and(|tags| tags.is_none_or(|tags| tags.iter().any(|tag| tag.opaque == opaque.as_bytes())))
}

struct EntityTag<'a> {
    weak: bool,
    opaque: &'a [u8],
}

/// The tags of a condition; `None` for `*`.
fn condition(value: &[u8]) -> Result<Option<Vec<EntityTag<'_>>>, &'static str> {
    if value == b"*" { Ok(None) } else { entity_tags(value).map(Some).ok_or(RULE) }
}

/// The tags of a list; `None` if the list is malformed or empty.
fn entity_tags(value: &[u8]) -> Option<Vec<EntityTag<'_>>> {
    let mut tags = Vec::new();
    let mut rest = value.trim_ascii();
    while !rest.is_empty() {
        // A list may have empty elements (RFC 9110, section 5.6.1.2).
        if let Some(behind) = rest.strip_prefix(b",") {
            rest = behind.trim_ascii_start();
            continue;
        }
        let strong = rest.strip_prefix(b"W/");
        let quoted = strong.unwrap_or(rest).strip_prefix(b"\"")?;
        let (opaque, behind) = quoted.split_at_checked(quoted.iter().position(|byte| *byte == b'"')?)?;
        if !opaque.iter().all(|byte| matches!(byte, 0x21..=0x7e | 0x80..)) {
            return None;
        }
        tags.push(EntityTag { weak: strong.is_some(), opaque });
        rest = behind.strip_prefix(b"\"")?.trim_ascii_start();
        if !(rest.is_empty() || rest.starts_with(b",")) {
            return None;
        }
    }
    (!tags.is_empty()).then_some(tags)
}

/// The version of a tag.
fn version(tag: &EntityTag<'_>) -> Option<i64> {
    let text = std::str::from_utf8(tag.opaque).ok()?;
    text.parse().ok().filter(|version: &i64| version.to_string() == text)
}

/// The value of `If-Match` and `If-None-Match`.
fn condition_schema() -> MetaSchema {
    MetaSchema { pattern: Some(CONDITION.to_owned()), ..MetaSchema::new("string") }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether a value matches the declared schema.
    fn is_declared(value: &str) -> bool {
        let schema = serde_json::json!({ "pattern": CONDITION });
        jsonschema::draft202012::new(&schema).unwrap().is_valid(&value.into())
    }

    #[test]
    fn a_list_of_tags_is_read_and_weak_ones_never_match_for_a_change() {
        for (value, for_change, for_read) in [
            (r#""1""#, &[1][..], &[1][..]),
            (r#""1","2" , "3""#, &[1, 2, 3], &[1, 2, 3]),
            (r#"W/"1", "2""#, &[2], &[1, 2]),
            (r#", "1",,"2","#, &[1, 2], &[1, 2]),
            (r#""", "x", "01", "+1", "9223372036854775808""#, &[], &[]),
            ("\"\u{e9}\"", &[], &[]),
            (r#""a,b", "2""#, &[2], &[2]),
        ] {
            let bytes = value.as_bytes();
            assert!(is_declared(value), "{value}");
            let weak = value.contains("W/");
            assert_eq!(IfMatch::parse(bytes), Ok(IfMatch::OneOf { versions: for_change.to_vec(), weak }), "{value}");
            assert_eq!(IfNoneMatch::parse(bytes), Ok(IfNoneMatch::NoneOf(for_read.to_vec())), "{value}");
        }
    }

    #[test]
    fn a_malformed_list_of_tags_is_rejected() {
        for value in [
            "",
            " ",
            ",",
            "1",
            "\"1",
            "1\"",
            "w/\"1\"",
            "W/ \"1\"",
            "W/1",
            "*, \"1\"",
            "**",
            "\"1\" \"2\"",
            "\"1\"\"2\"",
            "\"\u{7f}\"",
            "\"1 \"",
        ] {
            assert!(!is_declared(value), "{value}");
            assert_eq!(IfMatch::parse(value.as_bytes()), Err(RULE), "{value}");
            assert_eq!(IfNoneMatch::parse(value.as_bytes()), Err(RULE), "{value}");
        }
    }
}
