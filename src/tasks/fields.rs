//! Text fields as types: each has its rule, its schema, the sentence for a violation, and its normalization.

use std::{borrow::Cow, fmt, marker::PhantomData, ops::RangeInclusive};

use poem_openapi::{
    Enum,
    registry::{MetaSchema, MetaSchemaRef},
    types::{ParseError, ParseFromJSON, ParseResult, ToJSON, Type},
};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

/// The title of a task, without white space around it.
pub(super) type Title = Text<OfTitle>;
/// The description of a task.
pub(super) type Description = Text<OfDescription>;

/// The rule of a text field.
pub(super) trait Rule: 'static {
    /// The purpose of the field, a semicolon, and the rule in words. A violation quotes the part after the semicolon.
    const DESCRIPTION: &'static str;
    /// The rule as a regular expression (ECMA-262).
    const PATTERN: &'static str;
    /// The bounds of its length in Unicode scalar values, if the pattern does not have them or some tools ignore it.
    const MIN_LENGTH: Option<usize> = None;
    const MAX_LENGTH: Option<usize> = None;
    /// The bounds of its length after normalization, for texts that the document does not validate.
    const LENGTHS: RangeInclusive<usize>;

    /// Normalizes a valid text.
    fn normalize(text: &str) -> &str {
        text
    }
}

#[derive(Debug)]
pub(super) struct OfTitle;

impl Rule for OfTitle {
    const DESCRIPTION: &'static str = "What is to be done; must have 1 to 255 characters, not counting white space around \
                                       them (which is removed), and no U+0000";
    const PATTERN: &'static str = r"^\s*[^\s\x00](?:[^\x00]{0,253}[^\s\x00])?\s*$";
    const MIN_LENGTH: Option<usize> = Some(1);
    const LENGTHS: RangeInclusive<usize> = 1..=255;

    fn normalize(text: &str) -> &str {
        text.trim_matches(is_white_space)
    }
}

#[derive(Debug)]
pub(super) struct OfDescription;

impl Rule for OfDescription {
    const DESCRIPTION: &'static str = "More about it; must have at most 1000 characters, and no U+0000";
    const PATTERN: &'static str = r"^[^\x00]*$";
    const MAX_LENGTH: Option<usize> = Some(1000);
    const LENGTHS: RangeInclusive<usize> = 0..=1000;
}

#[derive(Debug)]
pub(super) struct OfTag;

impl Rule for OfTag {
    const DESCRIPTION: &'static str = "A tag; must have 1 to 50 characters, not counting white space around them (which is \
                                       removed), and no U+0000";
    const PATTERN: &'static str = r"^\s*[^\s\x00](?:[^\x00]{0,48}[^\s\x00])?\s*$";
    const MIN_LENGTH: Option<usize> = Some(1);
    const LENGTHS: RangeInclusive<usize> = 1..=50;

    fn normalize(text: &str) -> &str {
        text.trim_matches(is_white_space)
    }
}

/// The tags of a task: each once, in the order given.
#[derive(Debug, Default)]
pub(super) struct Tags(Vec<Text<OfTag>>);

impl Tags {
    /// Most tags of a task.
    const MAX: usize = 20;

    pub(super) fn new(tags: &[&str]) -> Self {
        Self(tags.iter().map(|tag| Text::new(tag)).collect())
    }

    /// Makes them from texts that the document has not validated; `None` if they are not valid.
    pub(super) fn checked(tags: &[String]) -> Option<Self> {
        let repeated = tags.iter().enumerate().any(|(n, tag)| tags.iter().take(n).any(|other| other == tag));
        if tags.len() > Self::MAX || repeated {
            return None;
        }
        tags.iter().map(|tag| Text::checked(tag)).collect::<Option<_>>().map(Self)
    }

    /// The tags in what the database stores, which only [`Tags::into_json`] has written.
    pub(super) fn from_json(stored: &str) -> Vec<String> {
        // Most tasks have none.
        if stored == "[]" { Vec::new() } else { serde_json::from_str(stored).unwrap_or_default() }
    }

    /// As the database stores them. White space around a tag makes no other tag of it.
    pub(super) fn into_json(self) -> String {
        let mut kept: Vec<String> = Vec::with_capacity(self.0.len());
        for tag in self.0.into_iter().map(Text::into_string) {
            if !kept.contains(&tag) {
                kept.push(tag);
            }
        }
        Value::from(kept).to_string()
    }
}

impl<'de> Deserialize<'de> for Tags {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Vec::deserialize(deserializer).map(Self)
    }
}

impl Type for Tags {
    const IS_REQUIRED: bool = true;

    type RawValueType = Self;
    type RawElementValueType = Self;

    fn name() -> Cow<'static, str> {
        "array".into()
    }

    fn schema_ref() -> MetaSchemaRef {
        MetaSchemaRef::Inline(Box::new(MetaSchema {
            description: Some("Words to find it by. At most 20 different ones, kept in the order given."),
            items: Some(Box::new(Text::<OfTag>::schema_ref())),
            max_items: Some(Self::MAX),
            unique_items: Some(true),
            ..MetaSchema::new("array")
        }))
    }

    fn as_raw_value(&self) -> Option<&Self> {
        Some(self)
    }

    fn raw_element_iter<'a>(&'a self) -> Box<dyn Iterator<Item = &'a Self> + 'a> {
        Box::new(std::iter::once(self))
    }
}

impl ParseFromJSON for Tags {
    fn parse_from_json(value: Option<Value>) -> ParseResult<Self> {
        serde_json::from_value(value.unwrap_or_default()).map_err(ParseError::custom)
    }
}

impl ToJSON for Tags {
    fn to_json(&self) -> Option<Value> {
        Some(self.0.iter().filter_map(ToJSON::to_json).collect())
    }
}

/// How much a task matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Enum, Deserialize, Serialize)]
#[oai(rename = "TaskPriority", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub(super) enum Priority {
    /// Not said.
    #[default]
    None,
    /// Low.
    Low,
    /// Medium.
    Medium,
    /// High.
    High,
}

impl fmt::Display for Priority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

impl From<Priority> for i32 {
    fn from(priority: Priority) -> Self {
        match priority {
            Priority::None => 0,
            Priority::Low => 1,
            Priority::Medium => 2,
            Priority::High => 3,
        }
    }
}

impl From<i32> for Priority {
    fn from(stored: i32) -> Self {
        match stored {
            ..=0 => Self::None,
            1 => Self::Low,
            2 => Self::Medium,
            3.. => Self::High,
        }
    }
}

/// What `\s` of a pattern means (ECMA-262, section 22.2.2.9).
fn is_white_space(character: char) -> bool {
    (character.is_whitespace() && character != '\u{85}') || character == '\u{feff}'
}

/// A valid text. The document gets its rule from here, and validates bodies before serde reads them.
#[derive(Debug)]
pub(super) struct Text<R>(String, PhantomData<fn() -> R>);

impl<R: Rule> Text<R> {
    /// Makes one from a valid text.
    pub(super) fn new(text: &str) -> Self {
        Self(R::normalize(text).to_owned(), PhantomData)
    }

    /// Makes one from a text that the document has not validated; `None` if it is not valid.
    pub(super) fn checked(text: &str) -> Option<Self> {
        let text = Self::new(text);
        let valid = R::LENGTHS.contains(&text.0.chars().count()) && !text.0.contains('\0');
        valid.then_some(text)
    }

    /// The rule in words.
    pub(super) fn rule() -> &'static str {
        R::DESCRIPTION.split_once("; ").map_or(R::DESCRIPTION, |(_, rule)| rule)
    }

    pub(super) fn into_string(self) -> String {
        self.0
    }
}

impl<'de, R: Rule> Deserialize<'de> for Text<R> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let kept = R::normalize(&text);
        Ok(if kept.len() == text.len() { Self(text, PhantomData) } else { Self::new(kept) })
    }
}

impl<R: Rule> Type for Text<R> {
    const IS_REQUIRED: bool = true;

    type RawValueType = Self;
    type RawElementValueType = Self;

    fn name() -> Cow<'static, str> {
        "string".into()
    }

    fn schema_ref() -> MetaSchemaRef {
        MetaSchemaRef::Inline(Box::new(MetaSchema {
            description: Some(R::DESCRIPTION),
            pattern: Some(R::PATTERN.to_owned()),
            min_length: R::MIN_LENGTH,
            max_length: R::MAX_LENGTH,
            ..MetaSchema::new("string")
        }))
    }

    fn as_raw_value(&self) -> Option<&Self> {
        Some(self)
    }

    fn raw_element_iter<'a>(&'a self) -> Box<dyn Iterator<Item = &'a Self> + 'a> {
        Box::new(std::iter::once(self))
    }
}

impl<R: Rule> ParseFromJSON for Text<R> {
    fn parse_from_json(value: Option<Value>) -> ParseResult<Self> {
        value.as_ref().and_then(Value::as_str).map(Self::new).ok_or_else(ParseError::expected_input)
    }
}

impl<R: Rule> ToJSON for Text<R> {
    fn to_json(&self) -> Option<Value> {
        Some(self.0.as_str().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_checked_as_the_document_validates_it() {
        fn compare<R: Rule>() {
            let schema = serde_json::json!({
                "pattern": R::PATTERN, "minLength": R::MIN_LENGTH.unwrap_or(0), "maxLength": R::MAX_LENGTH.unwrap_or(9999),
            });
            let schema = jsonschema::draft202012::new(&schema).unwrap();
            let around =
                [*R::LENGTHS.start(), *R::LENGTHS.end()].map(|bound| [bound.saturating_sub(1), bound, bound + 1]);
            for length in around.concat() {
                for part in ["x", "ü", "🦀", "\0", " ", "\u{85}", "\u{feff}", "\u{2003}"] {
                    for text in [part.repeat(length), format!("a{}b", part.repeat(length.saturating_sub(2)))] {
                        for text in [text.clone(), format!(" {text}"), format!("{text}\n")] {
                            let valid = schema.is_valid(&text.as_str().into());
                            assert_eq!(Text::<R>::checked(&text).is_some(), valid, "{}: {text:?}", R::PATTERN);
                        }
                    }
                }
            }
        }
        compare::<OfTitle>();
        compare::<OfDescription>();
        compare::<OfTag>();
    }
}
