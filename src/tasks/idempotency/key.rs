//! The header `Idempotency-Key`.

use poem::http::HeaderName;
use poem_openapi::registry::MetaSchema;

use crate::http::HeaderField;

/// The value of `Idempotency-Key`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::tasks) struct IdempotencyKey(pub(in crate::tasks) String);

/// The pattern of the values that [`IdempotencyKey`] accepts: the key itself, or a string (RFC 9651, section 3.3.3).
const PATTERN: &str = r#"^([!#-~][!-~]{0,254}|"([!#-\[\]-~]|\\["\\]){1,255}")$"#;
const RULE: &str = "must be one key of 1 to 255 visible ASCII characters, such as a UUID";

impl HeaderField for IdempotencyKey {
    const NAME: HeaderName = HeaderName::from_static("idempotency-key");

    fn schema() -> MetaSchema {
        MetaSchema {
            min_length: Some(1),
            max_length: Some(512),
            pattern: Some(PATTERN.to_owned()),
            ..MetaSchema::new("string")
        }
    }

    fn parse(value: &[u8]) -> Result<Self, &'static str> {
        let text = std::str::from_utf8(value).map_err(|_| RULE)?;
        let key = match text.strip_prefix('"') {
            Some(quoted) => unquote(quoted).ok_or(RULE)?,
            None => text.to_owned(),
        };
        if is_key(&key) { Ok(Self(key)) } else { Err(RULE) }
    }
}

/// Whether a text can be a key.
pub(in crate::tasks) fn is_key(text: &str) -> bool {
    (1..=255).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Parses a string (RFC 9651, section 3.3.3) after its opening quote.
fn unquote(quoted: &str) -> Option<String> {
    let mut text = String::new();
    let mut characters = quoted.chars();
    loop {
        match characters.next()? {
            '"' => return characters.next().is_none().then_some(text),
            '\\' => text.push(characters.next().filter(|escaped| matches!(escaped, '"' | '\\'))?),
            character => text.push(character),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether a value matches the declared schema.
    fn is_declared(value: &str) -> bool {
        let schema = serde_json::json!({ "pattern": PATTERN });
        jsonschema::draft202012::new(&schema).unwrap().is_valid(&value.into())
    }

    #[test]
    fn a_key_is_the_same_with_and_without_the_quotes_of_the_draft() {
        let long = "x".repeat(255);
        for (value, key) in [
            ("8e03978e-40d5", "8e03978e-40d5"),
            ("\"8e03978e-40d5\"", "8e03978e-40d5"),
            (r#""a\"b\\c""#, r#"a"b\c"#),
            (r#"a"b\"#, r#"a"b\"#),
            (&long, &long),
            (&format!("\"{long}\""), &long),
        ] {
            assert!(is_declared(value), "{value}");
            assert_eq!(IdempotencyKey::parse(value.as_bytes()), Ok(IdempotencyKey(key.to_owned())), "{value}");
        }
    }

    #[test]
    fn a_malformed_key_is_rejected() {
        let long = "x".repeat(256);
        for value in
            ["", "\"", "\"\"", "\"a", "\"a\"b", "\"a\\\"", "\"\\a\"", "a b", "a, b", "\"a b\"", "a\tb", "é", &long]
        {
            assert!(!is_declared(value), "{value}");
            assert_eq!(IdempotencyKey::parse(value.as_bytes()), Err(RULE), "{value}");
        }
    }
}
